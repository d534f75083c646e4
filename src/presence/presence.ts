import type { UserId } from '../protocol/message.ts'

export interface OnlinePage {
  /** Sorted by user id. */
  readonly users: readonly UserId[]
  /** All who are online, not only this page. */
  readonly count: number
  readonly nextCursor: string | null
}

export interface PresenceState {
  readonly userId: UserId
  readonly status: 'online' | 'offline' | 'unknown'
  /** When the user was last online, in milliseconds since the epoch; unknown if absent. */
  readonly lastSeenMs?: number
}

/**
 * The users who are online: those with at least one open connection, on any instance. What it says is the plain state, without
 * grace: a clean close counts within a second, a dead instance within 20. It never calls somebody offline when it cannot
 * know: `online` then throws PresenceUnknown, and `states` says `unknown`.
 */
export interface Presence {
  /** To be called for every connection of this instance, by turns with `disconnected`. */
  connected(userId: UserId): void
  disconnected(userId: UserId): void
  /** Connections that close from now on are expected to come back to another instance: their users are not reported offline. */
  drain(): void
  /** At once where no other instance has to be asked. */
  online(limit: number, cursor?: string): OnlinePage | Promise<OnlinePage>
  states(userIds: readonly UserId[]): Promise<PresenceState[]>
  /** Resolves when changes of this user's state will be told to the listener; may tell the same state again. */
  watch(userId: UserId): Promise<void>
  unwatch(userId: UserId): void
  /** `refresh`: any state may have changed unseen; ask again. */
  listen(listener: { changed(state: PresenceState): void; refresh(): void }): void
  close(): Promise<void>
}

export class PresenceUnknown extends Error {}
