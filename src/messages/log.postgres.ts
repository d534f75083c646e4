import type { DependencyLog } from '../lib/dependency-log.ts'
import { isoTime } from '../lib/iso-time.ts'
import { TransactionError } from '../postgres/copy-transaction.ts'
import type { Reader } from '../postgres/reader.ts'
import { sqlStateOf } from '../postgres/statement.ts'
import type { WriterConnection } from '../postgres/writer-connection.ts'
import type { WriterSession } from '../postgres/writer-session.ts'
import { type ConversationPart, partsByConversation } from './batch-parts.ts'
import type { Conversation } from './conversation.ts'
import { type Beginnings, ConversationIds, UnknownPeople, UnopenedConversations } from './conversation-ids.postgres.ts'
import type { KnownHeads } from './known-heads.ts'
import { type Located, numberAndWrite, Unnumbered } from './numbering.postgres.ts'
import { CHECK } from './read-statements.postgres.ts'
import * as sql from './statements.postgres.ts'
import {
  CommitError,
  type CommitFailure,
  type CommitPath,
  type MessageLog,
  type PendingMessage,
  type PositionChange,
  StoreUnavailable,
} from './store.ts'

export interface PostgresMessageLogOptions {
  /** The writer's own connection: reads can never keep it waiting. */
  readonly writerConnection: WriterConnection
  /** Asks, for `check` alone, whether the server would take a commit. */
  readonly reader: Reader
  /** Told the head that each conversation had before the batch, while it is locked. */
  readonly heads: Pick<KnownHeads, 'locked' | 'line'>
  /** Told why nothing, or not everything, can be stored. */
  readonly health: DependencyLog
  /** With whom a new conversation may begin. A conversation that exists is proof enough: no message looks for its people. */
  readonly beginnings: Beginnings
}

/** The writing half of the PostgreSQL store. The transaction is described at `#number` and `#careful`. */
export class PostgresMessageLog implements MessageLog {
  readonly #connection: WriterConnection
  readonly #reader: Reader
  readonly #ids: ConversationIds
  readonly #heads: Pick<KnownHeads, 'locked' | 'line'>
  readonly #health: DependencyLog

  constructor({ writerConnection, reader, heads, health, beginnings }: PostgresMessageLogOptions) {
    this.#connection = writerConnection
    this.#reader = reader
    this.#ids = new ConversationIds(writerConnection, health, beginnings)
    this.#heads = heads
    this.#health = health
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    let parts: readonly ConversationPart[] = []
    let sorted: readonly Located[] = []
    let session: WriterSession | undefined
    try {
      // Not awaited when it is there: the first statement is then on its way when this returns.
      session = this.#connection.ready ?? (await this.#connection.session())
      // Only now: with a new session another line may have begun, in which the same numbers are those of other messages.
      const { line: present } = this.#heads
      const moved = positions.filter(({ line = present }) => line === present)
      parts = partsByConversation(messages, moved)
      if (parts.length === 0) return this.#worked([])
      const conversations = parts.map((part) => part.conversation)
      const ids = this.#ids.known(conversations) ?? (await this.#ids.learn(session, conversations))
      // Every writer locks conversations in the order of their ids, so two writers cannot wait for each other.
      sorted = parts.map((part, index) => ({ part, id: ids[index] ?? 0 })).sort((a, b) => a.id - b.id)
      const states =
        path === 'fast' ? await this.#number(session, sorted, true) : await this.#careful(session, sorted, path)
      return this.#worked(states)
    } catch (error) {
      for (const part of parts) part.reset()
      throw await this.#recovered(error, session, refusedBy(error, sorted))
    }
  }

