import type { UserId } from '../protocol/message.ts'
import type { Account, Role } from './account.ts'
import type { Actor } from './audit.ts'

/** `unknown`: there is no such person, or not any more. `last_admin`: nobody would be left to administer. `no_admin`: who asks is no administrator any more. */
export type AdminOutcome = 'done' | 'unknown' | 'last_admin' | 'no_admin'

/** `last_admin` as above. */
export interface AccountQuery {
  /** Prefix of a username or of a word of a name, without case. */
  readonly search: string | undefined
  /** Username after which the page begins, as it is compared. */
  readonly after: string | undefined
  readonly limit: number
}

export interface NewAccount {
  readonly userId: UserId
  readonly username: string
  readonly displayName: string | undefined
  readonly role: Role
}

export interface NewLink {
  readonly hash: Buffer
  readonly lifetimeSeconds: number
}

/** What lets people register; its code is shown once, when it is made. */
export interface Invite {
  readonly codeId: string
  readonly role: Role
  readonly uses: number
  readonly usesLeft: number
  readonly createdBy: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

export interface NewInvite {
  readonly codeId: string
  readonly hash: Buffer
  readonly role: Role
  readonly uses: number
  readonly lifetimeSeconds: number
}

/** What administrators do to accounts. Each method that changes something is one transaction, audit included; all reject without it. */
export interface AdminStore {
  /** Not of deleted accounts. */
  find(userId: UserId): Promise<Account | undefined>
  /** By username without case. */
  named(username: string): Promise<Account | undefined>
  isAdmin(userId: UserId): Promise<boolean>
  /** In the order of their usernames; without deleted ones. */
  list(query: AccountQuery): Promise<readonly Account[]>
  /** An account without a password; whoever opens the link sets one. */
  create(account: NewAccount, link: NewLink, actor: Actor): Promise<'done' | 'username_taken'>
  /**
   * Once it is committed no token of theirs is good and no conversation with them begins; once `finishGate` has followed, nothing is
   * stored in those that there are, on any instance.
   */
  suspend(userId: UserId, actor: Actor): Promise<AdminOutcome>
  /** `finishGate` has to follow. */
  unsuspend(userId: UserId, actor: Actor): Promise<AdminOutcome>
  /** As `suspend`, for ever: names, picture, password and ways back are gone. Messages stay. */
  remove(userId: UserId, actor: Actor): Promise<AdminOutcome>
  /**
   * Closes or opens the conversations of this person as their account is now, as many as the change itself has left: in several
   * transactions, so that nobody waits for long who sends in one of them.
   */
  finishGate(userId: UserId): Promise<void>
  /** The same for everybody whose change was not followed by it, because an instance ended or the database went away. */
  finishGates(): Promise<void>
  /** Tokens of before are refused; logins stay and get new ones. What a former administrator made for others is void. */
  setRole(userId: UserId, role: Role, actor: Actor): Promise<AdminOutcome>
  addResetLink(userId: UserId, link: NewLink, actor: Actor): Promise<AdminOutcome>
  /** Undefined when who asks is no administrator any more. */
  addInvite(invite: NewInvite, actor: Actor): Promise<Invite | undefined>
  /** Those that are still good. */
  invites(): Promise<readonly Invite[]>
  /** False when there is none that is good. */
  revokeInvite(codeId: string, actor: Actor): Promise<boolean>
}
