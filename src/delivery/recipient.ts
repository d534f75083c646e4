import type { Message, UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'
import type { SeqRange } from './written-ranges.ts'

/** Which message it is, without its text. */
export type MessagePlace = Pick<Message, 'seq' | 'sender_id' | 'receiver_id'>

/** The other person of a message, seen from one of the two. */
export function otherOf({ sender_id, receiver_id }: MessagePlace, user: UserId): UserId {
  return sender_id === user ? receiver_id : sender_id
}

/** One open connection, as delivery sees it. No method throws; after the connection closed they do nothing. */
export interface Recipient {
  readonly userId: UserId
  /**
   * Pushes a durable message. When it can not be written (the socket lags, or is still catching up) the recipient remembers
   * that it owes it and replays it from the store: never silently lost.
   */
  message(message: MessagePlace, encoded: EncodedEvent): void
  /** Pushes what may be lost: a newer event of its kind says the same and more. */
  event(encoded: EncodedEvent): void
  /** Of this conversation something may be missing below the message that is about to be pushed: it may come yet, or be lost. */
  unsure(other: UserId): void
  /** Replays this conversation from the store, from this seq on, but for what is known to have been written to it. */
  owe(other: UserId, fromSeq: number, known?: KnownOfHole): void
}

/** What is known of a conversation of which something seems to be missing. */
export interface KnownOfHole {
  readonly head: number
  /** Went to every connection of the user that was up to date then. */
  readonly pushed: SeqRange | undefined
}
