import type { ConversationChange, ConversationSummary, Message, UserId } from '../protocol/message.ts'
import type { Conversation } from './conversation.ts'

/** A message on its way into the store. `commit` fills what only the store knows. */
export interface PendingMessage {
  readonly conversation: Conversation
  readonly id: string
  readonly sender_id: UserId
  readonly receiver_id: UserId
  readonly content: string
  seq: number
  created_at: string
  /** `conflict`: the id belongs to another message of this conversation; nothing was stored for it. */
  fate: 'pending' | 'stored' | 'duplicate' | 'conflict'
}

/** "This user has received, and perhaps read, everything up to here." Never above the conversation's head. */
export interface PositionChange {
  readonly conversation: Conversation
  readonly user: UserId
  readonly delivered: number
  readonly read: number
  /** Who asked, when it was one alone: it need not be told. */
  readonly origin: object | undefined
}

/** The later of two changes of one person in one conversation. */
export function furthest(a: PositionChange, b: PositionChange): PositionChange {
  return {
    conversation: a.conversation,
    user: a.user,
    delivered: Math.max(a.delivered, b.delivered),
    read: Math.max(a.read, b.read),
    origin: a.origin === b.origin ? a.origin : undefined,
  }
}

/**
 * `fast` assumes that no id was stored before and fails with `duplicate` when one was.
 * `careful` looks every id up under the conversation's lock and works whatever happened before.
 */
export type CommitPath = 'fast' | 'careful'

/**
 * Why a commit failed. `duplicate`, `rejected` (PostgreSQL refuses a row's text) and `aborted` (anything else before COMMIT
 * was sent): nothing is stored. `unknown`: COMMIT was sent and its outcome never heard; only the careful path may follow.
 */
export type CommitFailure = 'duplicate' | 'rejected' | 'aborted' | 'unknown'

export class CommitError extends Error {
  readonly failure: CommitFailure

  constructor(failure: CommitFailure, cause: unknown) {
    super(cause instanceof Error ? cause.message : failure, { cause })
    this.name = 'CommitError'
    this.failure = failure
  }
}

/** Reading failed; nothing may be concluded from it. */
export class StoreUnavailable extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : 'store unavailable', { cause })
    this.name = 'StoreUnavailable'
  }
}

/** Bytes of text after which a page ends before its limit. */
export const MAX_PAGE_BYTES = 2 * 1024 * 1024

export function textBytes(messages: readonly Message[]): number {
  return messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0)
}

/** As many messages as were asked for, or fewer and `hasMore`: so many that their texts reach `MAX_PAGE_BYTES`. */
export interface Page {
  readonly messages: readonly Message[]
  readonly hasMore: boolean
}
/** Bounds are seqs, exclusive. With `after` the page starts there; else it ends at `before`, or at the head. */
export interface PageRequest {
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly limit: number
}

export interface ConversationPage {
  readonly conversations: readonly ConversationSummary[]
  readonly nextCursor: string | null
}

/** The head of a conversation, for one of its people, and how far the two are. */
export interface RecentHead {
  readonly user: UserId
  readonly other: UserId
  readonly lastSeq: number
  /** What the user has acknowledged. */
  readonly deliveredSeq: number
  readonly readSeq: number
  readonly peerDeliveredSeq: number
  readonly peerReadSeq: number
}

/** The last `ageMs` milliseconds of a conversation. */
export interface Recent {
  readonly conversation: Conversation
  readonly ageMs: number
}

/** A conversation that holds something its reader has not acknowledged. */
export interface Backlog {
  readonly with: UserId
  readonly deliveredSeq: number
  readonly lastSeq: number
}

/**
 * Durable messages and positions.
 *
 * commit: one transaction, all or nothing, at most one at a time per store; begins before it returns, where it can. Resolves
 * only when it is durable. Messages of one conversation are numbered in the order of the batch, dense from the conversation's
 * head; `created_at` never decreases with `seq`. A message whose id its conversation already has gets that message's seq and
 * time and fate `duplicate`, or `conflict` when sender or content differ. Who sends has received what they sent: a sender whose
 * position was at the head stays at the head. Positions never decrease nor pass the head. Returns every position that was asked
 * to change, as it is now.
 *
 * Reads see everything committed before they began; they throw StoreUnavailable rather than answer with less.
 */
export interface MessageStore {
  commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]>
  /** Makes a commit under way fail as `aborted`, unless its COMMIT was sent already. */
  cancelCommit(): void
  page(conversation: Conversation, request: PageRequest): Promise<Page>
  /** 0 for a conversation without messages. */
  lastSeq(conversation: Conversation): Promise<number>
  conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage>
  /** Conversations of these users changed at or after `since` (milliseconds since the epoch), or all. */
  changes(user: UserId, since?: number): Promise<ConversationChange[]>
  /** Conversations of these users that changed within the last `ageMs` of the database's clock, once for each of the users. */
  recentHeads(users: readonly UserId[], ageMs: number): Promise<RecentHead[]>
  /**
   * Of each conversation the first seq that was numbered within the last `ageMs` of the database's clock, looking back 1,000
   * messages at most; one above the head when there is none.
   */
  firstSince(recent: readonly Recent[]): Promise<number[]>
  /** Conversations in which the user has not acknowledged everything. */
  backlog(user: UserId): Promise<Backlog[]>
  /** Throws when the store can not commit right now. */
  check(): Promise<void>
  close(): Promise<void>
}
