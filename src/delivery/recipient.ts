import type { Message, UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'

/** One open connection, as delivery sees it. No method throws; after the connection closed they do nothing. */
export interface Recipient {
  readonly userId: UserId
  /**
   * Pushes a durable message. When it can not be written (the socket lags, or is still catching up) the recipient remembers
   * that it owes it and replays it from the store: never silently lost.
   */
  message(message: Message, encoded: EncodedEvent): void
  /** Pushes what may be lost: a newer event of its kind says the same and more. */
  event(encoded: EncodedEvent): void
}
