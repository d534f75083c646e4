import { decodeBase64url } from '../lib/base64url.ts'
import { isoTime } from '../lib/iso-time.ts'
import { arrayLiteral } from '../postgres/array.ts'
import type { Reader } from '../postgres/reader.ts'
import { type Statement, sqlStateOf, type TextRows } from '../postgres/statement.ts'
import type { ConversationChange, ConversationSummary, Message, UserId } from '../protocol/message.ts'
import { type Conversation, conversationBetween } from './conversation.ts'
import * as sql from './read-statements.postgres.ts'
import {
  type AsOf,
  type Backlog,
  type ConversationPage,
  InvalidCursor,
  MAX_PAGE_BYTES,
  type MessageReads,
  type Page,
  type PageRequest,
  type Recent,
  type RecentHead,
  StoreUnavailable,
  textBytes,
} from './store.ts'

type Row = TextRows[number]

/** Of the largest texts there may be these are hardly more than `MAX_PAGE_BYTES`. */
const MAX_SMALL_PAGE_ROWS = 101
/** PostgreSQL documentation, Appendix A, class 22. */
const DATA_EXCEPTION = '22'

/** The read half of the PostgreSQL store. Every statement is prepared, short and on its own: none holds a snapshot open. */
export class PostgresMessageReads implements MessageReads {
  readonly #reader: Reader

  constructor(reader: Reader) {
    this.#reader = reader
  }

  async page(conversation: Conversation, { before, after, limit }: PageRequest): Promise<Page> {
    const { lo, hi } = conversation
    const upTo = before ?? Number.MAX_SAFE_INTEGER
    // One row more than asked tells whether there is more.
    const rows = limit + 1
    const isLarge = rows > MAX_SMALL_PAGE_ROWS
    const texts =
      after === undefined
        ? (await this.#query(isLarge ? sql.LARGE_PAGE_BEFORE : sql.PAGE_BEFORE, [lo, hi, upTo, rows])).reverse()
        : await this.#query(isLarge ? sql.LARGE_PAGE_AFTER : sql.PAGE_AFTER, [lo, hi, after, upTo, rows])
    const messages = texts.map((row) => toMessage(conversation, String(row[0])))
    // The row with which the page became too large is left out as well: so it is known that there is one.
    const hasMore = messages.length === rows || (isLarge && textBytes(messages) >= MAX_PAGE_BYTES)
    if (hasMore) messages.splice(after === undefined ? 0 : -1, 1)
    return { messages, hasMore }
  }

  async lastSeq({ lo, hi }: Conversation): Promise<number> {
    const rows = await this.#query(sql.LAST_SEQ, [lo, hi])
    return Number(rows[0]?.[0] ?? 0)
  }

  async lastSeqs(conversations: readonly Conversation[]): Promise<number[]> {
    const lower = arrayLiteral(conversations.map(({ lo }) => lo))
    const higher = arrayLiteral(conversations.map(({ hi }) => hi))
    const found = new Map<number, number>()
    for (const [ord, seq] of await this.#query(sql.LAST_SEQS, [lower, higher])) found.set(Number(ord), Number(seq))
    return conversations.map((_, index) => found.get(index + 1) ?? 0)
  }

  async conversations(user: UserId, limit: number, cursor?: string): Promise<ConversationPage> {
    const [beforeMs, beforeId] = decodeCursor(cursor)
    const rows = await this.#query(sql.CONVERSATIONS, [user, limit + 1, beforeMs, beforeId])
    const hasMore = rows.length > limit
    if (hasMore) rows.length = limit
    const last = rows.at(-1)
    return {
      conversations: rows.map((row) => toSummary(user, row)),
      nextCursor: hasMore && last ? encodeCursor(Number(last[0]), Number(last[1])) : null,
    }
  }

  async changes(user: UserId, sinceMs = 0): Promise<AsOf<ConversationChange[]>> {
    return asOf(await this.#query(sql.CHANGES, [user, sinceMs]), (row) => {
      return { with: String(row[1]), last_seq: Number(row[2]), ...toPositions(row, 3) }
    })
  }

  async backlog(user: UserId): Promise<AsOf<Backlog[]>> {
    return asOf(await this.#query(sql.BACKLOG, [user]), (row) => {
      return { with: String(row[1]), deliveredSeq: Number(row[2]), lastSeq: Number(row[3]) }
    })
  }