  #worked(states: PositionChange[]): PositionChange[] {
    this.#health.works('a commit')
    return states
  }

  /**
   * Looks up which messages exist in a statement of its own after the one that locks: a single statement would look with a
   * snapshot from before the lock was granted and miss what the last holder committed. Everything is locked, also what is not
   * looked up, because locks are taken in one order.
   */
  async #careful(session: WriterSession, sorted: readonly Located[], path: CommitPath): Promise<PositionChange[]> {
    await session.command('BEGIN')
    const locked = await session.query(sql.LOCK, [array(sorted.map(({ id }) => id))])
    const closed = new Set(locked.filter(([, gate]) => gate !== '0').map(([id]) => Number(id)))
    const doubtful = sorted.filter(({ part, id }) => closed.has(id) || isCarefulFor(path, part.conversation))
    const rows = doubtful.flatMap(({ part, id }) => part.messages.map((message) => ({ id, message })))
    const found = await session.query(sql.LOOK_UP, [
      array(rows.map((row) => row.id)),
      array(rows.map((row) => row.message.id)),
    ])
    for (const [ord, seq, sender, content, atMs] of found) {
      const message = rows[Number(ord) - 1]?.message
      if (message) settleExisting(message, { seq: Number(seq), sender, content, created_at: isoTime(Number(atMs)) })
    }
    for (const { part, id } of doubtful) if (closed.has(id)) part.refuseNew()
    const repeats = doubtful.flatMap(({ part }) => part.setAsideRepeats())
    // Of a closed conversation only positions change: who goes on sending there leaves no dead rows.
    const changing = sorted.filter(({ part, id }) => part.advances || !closed.has(id))
    const states = await this.#number(session, changing, false)
    for (const { message, first } of repeats) {
      settleExisting(message, { ...first, sender: first.sender_id })
    }
    return states
  }

  /** Numbers the new messages and copies them: the whole transaction on the fast path, the end of it on the careful one. */
  async #number(session: WriterSession, sorted: readonly Located[], begin: boolean): Promise<PositionChange[]> {
    const advances = sorted.some(({ part }) => part.advances)
    const parts = sorted.map(({ part }) => part)
    const values = [
      array(sorted.map(({ id }) => id)),
      array(parts.map((part) => part.fresh.length)),
      array(parts.map((part) => part.leadingBy(part.conversation.lo))),
      array(parts.map((part) => part.leadingBy(part.conversation.hi))),
    ]
    if (advances) values.push(...positionArrays(parts))
    const states: PositionChange[] = []
    await session.copyTransaction({
      begin,
      first: advances ? sql.NUMBER_AND_MOVE : sql.NUMBER,
      values,
      copy: sql.COPY,
      rows: (numbered) => numberAndWrite({ sorted, isLocked: !begin }, numbered, states, this.#heads),
    })
    for (const part of parts) for (const message of part.fresh) message.fate = 'stored'
    return states
  }

  /** What the failure means for the batch, with the connection left ready for the next one. */
  async #recovered(
    error: unknown,
    session: WriterSession | undefined,
    refused: ReadonlySet<string> | undefined,
  ): Promise<CommitError> {
    const failure = failureOf(error)
    if (failure === 'aborted' || failure === 'unknown') this.#connection.discard()
    // The server answered; only the transaction is broken.
    else await session?.command('ROLLBACK').catch(() => this.#connection.discard())
    if (!OF_MESSAGES.has(failure)) this.#health.failed('a commit', error)
    return new CommitError(failure, error, refused)
  }

  /** A database that answers and can store. */
  async check(): Promise<void> {
    if ((await this.#fault()) === undefined) return
    // Whether a session may write is settled when it begins: only a new one tells what holds now.
    this.#reader.renew()
    const fault = await this.#fault()
    if (fault !== undefined) throw new StoreUnavailable(new Error(fault))
  }

  async #fault(): Promise<string | undefined> {
    const rows = await this.#reader.query(CHECK, []).catch((error: unknown) => {
      throw new StoreUnavailable(error)
    })
    return rows[0]?.[0] ?? undefined
  }

  cancelCommit(): void {
    this.#connection.cancel()
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }
}

/** Nothing is wrong with the store. */
const OF_MESSAGES: ReadonlySet<CommitFailure> = new Set(['duplicate', 'rejected', 'unknown_person', 'unnumbered'])

/**
 * SQLSTATE 23505: unique violation. Classes: 22 data exception (a text PostgreSQL cannot hold), 23 integrity constraint, 44
 * check option of a view, 54 program limit, P0 raised by a trigger: all of them about a row. 42: a right or a table that is
 * missing, but for 42P05, a pooler that mixes up prepared statements.
 * Source: PostgreSQL documentation, "PostgreSQL Error Codes".
 */
function failureOf(error: unknown): CommitFailure {
  if (error instanceof UnopenedConversations) return 'refused'
  if (error instanceof UnknownPeople) return 'unknown_person'
  const isStored = error instanceof TransactionError
  if (isStored && error.cause instanceof Unnumbered) return 'unnumbered'
  if (isStored && error.stage !== 'refused') return error.stage
  const state = isStored ? error.sqlState : sqlStateOf(error)
  if (state === undefined) return 'aborted'
  if (isStored && state === '23505') return 'duplicate'
  if (isStored && state.startsWith('22')) return 'rejected'
  if (isStored && /^(23|44|54|P0)/.test(state)) return 'refused'
  return state.startsWith('42') && state !== '42P05' ? 'denied' : 'aborted'
}

/** Conversations without which the batch may be taken, as far as the server tells. */
function refusedBy(error: unknown, sorted: readonly Located[]): ReadonlySet<string> | undefined {
  if (error instanceof UnopenedConversations || error instanceof UnknownPeople) return error.keys
  if (error instanceof TransactionError && error.cause instanceof Unnumbered) return error.cause.keys
  const id = conversationIdIn(error)
  const refused = id === undefined ? undefined : sorted.find((located) => located.id === id)
  return refused && new Set([refused.part.conversation.key])
}

/** The first column of both unique keys, in whatever language: "Key (conversation_id, seq)=(7, 12) already exists." */
function conversationIdIn(error: unknown): number | undefined {
  const cause = error instanceof TransactionError ? error.cause : undefined
  if (!(cause instanceof Error && 'detail' in cause && typeof cause.detail === 'string')) return undefined
  const match = /\(conversation_id, (?:id|seq)\)=\((\d+), /.exec(cause.detail)
  return match ? Number(match[1]) : undefined
}

function isCarefulFor(path: CommitPath, { key }: Conversation): boolean {
  return path === 'careful' || (path !== 'fast' && path.has(key))
}

function settleExisting(
  message: PendingMessage,
  existing: { seq: number; sender: string | null | undefined; content: string | null | undefined; created_at: string },
): void {
  const same = existing.sender === message.sender_id && existing.content === message.content
  message.fate = same ? 'duplicate' : 'conflict'
  message.seq = existing.seq
  message.created_at = existing.created_at
}

function positionArrays(parts: readonly ConversationPart[]): string[] {
  return [
    array(parts.map((part) => part.lo?.delivered ?? 0)),
    array(parts.map((part) => part.hi?.delivered ?? 0)),
    array(parts.map((part) => part.lo?.read ?? 0)),
    array(parts.map((part) => part.hi?.read ?? 0)),
  ]
}

/** A PostgreSQL array literal of numbers or UUIDs: nothing in it needs quoting. */
function array(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`
}
