import type { UserId } from '../protocol/message.ts'

/** The two people of a conversation in byte order; the same object of a message to oneself has `lo === hi`. */
export interface Conversation {
  /** Names the pair; equal for both directions, different for every other pair. */
  readonly key: string
  readonly lo: UserId
  readonly hi: UserId
}

/** User ids are ASCII, so JavaScript's order of UTF-16 units is PostgreSQL's order of bytes (collation "C"). */
export function conversationBetween(a: UserId, b: UserId): Conversation {
  const [lo, hi] = a <= b ? [a, b] : [b, a]
  // A space can not occur in a user id, so no two pairs share a key.
  return { key: `${lo} ${hi}`, lo, hi }
}

export function otherPerson(conversation: Conversation, user: UserId): UserId {
  return user === conversation.lo ? conversation.hi : conversation.lo
}