  async recentHeads(users: readonly UserId[], sinceMs: number): Promise<AsOf<RecentHead[]>> {
    return asOf(await this.#query(sql.RECENT_HEADS, [arrayLiteral(users), sinceMs]), ([, user, address, ...seqs]) => {
      const [lastSeq = 0, deliveredSeq = 0, readSeq = 0, peerDeliveredSeq = 0, peerReadSeq = 0] = seqs.map(Number)
      return {
        user: String(user),
        with: String(address),
        lastSeq,
        deliveredSeq,
        readSeq,
        peerDeliveredSeq,
        peerReadSeq,
      }
    })
  }

  async firstSince(recent: readonly Recent[]): Promise<number[]> {
    const lower = arrayLiteral(recent.map(({ conversation }) => conversation.lo))
    const higher = arrayLiteral(recent.map(({ conversation }) => conversation.hi))
    const since = `{${recent.map(({ sinceMs }) => sinceMs).join(',')}}`
    const rows = await this.#query(sql.FIRST_SINCE, [lower, higher, since])
    const firsts = new Map(rows.map(([ord, seq]) => [Number(ord), Number(seq)]))
    return recent.map((_, index) => firsts.get(index + 1) ?? 1)
  }

  async #query(statement: Statement, values: readonly (string | number)[]): Promise<Row[]> {
    try {
      return [...(await this.#reader.query(statement, values))]
    } catch (error) {
      // A value that the server refuses is a mistake of ours: the same read would fail again on any connection.
      if (sqlStateOf(error)?.startsWith(DATA_EXCEPTION)) throw error
      throw new StoreUnavailable(error)
    }
  }
}

/**
 * One of the rows holds the time of the look in its first column and nothing else; it is null in the others, which are parsed. They are
 * not destructured: that goes by iterators, and after a restart V8 took as long to compile those as a third of all else.
 */
function asOf<T>(rows: readonly Row[], parse: (row: Row) => T): AsOf<T[]> {
  const found: T[] = []
  let asOfMs = Number.NaN
  for (const row of rows) {
    if (row[0] === null) found.push(parse(row))
    else asOfMs = Number(row[0])
  }
  return { found, asOfMs }
}

/** Reads what the statements call a message. */
function toMessage(conversation: Conversation, text: string): Message {
  const seq = text.indexOf(' ') + 1
  const ms = text.indexOf(' ', seq) + 1
  const sender = text.indexOf(' ', ms) + 1
  const content = text.indexOf(' ', sender) + 1
  const sender_id = text.slice(sender, content - 1)
  return {
    id: text.slice(0, seq - 1),
    seq: Number(text.slice(seq, ms - 1)),
    sender_id,
    receiver_id: sender_id === conversation.lo ? conversation.hi : conversation.lo,
    content: text.slice(content),
    created_at: isoTime(Number(text.slice(ms, sender - 1))),
  }
}

function toPositions(row: Row, from: number) {
  const [delivered_seq, read_seq, peer_delivered_seq, peer_read_seq] = row.slice(from, from + 4).map(Number)
  return {
    delivered_seq: delivered_seq ?? 0,
    read_seq: read_seq ?? 0,
    peer_delivered_seq: peer_delivered_seq ?? 0,
    peer_read_seq: peer_read_seq ?? 0,
  }
}

/** Columns: time, conversation id, peer, head, four positions, unread, then the last message. */
function toSummary(user: UserId, row: Row): ConversationSummary {
  const peer = String(row[2])
  const lastMessage = row[9] ? toMessage(conversationBetween(user, peer), row[9]) : null
  return {
    with: peer,
    last_seq: Number(row[3]),
    last_message: lastMessage,
    ...toPositions(row, 4),
    unread: Number(row[8]),
  }
}

function encodeCursor(ms: number, id: number): string {
  return Buffer.from(`${ms}.${id}`).toString('base64url')
}

function decodeCursor(cursor: string | undefined): [number, number] {
  if (cursor === undefined) return [Number.MAX_SAFE_INTEGER, 0]
  const [, ms, id] = /^(\d{1,15})\.(\d{1,15})$/.exec(decodeBase64url(cursor)?.toString('latin1') ?? '') ?? []
  if (ms === undefined || id === undefined || encodeCursor(Number(ms), Number(id)) !== cursor) throw new InvalidCursor()
  return [Number(ms), Number(id)]
}
