import type { UserId } from './message.ts'

/** Echoed in the reply, so that a client can tell which command it answers. */
export type Ref = string | number

interface Referring {
  readonly ref?: Ref | undefined
}

/** Store a message and deliver it. The reply `sent` is given only after the commit. */
export interface SendCommand extends Referring {
  readonly type: 'send'
  readonly receiver_id: UserId
  /** At least one character, at most the server's `max_content_bytes` of UTF-8. */
  readonly content: string
  /** A UUID that the client made: a resend with the same one is stored once. Without it the server makes one. */
  readonly id?: string | undefined
}

interface PositionFields extends Referring {
  readonly with: UserId
  readonly seq: number
}

/** Cumulative: everything of the conversation up to `seq` is stored at the client. Lower than before: ignored. */
export interface AckCommand extends PositionFields {
  readonly type: 'ack'
}

/** Cumulative: everything of the conversation up to `seq` was read. Implies `ack`. */
export interface ReadCommand extends PositionFields {
  readonly type: 'read'
}

/** Never stored, and the first to be shed. `active`: true unless said. */
export interface TypingCommand extends Referring {
  readonly type: 'typing'
  readonly receiver_id: UserId
  readonly active?: boolean | undefined
}

/** A page of one conversation: the newest messages, or those beyond an exclusive bound. */
export interface HistoryCommand extends Referring {
  readonly type: 'history'
  readonly with: UserId
  readonly before?: number | undefined
  /** 0: from the very beginning. */
  readonly after?: number | undefined
  readonly limit?: number | undefined
}

/** A page of the own conversations, newest first. */
export interface ConversationsCommand extends Referring {
  readonly type: 'conversations'
  readonly limit?: number | undefined
  /** `next_cursor` of the page before. */
  readonly cursor?: string | undefined
}

/** Which conversations changed: against the heads that the client has, or since the `server_time` of its last `sync`. */
export interface SyncCommand extends Referring {
  readonly type: 'sync'
  /** Every conversation that the client has, with the highest `seq` of each: one that is not listed counts as changed. */
  readonly heads?: readonly (readonly [UserId, number])[] | undefined
  /** RFC 3339. */
  readonly since?: string | undefined
}

interface WatchFields extends Referring {
  readonly user_ids: readonly UserId[]
}

/** Tell the presence of these users: now, and whenever it changes. */
export interface WatchCommand extends WatchFields {
  readonly type: 'watch'
}

export interface UnwatchCommand extends WatchFields {
  readonly type: 'unwatch'
}

/** The token of a new connection, or the one that replaces it on a live connection. */
export interface AuthCommand extends Referring {
  readonly type: 'auth'
  readonly token: string
}

/** Whether a person looks at this client; until it says so, it counts as looking. Decides whom a push notification reaches. */
export interface StateCommand extends Referring {
  readonly type: 'state'
  readonly active: boolean
}

export interface PingCommand extends Referring {
  readonly type: 'ping'
}

/** What a client may ask. */
export type Command =
  | SendCommand
  | AckCommand
  | ReadCommand
  | TypingCommand
  | HistoryCommand
  | ConversationsCommand
  | SyncCommand
  | WatchCommand
  | UnwatchCommand
  | AuthCommand
  | StateCommand
  | PingCommand

export type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>
