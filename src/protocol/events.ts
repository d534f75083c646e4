import type { ErrorCode } from './codes.ts'
import type { Ref } from './commands.ts'
import type { ConversationChange, ConversationSummary, Message, UserId } from './message.ts'

interface Referring {
  readonly ref?: Ref | undefined
}

export interface Welcome {
  readonly type: 'welcome'
  readonly user_id: UserId
  readonly connection_id: string
  readonly server_time: string
  /** The line of history that all numbers belong to; opaque. When it is another than before, what is kept may not hold. */
  readonly epoch: string
  readonly protocol: 1
  readonly max_content_bytes: number
  readonly heartbeat_seconds: number
  /** When the credentials end, where there are any. */
  readonly expires_at?: string
}

/** The token that was sent on a live connection counts from now on. */
export interface Authenticated extends Referring {
  readonly type: 'authenticated'
  readonly expires_at: string
}

/** The credentials end soon: send `auth` with new ones. */
export interface AuthExpiring {
  readonly type: 'auth_expiring'
  readonly in_ms: number
}

/** To those who watch that user. */
export interface UserChanged {
  readonly type: 'user_changed'
  readonly user_id: UserId
  readonly display_name: string
  /** An address. */
  readonly avatar?: string
}

/** The message is committed. */
export interface Sent extends Referring {
  readonly type: 'sent'
  readonly id: string
  readonly seq: number
  readonly with: UserId
  readonly created_at: string
  readonly duplicate: boolean
}

/**
 * To every socket of the receiver, and to the sender's other sockets; after a gap it may also come where it was sent from: drop
 * it by its `seq`. At most once live; what is missed is replayed.
 */
export interface MessagePush extends Message {
  readonly type: 'message'
}

export interface ErrorReply extends Referring {
  readonly type: 'error'
  readonly code: ErrorCode
  readonly message: string
  readonly field?: string | undefined
  readonly retry_after_ms?: number | undefined
  readonly id?: string | undefined
}

export interface HistoryReply extends Referring {
  readonly type: 'history'
  readonly with: UserId
  readonly messages: readonly Message[]
  readonly has_more: boolean
}

export interface ConversationsReply extends Referring {
  readonly type: 'conversations'
  readonly conversations: readonly ConversationSummary[]
  readonly next_cursor: string | null
}

export interface SyncReply extends Referring {
  readonly type: 'sync'
  readonly changed: readonly ConversationChange[]
  readonly server_time: string
  readonly epoch: string
}

/**
 * How far `with` has received and read your conversation; cumulative. With `user_id` (your own id) it is another device
 * of yours that moved your own position in the conversation with `with`.
 */
export interface Receipt {
  readonly type: 'receipt'
  readonly with: UserId
  readonly delivered_seq: number
  readonly read_seq: number
  readonly user_id?: UserId
}

export interface PresencePush {
  readonly type: 'presence'
  readonly user_id: UserId
  readonly status: 'online' | 'offline' | 'unknown'
  readonly last_seen?: string
}

/** Everything unacknowledged has been sent; from here on frames are live. */
export interface Synced {
  readonly type: 'synced'
  readonly server_time: string
  readonly epoch: string
}
export interface Typing {
  readonly type: 'typing'
  readonly sender_id: UserId
  readonly active: boolean
}
/** Live frames were dropped for this socket; a replay follows. */
export interface Lagging {
  readonly type: 'lagging'
  readonly with?: UserId
}
export interface Draining {
  readonly type: 'draining'
  readonly reconnect_after_ms: number
}
export interface Pong extends Referring {
  readonly type: 'pong'
}

/** Answers to one command. */
export type Reply = Sent | Authenticated | ErrorReply | HistoryReply | ConversationsReply | SyncReply | Pong
/** What the server says unasked. */
export type Push =
  | Welcome
  | MessagePush
  | Receipt
  | PresencePush
  | Synced
  | Typing
  | UserChanged
  | AuthExpiring
  | Lagging
  | Draining
export type ServerEvent = Reply | Push

export type EventOf<Type extends ServerEvent['type']> = Extract<ServerEvent, { type: Type }>
