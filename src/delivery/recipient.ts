import type { Address } from '../messages/conversation.ts'
import type { Message, UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'
import type { SeqRange } from './written-ranges.ts'

/** Which message it is, without its text. */
export type MessagePlace = Pick<Message, 'seq' | 'sender_id' | 'receiver_id'>

/**
 * One open connection, as delivery sees it. No method throws; after the connection closed they do nothing.
 *
 * A conversation of which 5 is pushed, 6 is lost, and 7 waited for it in vain (see `Continuity`):
 *
 *   message(5)                          writes 5
 *   replayFrom(6), known: head 7        reads from 6 on
 *   message(8), while it reads          is only noted
 *   the page comes                      writes 6, 7 and 8; another push of one of these is a repeat, and ignored
 *
 * A connection that was busy with a replay while 5 was pushed did not write it. It noted that, and 5 comes first.
 */
export interface Recipient {
  readonly userId: UserId
  /**
   * Pushes a durable message. When it cannot be written (the socket lags, or is still catching up) the recipient notes that and
   * replays it from the store: never silently lost.
   */
  message(message: MessagePlace, encoded: EncodedEvent): void
  /** Pushes what may be lost: a newer event of its kind says the same and more. */
  event(encoded: EncodedEvent): void
  /** Something may be missing below the message of this conversation that is pushed next: it may come yet, or be lost. */
  mayLackBelow(address: Address): void
  /** Replays this conversation from the store, from this seq on, but for what is known to have been written to it. */
  replayFrom(address: Address, fromSeq: number, known?: KnownOfHole): void
}

/** What is known of a conversation in which something seems to be missing. */
export interface KnownOfHole {
  /** The last seq that is known to be stored. */
  readonly head: number
  /** What went to every connection of the user that was up to date then. */
  readonly pushed: SeqRange | undefined
  /** Messages below these that went to the same connections, out of their order. */
  readonly late?: Iterable<number> | undefined
  /** Messages above the hole that were sent here. */
  readonly replied?: readonly Replied[] | undefined
}

/** A message of which the connection that sent it has the reply. */
export interface Replied {
  readonly seq: number
  readonly asker: object
}
