import { isoTime } from '../lib/iso-time.ts'
import { arrayLiteral } from '../postgres/array.ts'
import type { Reader } from '../postgres/reader.ts'
import type { Statement, TextRows } from '../postgres/statement.ts'
import type { ConversationChange, ConversationSummary, Message, UserId } from '../protocol/message.ts'
import { type Conversation, conversationBetween } from './conversation.ts'
import * as sql from './read-statements.postgres.ts'
import {
  type Backlog,
  type ConversationPage,
  MAX_PAGE_BYTES,
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

/** The read half of the PostgreSQL store. Every statement is prepared, short and on its own: none holds a snapshot open. */
export class PostgresReads {
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
    const messages = texts.map(([text]) => toMessage(conversation, String(text)))
    // The row with which the page became too large is left out as well: so it is known that there is one.
    const hasMore = messages.length === rows || (isLarge && textBytes(messages) >= MAX_PAGE_BYTES)
    if (hasMore) messages.splice(after === undefined ? 0 : -1, 1)
    return { messages, hasMore }
  }

  async lastSeq({ lo, hi }: Conversation): Promise<number> {
    const rows = await this.#query(sql.LAST_SEQ, [lo, hi])
    return Number(rows[0]?.[0] ?? 0)
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

  async changes(user: UserId, since?: number): Promise<ConversationChange[]> {
    const rows = await this.#query(sql.CHANGES, [user, since ?? 0])
    return rows.map((row) => ({ with: String(row[0]), last_seq: Number(row[1]), ...toPositions(row, 2) }))
  }

  async backlog(user: UserId): Promise<Backlog[]> {
    const rows = await this.#query(sql.BACKLOG, [user])
    return rows.map((row) => ({ with: String(row[0]), deliveredSeq: Number(row[1]), lastSeq: Number(row[2]) }))
  }

  async recentHeads(users: readonly UserId[], ageMs: number): Promise<RecentHead[]> {
    const rows = await this.#query(sql.RECENT_HEADS, [arrayLiteral(users), ageMs])
    return rows.map(([user, other, ...seqs]) => {
      const [lastSeq = 0, deliveredSeq = 0, readSeq = 0, peerDeliveredSeq = 0, peerReadSeq = 0] = seqs.map(Number)
      return { user: String(user), other: String(other), lastSeq, deliveredSeq, readSeq, peerDeliveredSeq, peerReadSeq }
    })
  }

  async firstSince(recent: readonly Recent[]): Promise<number[]> {
    const lower = arrayLiteral(recent.map(({ conversation }) => conversation.lo))
    const higher = arrayLiteral(recent.map(({ conversation }) => conversation.hi))
    const ages = `{${recent.map(({ ageMs }) => ageMs).join(',')}}`
    const rows = await this.#query(sql.FIRST_SINCE, [lower, higher, ages])
    const firsts = new Map(rows.map(([ord, seq]) => [Number(ord), Number(seq)]))
    return recent.map((_, index) => firsts.get(index + 1) ?? 1)
  }

  /** A database that answers and can store. */
  async check(): Promise<void> {
    const [[fault] = []] = await this.#query(sql.CHECK, [])
    if (fault) throw new StoreUnavailable(new Error(fault))
  }

  async #query(statement: Statement, values: readonly (string | number)[]): Promise<Row[]> {
    try {
      return [...(await this.#reader.query(statement, values))]
    } catch (error) {
      throw new StoreUnavailable(error)
    }
  }
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

/** A cursor that is none of ours starts after the end: an empty page, no error that tells how cursors are made. */
function decodeCursor(cursor: string | undefined): [number, number] {
  if (cursor === undefined) return [Number.MAX_SAFE_INTEGER, 0]
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))
  return match ? [Number(match[1]), Number(match[2])] : [0, 0]
}
