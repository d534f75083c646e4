import { isoTime } from '../lib/iso-time.ts'
import type { Logger } from '../lib/logger.ts'
import { TransactionError } from '../postgres/copy-transaction.ts'
import type { Reader } from '../postgres/reader.ts'
import type { Session } from '../postgres/session.ts'
import type { TextRows } from '../postgres/statement.ts'
import { ConversationIds } from './conversation-ids.postgres.ts'
import { type Group, groupByConversation } from './groups.ts'
import { PostgresReads } from './reads.postgres.ts'
import * as sql from './statements.postgres.ts'
import {
  CommitError,
  type CommitFailure,
  type CommitPath,
  type MessageStore,
  type PendingMessage,
  type PositionChange,
} from './store.ts'

export interface PostgresMessageStoreOptions {
  /** The writer's own connection: reads can never keep it waiting. */
  readonly session: Session
  readonly reader: Reader
  readonly logger: Logger
}

/** Messages in PostgreSQL: the writing half, beside the reads. The transaction is described at `#number` and `#careful`. */
export class PostgresMessageStore extends PostgresReads implements MessageStore {
  readonly #session: Session
  readonly #ids: ConversationIds
  readonly #logger: Logger

  constructor({ session, reader, logger }: PostgresMessageStoreOptions) {
    super(reader)
    this.#session = session
    this.#ids = new ConversationIds(session)
    this.#logger = logger
  }

  async commit(
    messages: readonly PendingMessage[],
    positions: readonly PositionChange[],
    path: CommitPath,
  ): Promise<PositionChange[]> {
    const groups = groupByConversation(messages, positions)
    try {
      const conversations = groups.map((group) => group.conversation)
      const ids = this.#ids.known(conversations) ?? (await this.#ids.learn(conversations))
      // Every writer locks conversations in the order of their ids, so two writers can not wait for each other.
      const sorted = groups.map((group, index) => ({ group, id: ids[index] ?? 0 })).sort((a, b) => a.id - b.id)
      return path === 'fast' ? await this.#number(sorted, true) : await this.#careful(sorted)
    } catch (error) {
      throw await this.#recovered(error, groups)
    }
  }

  /**
   * Looks up which messages exist in a statement of its own after the one that locks: a single statement would look with a
   * snapshot from before the lock was granted and miss what the last holder committed.
   */
  async #careful(sorted: readonly Located[]): Promise<PositionChange[]> {
    await this.#session.command('BEGIN')
    await this.#session.query(sql.LOCK, [array(sorted.map(({ id }) => id))])
    const rows = sorted.flatMap(({ group, id }) => group.messages.map((message) => ({ id, message })))
    const found = await this.#session.query(sql.LOOK_UP, [
      array(rows.map((row) => row.id)),
      array(rows.map((row) => row.message.id)),
    ])
    for (const [ord, seq, sender, content, atMs] of found) {
      const message = rows[Number(ord) - 1]?.message
      if (message) settleExisting(message, { seq: Number(seq), sender, content, created_at: isoTime(Number(atMs)) })
    }
    const repeats = sorted.flatMap(({ group }) => group.setAsideRepeats())
    const states = await this.#number(sorted, false)
    for (const { message, first } of repeats) {
      settleExisting(message, { ...first, sender: first.sender_id })
    }
    return states
  }

  /** Numbers the new messages and copies them: the whole transaction on the fast path, the end of it on the careful one. */
  async #number(sorted: readonly Located[], begin: boolean): Promise<PositionChange[]> {
    const moves = sorted.some(({ group }) => group.moves)
    const groups = sorted.map(({ group }) => group)
    const values = [
      array(sorted.map(({ id }) => id)),
      array(groups.map((group) => group.fresh.length)),
      array(groups.map((group) => group.leadingBy(group.conversation.lo))),
      array(groups.map((group) => group.leadingBy(group.conversation.hi))),
    ]
    if (moves) values.push(...positionArrays(groups))
    const states: PositionChange[] = []
    await this.#session.copyTransaction({
      begin,
      first: moves ? sql.NUMBER_AND_MOVE : sql.NUMBER,
      values,
      copy: sql.COPY,
      rows: (numbered) => copyRows(sorted, numbered, states),
    })
    for (const group of groups) for (const message of group.fresh) message.fate = 'stored'
    return states
  }

  /** What the failure means for the batch, with the session left ready for the next one. */
  async #recovered(error: unknown, groups: readonly Group[]): Promise<CommitError> {
    const failure = failureOf(error)
    if (failure === 'duplicate' || failure === 'rejected') {
      // The server answered; only the transaction is broken.
      await this.#session.command('ROLLBACK').catch(() => this.#session.discard())
    } else {
      this.#session.discard()
      this.#logger.warn({ err: error, failure }, 'a batch was not committed')
    }
    for (const group of groups) group.reset()
    return new CommitError(failure, error)
  }

  cancelCommit(): void {
    this.#session.cancel()
  }

  async close(): Promise<void> {
    await this.#session.close()
  }
}

interface Located {
  readonly group: Group
  readonly id: number
}

/** SQLSTATE classes: 23505 unique violation; 22 data exception (a text PostgreSQL can not hold). */
function failureOf(error: unknown): CommitFailure {
  if (!(error instanceof TransactionError)) return 'aborted'
  if (error.stage !== 'refused') return error.stage
  if (error.sqlState === '23505') return 'duplicate'
  return error.sqlState?.startsWith('22') ? 'rejected' : 'aborted'
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

/** Gives every fresh message its seq and time, and makes the rows of COPY of them. */
function* copyRows(sorted: readonly Located[], numbered: TextRows, states: PositionChange[]): Generator<string> {
  // The conversation rows are locked, so a missing one means that another database was put in place of ours.
  if (numbered.length !== sorted.length) throw new Error('a conversation row is missing')
  for (const row of numbered) {
    const located = sorted[Number(row[0]) - 1]
    if (!located) throw new Error('a conversation row is not of this batch')
    const { group, id } = located
    const created_at = isoTime(Number(row[2]))
    let seq = Number(row[1]) - group.fresh.length
    for (const message of group.fresh) {
      seq += 1
      message.seq = seq
      message.created_at = created_at
      yield sql.copyRow(id, message)
    }
    if (group.moves) states.push(...positionStates(group, row))
  }
}

/** Columns: ordinal, head, time, then the positions lo delivered, hi delivered, lo read, hi read. */
function positionStates({ lo, hi }: Group, row: readonly (string | null)[]): PositionChange[] {
  return [
    ...(lo ? [{ ...lo, delivered: Number(row[3]), read: Number(row[5]) }] : []),
    ...(hi ? [{ ...hi, delivered: Number(row[4]), read: Number(row[6]) }] : []),
  ]
}

function positionArrays(groups: readonly Group[]): string[] {
  return [
    array(groups.map((group) => group.lo?.delivered ?? 0)),
    array(groups.map((group) => group.hi?.delivered ?? 0)),
    array(groups.map((group) => group.lo?.read ?? 0)),
    array(groups.map((group) => group.hi?.read ?? 0)),
  ]
}

/** A PostgreSQL array literal of numbers or UUIDs: nothing in it needs quoting. */
function array(values: readonly (number | string)[]): string {
  return `{${values.join(',')}}`
}
