import type { Clock } from '../lib/clock.ts'
import { uuidv7 } from '../lib/uuid.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { Ref } from '../protocol/commands.ts'
import type { ConversationChange, Message, UserId } from '../protocol/message.ts'
import { type Conversation, conversationBetween } from './conversation.ts'
import type { KnownHeads } from './known-heads.ts'
import type { KnownPositions } from './known-positions.ts'
import type { SendObserver } from './outcomes.ts'
import type { OutcomeListener, QueuedSend } from './send-queue.ts'
import type { AsOf, ConversationPage, MessageReads, Page, PageRequest } from './store.ts'
import type { MessageWriter } from './writer.ts'

export interface NewMessage {
  readonly receiver_id: UserId
  /** Checked by the protocol's rules for text. */
  readonly content: string
  readonly id?: string | undefined
}

/** How far somebody is in a conversation; `read` implies `ack`. */
export interface PositionCommand {
  readonly type: 'ack' | 'read'
  readonly with: UserId
  readonly seq: number
}

/** What moves a position: a connection. */
export interface Mover {
  /** The line of history in which it was welcomed, as `KnownHeads` counts them: its numbers are those of no other. */
  readonly line: number
}

export interface MessageServiceOptions {
  readonly reads: MessageReads
  readonly writer: MessageWriter
  readonly clock: Clock
  readonly heads: KnownHeads
  readonly positions: KnownPositions
  readonly observer: SendObserver
}

const FLUSH_LIMIT_MS = 2_000

/** Sends, history, acknowledgements and conversations of one user: the rules, the same for REST and WebSocket. */
export class MessageService {
  readonly #options: MessageServiceOptions

  constructor(options: MessageServiceOptions) {
    this.#options = options
  }

  /**
   * Queues a message in the order of the calls and returns its id at once, or `undefined` when it cannot be queued; `asker`
   * is told the outcome, exactly once: stored only after the commit, a refusal to queue before this returns.
   */
  send(sender: UserId, message: NewMessage, asker: OutcomeListener, ref?: Ref): string | undefined {
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
      asker,
      ref,
      queuedAtMs: now,
      refusal: undefined,
    }
    send.refusal = writer.append(send)
    if (!send.refusal) return send.id
    this.#options.observer.sendSettled(send.refusal, 0)
    asker.settled(send)
    return undefined
  }

  /**
   * "I have stored (and with `read` also seen) everything of this conversation up to `seq`." Cumulative; lower than before
   * changes nothing. Resolves with the reason when it is refused, without waiting for the commit.
   */
  async advance(user: UserId, command: PositionCommand, movedBy: Mover): Promise<ErrorCode | undefined> {
    const { with: peer, seq } = command
    const conversation = conversationBetween(user, peer)
    if (seq > (await this.#head(conversation, seq))) {
      // It may be a message that this client sent just before, without waiting for its outcome.
      await this.allSettled()
      if (seq > (await this.#head(conversation, seq))) return 'invalid_ack'
    }
    return this.advanceStored(user, command, movedBy)
  }

  /** The line of history of which is told from now on. */
  get line(): number {
    return this.#options.heads.line
  }

  /** This message came from the store: an acknowledgement of it needs no look at the store. */
  sawStored({ sender_id, receiver_id, seq }: Pick<Message, 'sender_id' | 'receiver_id' | 'seq'>): void {
    this.#options.heads.saw(conversationBetween(sender_id, receiver_id), seq)
  }

  /** Whether a message with this seq is known to be stored, without a look at the store. */
  isKnownSeq(user: UserId, peer: UserId, seq: number): boolean {
    return this.#options.heads.of(conversationBetween(user, peer)) >= seq
  }

  /** As `advance`, where the message is known to be stored: queued when this returns. */
  advanceStored(user: UserId, { with: peer, seq, type }: PositionCommand, movedBy: Mover): ErrorCode | undefined {
    const { heads, positions, writer } = this.#options
    const { line } = movedBy
    // Whoever was told of the line before is closed, and compares.
    if (line !== heads.line) return undefined
    const conversation = conversationBetween(user, peer)
    const change = { conversation, user, delivered: seq, read: type === 'read' ? seq : 0, movedBy, line }
    return positions.isNew(change) ? writer.advance(change) : undefined
  }

  /** Reads its own writes: a message that was acknowledged before the call is in the page. */
  history(user: UserId, peer: UserId, request: PageRequest): Promise<Page> {
    return this.#options.reads.page(conversationBetween(user, peer), request)
  }

  conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage> {
    return this.#options.reads.conversations(user, limit, cursor)
  }

  /** Conversations that changed since a time by the store's clock, and those whose head the client does not hold; all, without either. */
  async changes(
    user: UserId,
    sinceMs?: number,
    heads?: readonly (readonly [UserId, number])[],
  ): Promise<AsOf<ConversationChange[]>> {
    const { reads } = this.#options
    if (!heads) return reads.changes(user, sinceMs)
    const held = new Map(heads)
    const recent = sinceMs === undefined ? undefined : await reads.changes(user, sinceMs)
    const recentWith = new Set(recent?.found.map((conversation) => conversation.with))
    const all = await reads.changes(user)
    const found = all.found.filter(({ with: peer, last_seq }) => recentWith.has(peer) || held.get(peer) !== last_seq)
    return { found, asOfMs: recent?.asOfMs ?? all.asOfMs }
  }

  /**
   * Resolves once every send queued before has its outcome and every position moved before is stored; after two seconds in
   * any case: while the database is away, the next read finds that out by itself.
   */
  allSettled(): Promise<void> {
    return this.#options.writer.allSettled(FLUSH_LIMIT_MS)
  }

  /** A lower bound of the conversation's head that is at least `atLeast` if the head is. */
  async #head(conversation: Conversation, atLeast: number): Promise<number> {
    const { heads, reads } = this.#options
    const known = heads.of(conversation)
    if (known >= atLeast) return known
    const { line } = heads
    const head = await reads.lastSeq(conversation)
    if (line === heads.line) heads.read(conversation, head)
    return head
  }
}
