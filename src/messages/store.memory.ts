import { MAX_UNREAD_COUNT, UNREAD_WINDOW } from '../protocol/limits.ts'
import type { ConversationChange, ConversationSummary, Message, Positions, UserId } from '../protocol/message.ts'
import { type ConversationPart, partsByConversation } from './batch-parts.ts'
import { addressIn, type Conversation } from './conversation.ts'
import {
  type AsOf,
  type Backlog,
  CommitError,
  type CommitPath,
  type ConversationPage,
  InvalidCursor,
  MAX_PAGE_BYTES,
  type MessageStore,
  type Page,
  type PageRequest,
  type PendingMessage,
  type PositionChange,
  type Recent,
  type RecentHead,
  textBytes,
} from './store.ts'

interface Position {
  delivered: number
  read: number
}

interface Log {
  readonly conversation: Conversation
  readonly messages: Message[]
  readonly lo: Position
  readonly hi: Position
  updatedAtMs: number
}

/** The store's contract without a database, for tests and benches of what stands above it. Holds everything for ever. */
export class MemoryMessageStore implements MessageStore {
  readonly #logs = new Map<string, Log>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    // As with a database nothing has its outcome when the call returns.
    await undefined
    const parts = partsByConversation(messages, positions)
    if (parts.some((part) => isTrusted(path, part.conversation) && this.#holdsAny(part))) {
      throw new CommitError('duplicate', undefined)
    }
    return parts.flatMap((part) => this.#apply(part))
  }

  cancelCommit(): void {
    // A commit here is over before anybody could ask.
  }

  async page(conversation: Conversation, { before, after, limit }: PageRequest): Promise<Page> {
    const all = this.#logs.get(conversation.key)?.messages ?? []
    const to = Math.min(all.length, (before ?? all.length + 1) - 1)
    const from = after ?? Math.max(0, to - limit)
    const messages = all.slice(from, Math.max(from, Math.min(to, from + limit)))
    const far = after === undefined ? 0 : -1
    let isCut = false
    while (messages.length > 1 && textBytes(messages) >= MAX_PAGE_BYTES) {
      messages.splice(far, 1)
      isCut = true
    }
    return { messages, hasMore: isCut || (after === undefined ? from > 0 && to > 0 : from + limit < to) }
  }

  async lastSeq({ key }: Conversation): Promise<number> {
    return this.#logs.get(key)?.messages.length ?? 0
  }

  async lastSeqs(conversations: readonly Conversation[]): Promise<number[]> {
    return Promise.all(conversations.map((conversation) => this.lastSeq(conversation)))
  }

  async conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage> {
    if (cursor !== undefined && !/^\d{1,15}$/.test(cursor)) throw new InvalidCursor()
    const skip = Number(cursor ?? 0)
    const mine = this.#of(user).sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1))
    const conversations = mine.slice(skip, skip + limit).map((log) => summary(log, user))
    return { conversations, nextCursor: mine.length > skip + limit ? String(skip + limit) : null }
  }

  async changes(user: UserId, sinceMs = 0): Promise<AsOf<ConversationChange[]>> {
    const logs = this.#of(user).filter((log) => log.updatedAtMs >= sinceMs)
    return this.#asOfNow(
      logs.map((log) => ({ with: peerIn(log, user), last_seq: log.messages.length, ...positions(log, user) })),
    )
  }

