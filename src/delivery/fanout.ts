import type { Announcer } from '../messages/service.ts'
import type { UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'
import type { Recipient } from './recipient.ts'

/**
 * Brings what was committed to every connection of both people: on this instance, and where there are others, on those.
 * Pushes are tried, at most once; what is missed is noticed and replayed from the store.
 */
export interface Fanout extends Announcer {
  /** Resolves when whatever is committed from now on will reach the connection or be owed to it. */
  joined(recipient: Recipient): Promise<void>
  left(recipient: Recipient): void
  /** To the receiver's sockets that still keep up; may be lost. */
  typing(receiver: UserId, encoded: EncodedEvent): void
}
