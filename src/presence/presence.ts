import type { UserId } from '../protocol/message.ts'

export interface OnlinePage {
  /** Sorted by user id. */
  readonly users: readonly UserId[]
  /** All who are online, not only this page. */
  readonly count: number
  readonly nextCursor: string | null
}

/**
 * Who is online: everybody with at least one open connection. A clean close counts within a second.
 * `online` throws PresenceUnknown rather than call somebody offline when it can not know.
 */
export interface Presence {
  connected(userId: UserId): void
  disconnected(userId: UserId): void
  online(limit: number, cursor?: string): Promise<OnlinePage>
}

export class PresenceUnknown extends Error {}
