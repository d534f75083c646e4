import type { CommitListener } from '../messages/commit-feed.ts'
import type { UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'

/**
 * Brings what was committed to every connection of both people: on this instance, and where there are others, on those.
 * Pushes are tried, at most once; what is missed is noticed and replayed from the store.
 */
export interface Fanout extends CommitListener {
  /**
   * A connection of this user was registered. Resolves when everything that is committed from now on will reach it, or be replayed to
   * it.
   */
  joined(userId: UserId): Promise<void>
  /** A connection of this user is registered no longer. */
  left(userId: UserId): void
  /** To the receiver's sockets that still keep up; may be lost. */
  typing(receiver: UserId, encoded: EncodedEvent): void
}
