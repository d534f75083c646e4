import type { Message, UserId } from '../protocol/message.ts'

/** The other person of a conversation, seen from one side; names it among all conversations of that side. */
export type Address = UserId

/** The two people of a conversation in byte order; the same object of a message to oneself has `lo === hi`. */
export interface Conversation {
  /** Names the pair; equal for both directions, different for every other pair. */
  readonly key: string
  readonly lo: UserId
  readonly hi: UserId
}

/** The conversation with this key. */
export function conversationOf(key: string): Conversation {
  const space = key.indexOf(' ')
  return { key, lo: key.slice(0, space), hi: key.slice(space + 1) }
}

/** User ids are ASCII, so JavaScript's order of UTF-16 units is PostgreSQL's order of bytes (collation "C"). */
export function conversationBetween(a: UserId, b: UserId): Conversation {
  const [lo, hi] = a <= b ? [a, b] : [b, a]
  // A space cannot occur in a user id, so no two pairs share a key.
  return { key: `${lo} ${hi}`, lo, hi }
}

/** The other person of a conversation of this user. */
export function addressIn(conversation: Conversation, user: UserId): Address {
  return user === conversation.lo ? conversation.hi : conversation.lo
}

/** The conversation of this message, as this user, one of its two, names it. */
export function addressOf(
  { sender_id, receiver_id }: Pick<Message, 'sender_id' | 'receiver_id'>,
  user: UserId,
): Address {
  return sender_id === user ? receiver_id : sender_id
}