  async backlog(user: UserId): Promise<AsOf<Backlog[]>> {
    const all = this.#of(user).map((log) => {
      return { with: peerIn(log, user), deliveredSeq: own(log, user).delivered, lastSeq: log.messages.length }
    })
    return this.#asOfNow(all.filter(({ deliveredSeq, lastSeq }) => lastSeq > deliveredSeq))
  }

  async recentHeads(users: readonly UserId[], sinceMs: number): Promise<AsOf<RecentHead[]>> {
    const heads = users.flatMap((user) => {
      const logs = this.#of(user).filter((log) => log.updatedAtMs >= sinceMs)
      return logs.map((log) => headOf(log, user))
    })
    return this.#asOfNow(heads)
  }

  async firstSince(recent: readonly Recent[]): Promise<number[]> {
    return recent.map(({ conversation, sinceMs }) => {
      const since = new Date(sinceMs).toISOString()
      const messages = this.#logs.get(conversation.key)?.messages ?? []
      const older = messages.filter(({ created_at }) => created_at < since).length
      return 1 + Math.max(older, messages.length - RECENT_WINDOW)
    })
  }

  async check(): Promise<void> {
    // Memory can always store.
  }
  async close(): Promise<void> {
    // Nothing is open.
  }

  #asOfNow<T>(found: T): AsOf<T> {
    return { found, asOfMs: this.#now() }
  }

  #holdsAny(part: ConversationPart): boolean {
    const log = this.#logs.get(part.conversation.key)
    const ids = new Set(log?.messages.map(({ id }) => id))
    return part.messages.some(({ id }) => ids.size === ids.add(id).size)
  }

  #apply(part: ConversationPart): PositionChange[] {
    const log = this.#logOf(part.conversation)
    const now = Math.max(this.#now(), log.updatedAtMs)
    const headBefore = log.messages.length
    for (const message of part.messages) this.#append(log, message, new Date(now).toISOString())
    const stored = part.messages.filter(({ fate }) => fate === 'stored')
    if (stored.length === 0) part.foundHead(headBefore)
    for (const [person, change] of [
      [log.lo, part.lo],
      [log.hi, part.hi],
    ] as const) {
      const user = person === log.lo ? log.conversation.lo : log.conversation.hi
      const run = leading(stored, user)
      for (const position of ['delivered', 'read'] as const) {
        const carried = person[position] === headBefore ? headBefore + run : 0
        const moved = Math.min(change?.[position] ?? 0, log.messages.length)
        person[position] = Math.max(person[position], carried, moved)
      }
    }
    log.updatedAtMs = now
    return [...(part.lo ? [{ ...part.lo, ...log.lo }] : []), ...(part.hi ? [{ ...part.hi, ...log.hi }] : [])]
  }

  #append(log: Log, message: PendingMessage, created_at: string): void {
    const existing = log.messages.find(({ id }) => id === message.id)
    const seq = existing?.seq ?? log.messages.length + 1
    message.seq = seq
    message.created_at = existing?.created_at ?? created_at
    if (!existing) {
      const { id, sender_id, receiver_id, content } = message
      log.messages.push({ id, seq, sender_id, receiver_id, content, created_at })
      message.fate = 'stored'
    } else {
      const same = existing.sender_id === message.sender_id && existing.content === message.content
      message.fate = same ? 'duplicate' : 'conflict'
    }
  }

  #logOf(conversation: Conversation): Log {
    const known = this.#logs.get(conversation.key)
    if (known) return known
    const log = { conversation, messages: [], lo: none(), hi: none(), updatedAtMs: 0 }
    this.#logs.set(conversation.key, log)
    return log
  }

  #of(user: UserId): Log[] {
    const logs = [...this.#logs.values()].filter(({ messages }) => messages.length > 0)
    return logs.filter(({ conversation }) => conversation.lo === user || conversation.hi === user)
  }
}

/** Whether its ids are assumed to be new. */
const isTrusted = (path: CommitPath, { key }: Conversation): boolean =>
  path === 'fast' || (path !== 'careful' && !path.has(key))

/** As far back as PostgreSQL's statement looks. */
const RECENT_WINDOW = 1000
const none = (): Position => ({ delivered: 0, read: 0 })
const timeOf = (log: Log): string => log.messages.at(-1)?.created_at ?? ''
const peerIn = (log: Log, user: UserId): UserId => addressIn(log.conversation, user)
const own = (log: Log, user: UserId): Position => (user === log.conversation.lo ? log.lo : log.hi)

function positions(log: Log, user: UserId): Positions {
  const mine = own(log, user)
  const theirs = user === log.conversation.lo ? log.hi : log.lo
  return {
    delivered_seq: mine.delivered,
    read_seq: mine.read,
    peer_delivered_seq: theirs.delivered,
    peer_read_seq: theirs.read,
  }
}

function headOf(log: Log, user: UserId): RecentHead {
  const peer = peerIn(log, user)
  const [mine, theirs] = [own(log, user), own(log, peer)]
  return {
    user,
    with: peer,
    lastSeq: log.messages.length,
    deliveredSeq: mine.delivered,
    readSeq: mine.read,
    peerDeliveredSeq: theirs.delivered,
    peerReadSeq: theirs.read,
  }
}

function summary(log: Log, user: UserId): ConversationSummary {
  const { read_seq, ...rest } = positions(log, user)
  const after = Math.max(read_seq, log.messages.length - UNREAD_WINDOW)
  const unread = log.messages.filter(({ seq, sender_id }) => seq > after && sender_id !== user).length
  return {
    with: peerIn(log, user),
    last_seq: log.messages.length,
    last_message: log.messages.at(-1) ?? null,
    read_seq,
    ...rest,
    unread: Math.min(unread, MAX_UNREAD_COUNT),
  }
}

function leading(messages: readonly PendingMessage[], user: UserId): number {
  const end = messages.findIndex(({ sender_id }) => sender_id !== user)
  return end < 0 ? messages.length : end
}
