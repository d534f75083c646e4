import { Unavailable } from '../lib/errors.ts'
import type { ConversationChange, ConversationSummary, Message, UserId } from '../protocol/message.ts'
import type { Address, Conversation } from './conversation.ts'

/** A message on its way into the store. `commit` fills what only the store knows. */
export interface PendingMessage {
  readonly conversation: Conversation
  readonly id: string
  readonly sender_id: UserId
  readonly receiver_id: UserId
  readonly content: string
  seq: number
  created_at: string
  /**
   * `conflict`: the id belongs to another message of this conversation. `closed`: the conversation takes no messages. Nothing was
   * stored for either.
   */
  fate: 'pending' | 'stored' | 'duplicate' | 'conflict' | 'closed'
  /** Of a duplicate: nothing has followed it in its conversation, so it may be that nobody was ever told of it. */
  isNewest?: boolean
}

/** "This user has received, and perhaps read, everything up to here." Never above the conversation's head. */
export interface PositionChange {
  readonly conversation: Conversation
  readonly user: UserId
  readonly delivered: number
  readonly read: number
  /** The connection that asked, when it was one alone: it needs no receipt. */
  readonly movedBy: object | undefined
  /** In which line of history it counts, as `KnownHeads` counts them; none: in whichever there is. */
  readonly line?: number
}

/** The later of two changes of one person in one conversation. */
export function furthest(a: PositionChange, b: PositionChange): PositionChange {
  if (a.line !== b.line) return (a.line ?? 0) > (b.line ?? 0) ? a : b
  return {
    ...a,
    delivered: Math.max(a.delivered, b.delivered),
    read: Math.max(a.read, b.read),
    movedBy: a.movedBy === b.movedBy ? a.movedBy : undefined,
  }
}

/**
 * `fast` assumes that no id was stored before and fails with `duplicate` when one was.
 * `careful` looks every id up under the conversation's lock, and is right after any earlier attempt.
 * A set of keys: the ids of these conversations are looked up, those of all others are assumed to be new.
 */
export type CommitPath = 'fast' | 'careful' | ReadonlySet<string>

/**
 * Why a commit failed. But for `unknown` nothing is stored.
 * `duplicate`: an id, or a number, was taken already. `rejected`: the store cannot hold the text of a row. `refused`: it would
 * refuse a row, or a conversation, however often it is tried; the others of the batch it may take. `denied`: it would refuse
 * any batch. `unknown_person`: these conversations do not exist, and may not begin. `unnumbered`: the fast path found that one
 * takes no messages, or is gone; the careful path answers each of its sends. `aborted`: anything else before COMMIT was sent; another attempt may succeed. `unknown`: COMMIT was sent and its
 * outcome never heard; only the careful path may follow.
 */
export type CommitFailure =
  | 'duplicate'
  | 'rejected'
  | 'refused'
  | 'denied'
  | 'unknown_person'
  | 'unnumbered'
  | 'aborted'
  | 'unknown'

const NONE: ReadonlySet<string> = new Set()

export class CommitError extends Error {
  readonly failure: CommitFailure
  /** Of `refused` where they are known, of `unknown_person` and `unnumbered`: the keys of the conversations in question. */
  readonly conversations: ReadonlySet<string>

  constructor(failure: CommitFailure, cause: unknown, conversations = NONE) {
    super(cause instanceof Error ? cause.message : failure, { cause })
    this.name = 'CommitError'
    this.failure = failure
    this.conversations = conversations
  }
}

/** Longer than any of our transactions may live: a change may carry a time this much before it became visible. */
export const COMMIT_SLACK_MS = 10_000

/** A cursor that no page ended with. */
export class InvalidCursor extends Error {}

/** Reading failed; nothing may be concluded from it. */
export class StoreUnavailable extends Unavailable {
  override readonly name = 'StoreUnavailable'

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : 'store unavailable', { cause })
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
  readonly with: Address
  readonly lastSeq: number
  /** What the user has acknowledged. */
  readonly deliveredSeq: number
  readonly readSeq: number
  readonly peerDeliveredSeq: number
  readonly peerReadSeq: number
}

/** A conversation from a time on, by the store's clock. */
export interface Recent {
  readonly conversation: Conversation
  readonly sinceMs: number
}

/** A conversation that holds something its reader has not acknowledged. */
export interface Backlog {
  readonly with: Address
  readonly deliveredSeq: number
  readonly lastSeq: number
}

/**
 * What was read, and when by the store's own clock (milliseconds since the epoch): everything that was committed before is in
 * it. Clocks of processes differ from the store's and drift, so a client that asks later for what has changed since names this time.
 */
export interface AsOf<T> {
  readonly found: T
  readonly asOfMs: number
}

/**
 * Durable messages and positions, the writing half.
 *
 * commit: one transaction, all or nothing, at most one at a time per log; begins before it returns, where it can. Resolves
 * only when it is durable. Messages of one conversation are numbered in the order of the batch, dense from the conversation's
 * head; `created_at` never decreases with `seq`. A message whose id its conversation already has gets that message's seq and
 * time and fate `duplicate`, or `conflict` when sender or content differ. A new message of a conversation that is closed gets
 * fate `closed`, and positions in it still move. A sender has received what they sent: a sender whose
 * position was at the head stays at the head. Positions never decrease nor pass the head; those of a line of history that has
 * ended are dropped, where the store can be set back. Returns every other position that was asked to change, as it is now. Rejects
 * with a CommitError; then the messages are as they were before.
 */
export interface MessageLog {
  commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]>
  /** Makes a commit under way fail as `aborted`, unless its COMMIT was sent already. */
  cancelCommit(): void
  /** Throws when nothing can be committed right now. */
  check(): Promise<void>
  close(): Promise<void>
}

/** The reading half. Reads see everything committed before they began; they throw StoreUnavailable rather than answer with less. */
export interface MessageReads {
  page(conversation: Conversation, request: PageRequest): Promise<Page>
  /** 0 for a conversation without messages. */
  lastSeq(conversation: Conversation): Promise<number>
  /** The same of several, in the order asked. */
  lastSeqs(conversations: readonly Conversation[]): Promise<number[]>
  /** Rejects with InvalidCursor where `cursor` is not the `nextCursor` of a page. */
  conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage>
  /**
   * Conversations of this user that changed at or after `sinceMs` by the store's clock, or all. A change has the time at which
   * its transaction began.
   */
  changes(user: UserId, sinceMs?: number): Promise<AsOf<ConversationChange[]>>
  /** The same of several users, once for each of them; of none it tells the time alone. */
  recentHeads(users: readonly UserId[], sinceMs: number): Promise<AsOf<RecentHead[]>>
  /**
   * Of each conversation the first seq that was numbered since then, looking back 1,000 messages at most; one above the head
   * when there is none.
   */
  firstSince(recent: readonly Recent[]): Promise<number[]>
  /** Conversations in which the user has not acknowledged everything. */
  backlog(user: UserId): Promise<AsOf<Backlog[]>>
}

/** Both halves, where one object is both. */
export interface MessageStore extends MessageLog, MessageReads {}
