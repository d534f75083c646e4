import type { Message, Positions, UserId } from '../protocol/message.ts'
import type { Clock } from './clock.ts'
import type { Phase, StopReason } from './connection.ts'
import type { Fetch } from './environment.ts'
import type { FailureCode } from './errors.ts'
import type { StorageDriver } from './storage.ts'
import type { Store } from './stores.ts'
import type { Tick } from './ticks.ts'

export type TokenReason = 'connect' | 'refused' | 'refresh'
export interface TokenRequest {
  /** `refused`: the server did not take the last one, so one from a cache will not do. */
  readonly reason: TokenReason
  readonly signal: AbortSignal
}
export type GetToken = (request: TokenRequest) => Promise<string>

/**
 * Who is connected. `userId`: a server with `AUTH=none`. `getToken`: a token of the server's issuer; throw `AuthError` when there
 * will be none. `session`: the cookie of the built-in accounts, on a page of the same origin.
 */
export type Auth = { readonly userId: UserId } | { readonly getToken: GetToken } | { readonly session: true }

export interface Logger {
  warn(message: string, details?: unknown): void
}

export interface ClientOptions {
  /** Of the socket: `wss://chat.example/ws`. HTTP goes to the same place without `/ws`. */
  readonly url: string
  readonly auth: Auth
  /**
   * Who it will be, as far as is known before the server says so: what is kept of them is there at once, also without a
   * connection. Unless said it is whoever was here last, in any tab.
   */
  readonly expectedUserId?: UserId
  /** Where the platform has none (Node 20): the class of the package `ws`. */
  readonly WebSocket?: unknown
  readonly fetch?: Fetch
  /** IndexedDB in a page, memory elsewhere. */
  readonly storage?: StorageDriver
  readonly logger?: Logger
  readonly clock?: Clock
  /** In [0, 1). */
  readonly random?: () => number
  /** Sends of one conversation that may be on their way at a time. Above 1 their order is not kept when one is refused for now. */
  readonly window?: number
}

/** What a page tells about the connection. `offline`: it waits, and the browser believes that there is no network. */
export interface Status {
  readonly state: Phase | 'offline'
  /** Failures in a row. */
  readonly attempt: number
  /** When the next attempt is due, in milliseconds of the wall clock. */
  readonly until?: number
  readonly why?: StopReason | (string & {})
}

export type MessageState = 'queued' | 'sending' | 'failed' | 'held' | Tick | 'received'

/** One row of a conversation. The object stays the same until something of it changes; `id` is its key from the first moment. */
export interface MessageItem {
  readonly id: string
  /** Missing until it is stored. */
  readonly seq?: number
  readonly sender_id: UserId
  readonly receiver_id: UserId
  readonly content: string
  /** The server's time; missing until it is stored. */
  readonly created_at?: string
  readonly state: MessageState
  /** Why it failed or is held. */
  readonly code?: FailureCode
  /** It is certain that it was not stored: `takeBack` puts its text back into the draft. */
  readonly isUnstored?: boolean
}

export interface ConversationItem extends Positions {
  readonly with: UserId
  readonly last_seq: number
  /** The newest row, also one that is not stored yet. */
  readonly last_message: MessageItem | undefined
  /** Counted up to 100, which stands for "more than 99". */
  readonly unread: number
  readonly draft: string
}

export interface Sent {
  readonly outcome: 'ok'
  readonly id: string
  readonly seq: number
  readonly with: UserId
  readonly created_at: string
  /** An earlier attempt had already been stored. */
  readonly duplicate: boolean
}
export interface Failed {
  readonly outcome: 'failed'
  readonly id: string
  readonly code: FailureCode
  readonly message: string
}
/** `kept`: it still waits, in this client or in the storage, from where the next client of this user sends it. */
export interface Cancelled {
  readonly outcome: 'cancelled'
  readonly id: string
  readonly kept: boolean
}
export type Outcome = Sent | Failed | Cancelled
export type SendStatus = 'queued' | 'sending' | 'sent' | 'failed' | 'held' | 'cancelled'

export interface Sending {
  readonly id: string
  readonly status: Store<SendStatus>
  /** Resolves once the message is in the storage (or in memory, where there is none): the text box may be cleared. */
  readonly saved: Promise<void>
  /** Settles once, and never rejects. */
  readonly settled: Promise<Outcome>
}

export interface User {
  readonly user_id: UserId
  readonly username?: string
  readonly display_name: string
  readonly avatar?: string
}
export interface Presence {
  /** `unknown`: show nothing. */
  readonly status: 'online' | 'offline' | 'unknown'
  readonly last_seen?: string
}

export interface StorageState {
  readonly kind: 'opening' | 'persistent' | 'memory'
  /** Why nothing is kept although it was asked for. */
  readonly why?: string
}

export interface ClientEvents {
  /** Each message once, in the order of `seq` within a conversation, from where this client stood on. */
  readonly message: Message
  readonly sent: Sent
  readonly failed: Failed
  readonly typing: { readonly user_id: UserId; readonly active: boolean }
  readonly receipt: { readonly with: UserId } & Positions
  readonly status: Status
  readonly storage: StorageState
  /**
   * The server's history is another one from here on, after a restore or a failover: what was declared there, as a push subscription,
   * is to be declared again.
   */
  readonly epoch: { readonly epoch: string }
  /** The server went back to an earlier state; this conversation was fetched anew. */
  readonly reset: { readonly with: UserId }
  /** Another tab has logged out: this client has stopped. */
  readonly logout: { readonly user_id: UserId }
}
