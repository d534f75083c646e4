import type { Clock } from '../lib/clock.ts'
import { uuidv7 } from '../lib/uuid.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { Ref } from '../protocol/commands.ts'
import type { ConversationChange, UserId } from '../protocol/message.ts'
import { type Conversation, conversationBetween } from './conversation.ts'
import type { KnownHeads } from './known-heads.ts'
import { KnownPositions } from './known-positions.ts'
import type { QueuedSend, SendOrigin } from './send-queue.ts'
import type { ConversationPage, MessageStore, Page, PageRequest, PositionChange } from './store.ts'
import type { MessageWriter } from './writer.ts'

export interface NewMessage {
  readonly receiver_id: UserId
  /** Checked by the protocol's rules for text. */
  readonly content: string
  readonly id?: string | undefined
}

/** How far somebody is in a conversation; `read` implies `ack`. */
export interface Move {
  readonly type: 'ack' | 'read'
  readonly with: UserId
  readonly seq: number
}

/** Tells the people concerned what was committed. */
export interface Announcer {
  message(send: QueuedSend): void
  position(change: PositionChange): void
  /** Everything of one batch has been announced. */
  batchDone(): void
}

export interface SendObserver {
  /** `outcome`: stored, duplicate, conflict, or the code of a refusal. */
  sendSettled(outcome: string, ageMs: number): void
}

export interface MessageServiceOptions {
  readonly store: MessageStore
  readonly writer: MessageWriter
  readonly clock: Clock
  readonly announcer: Announcer
  readonly heads: KnownHeads
  readonly observer: SendObserver
}

const FLUSH_LIMIT_MS = 2_000

/** Sends, history, acknowledgements and conversations of one user: the rules, the same through either door. */
export class MessageService {
  readonly #options: MessageServiceOptions
  readonly #positions = new KnownPositions()

  constructor(options: MessageServiceOptions) {
    this.#options = options
  }

  /**
   * Queues a message in the order of the calls and returns its id at once, or `undefined` when it can not be queued; `origin`
   * is told the outcome, exactly once: stored only after the commit, a refusal to queue before this returns.
   */
  send(sender: UserId, message: NewMessage, origin: SendOrigin, ref?: Ref): string | undefined {
    const { clock, writer } = this.#options
    const now = clock.now()
    const send: QueuedSend = {
      conversation: conversationBetween(sender, message.receiver_id),
      id: message.id?.toLowerCase() ?? uuidv7(now),
      sender_id: sender,
      receiver_id: message.receiver_id,
      content: message.content,
      seq: 0,
      created_at: '',
      fate: 'pending',
      origin,
      ref,
      queuedAtMs: now,
      refusal: undefined,
    }
    send.refusal = writer.append(send)
    if (!send.refusal) return send.id
    this.#options.observer.sendSettled(send.refusal, 0)
    origin.settled(send)
    return undefined
  }

  /**
   * "I have stored (and with `read` also seen) everything of this conversation up to `seq`." Cumulative; lower than before
   * changes nothing. Resolves with the reason when it is refused, without waiting for the commit.
   */
  async move(user: UserId, move: Move, origin: object): Promise<ErrorCode | undefined> {
    const { with: other, seq, type } = move
    const conversation = conversationBetween(user, other)
    if (seq > (await this.#head(conversation, seq))) {
      // It may be a message that this client sent just before, without waiting for its outcome.
      await this.flushed()
      if (seq > (await this.#head(conversation, seq))) return 'invalid_ack'
    }
    const change = { conversation, user, delivered: seq, read: type === 'read' ? seq : 0, origin }
    return this.#positions.isNew(change) ? this.#options.writer.move(change) : undefined
  }

  /** Reads its own writes: whatever was acknowledged before the call is in the page. */
  history(user: UserId, other: UserId, request: PageRequest): Promise<Page> {
    return this.#options.store.page(conversationBetween(user, other), request)
  }

  conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage> {
    return this.#options.store.conversations(user, limit, cursor)
  }

  /** Conversations that changed since a time, and those whose head the client does not hold; all, without either. */
  async changes(
    user: UserId,
    since?: number,
    heads?: readonly (readonly [UserId, number])[],
  ): Promise<ConversationChange[]> {
    const { store } = this.#options
    if (!heads) return store.changes(user, since)
    const held = new Map(heads)
    const recent = since === undefined ? [] : await store.changes(user, since)
    const recentWith = new Set(recent.map((conversation) => conversation.with))
    const all = await store.changes(user)
    return all.filter(({ with: other, last_seq }) => recentWith.has(other) || held.get(other) !== last_seq)
  }

  /**
   * Resolves once every send queued before has its outcome and every position moved before is stored; after two seconds in
   * any case: while the database is away, whatever is read next finds that out by itself.
   */
  flushed(): Promise<void> {
    return this.#options.writer.flushed(FLUSH_LIMIT_MS)
  }

  /** What the writer reports: outcomes to where they came from, news to whom they concern. Order is the batch's. */
  settled(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void {
    const { announcer, heads, observer, clock } = this.#options
    const now = clock.now()
    for (const send of sends) {
      if (send.fate === 'stored' || (send.fate === 'duplicate' && send.wasUnknown)) {
        heads.saw(send.conversation, send.seq)
        announcer.message(send)
      }
      send.origin.settled(send)
      observer.sendSettled(send.refusal ?? send.fate, now - send.queuedAtMs)
    }
    for (const change of positions) {
      this.#positions.stored(change)
      announcer.position(change)
    }
    announcer.batchDone()
  }

  /** A lower bound of the conversation's head that is at least `atLeast` if the head is. */
  async #head(conversation: Conversation, atLeast: number): Promise<number> {
    const { heads, store } = this.#options
    const known = heads.of(conversation)
    if (known >= atLeast) return known
    const head = await store.lastSeq(conversation)
    heads.saw(conversation, head)
    return head
  }
}
