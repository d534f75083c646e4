import type { UserId } from '../protocol/message.ts'
import type { Account } from './account.ts'
import type { Actor } from './audit.ts'

/** What is to change; a field that is absent stays. */
export interface ProfileChange {
  /** Null takes it away: the username is shown instead. */
  readonly displayName?: string | null | undefined
  readonly username?: string | undefined
  readonly discoverable?: boolean | undefined
}

/** How people are called. Each method is one transaction, audit included; all reject without it. */
export interface ProfileStore {
  find(userId: UserId): Promise<Account | undefined>
  change(userId: UserId, change: ProfileChange, actor: Actor): Promise<'done' | 'username_taken'>
}
