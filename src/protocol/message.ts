/** A validated user id (see USER_ID_PATTERN). */
export type UserId = string

/** A stored message, exactly as clients see it. */
export interface Message {
  /** UUID in lower case; names the message in its conversation for ever. */
  readonly id: string
  /** 1, 2, 3 … without gaps within the conversation; the only order there is. */
  readonly seq: number
  readonly sender_id: UserId
  readonly receiver_id: UserId
  readonly content: string
  /** RFC 3339, UTC, milliseconds. Never decreases with `seq`. */
  readonly created_at: string
}

/** Cumulative positions of both people in one conversation, from one person's point of view. */
export interface Positions {
  readonly delivered_seq: number
  readonly read_seq: number
  readonly peer_delivered_seq: number
  readonly peer_read_seq: number
}

export interface ConversationSummary extends Positions {
  readonly with: UserId
  readonly last_seq: number
  readonly last_message: Message | null
  /** Messages of the other person above `read_seq`, counted up to MAX_UNREAD_COUNT among the last UNREAD_WINDOW of the conversation. */
  readonly unread: number
}

export interface ConversationChange extends Positions {
  readonly with: UserId
  readonly last_seq: number
}
