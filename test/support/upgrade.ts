// A database as an earlier version left it, with data in it, and the traffic of instances that serve while it is migrated.
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { systemClock } from '../../src/lib/clock.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { PostgresMessageLog } from '../../src/messages/log.postgres.ts'
import type { QueuedSend } from '../../src/messages/send-queue.ts'
import { MessageWriter } from '../../src/messages/writer.ts'
import { createWriterConnection } from '../../src/postgres/database.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { migrate } from '../../src/postgres/migrate.ts'
import { createPool, type Pool } from '../../src/postgres/pool.ts'
import { Reader } from '../../src/postgres/reader.ts'
import { writerSettings } from '../../src/postgres/session-settings.ts'
import type { Statement } from '../../src/postgres/statement.ts'
import type { WriterConnection } from '../../src/postgres/writer-connection.ts'
import type { WriterSession } from '../../src/postgres/writer-session.ts'
import { queuedSend } from './builders.ts'
import { silentHealth } from './databases.ts'
import { silentLogger } from './silent-logger.ts'

const ignore = (): void => undefined
/** Compiled files lie elsewhere; every run starts in the root of the repository. */
export const SQL = pathToFileURL(resolve('sql/') + sep)
const WRITER_LIMITS = { maxQueueRows: 10_000, maxQueueBytes: 64 * 2 ** 20, maxQueueAgeMs: 60_000, maxBatchRows: 1_000 }

/** Applies the first so many files alone. */
export async function migrateTo(version: number, dsn: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-sql-'))
  try {
    for (const name of (await readdir(SQL)).sort().slice(0, version)) {
      await copyFile(fileURLToPath(new URL(name, SQL)), join(directory, name))
    }
    await migrate(parseDsn(dsn), { logger: silentLogger, directory: pathToFileURL(`${directory}/`) })
  } finally {
    await rm(directory, { recursive: true })
  }
}

/** Conversations of a hundred messages each. */
export async function fill(dsn: string, messages: number): Promise<void> {
  const conversations = Math.ceil(messages / 100)
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  await client.query(`insert into conversations (user_lo, user_hi, last_seq, updated_at)
    select 'old' || n, 'older' || n, 100, now() from generate_series(1, ${conversations}) n`)
  await client.query(`insert into messages (conversation_id, seq, id, sender_id, content, created_at)
    select conversation_id, seq, gen_random_uuid(), user_lo, 'kept ' || repeat('x', 100), now()
    from conversations, generate_series(1, 100) seq`)
  await client.query('analyze conversations, messages')
  await client.end()
}

/** Conversations in which the numbers, the head and the rows disagree. */
export async function inconsistencies(dsn: string): Promise<number> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  const { rowCount } = await client.query(`select 1 from conversations c left join messages m using (conversation_id)
    group by c.conversation_id having c.last_seq <> count(m.seq) or c.last_seq <> coalesce(max(m.seq), 0)`)
  await client.end()
  return rowCount ?? 0
}

export interface TrafficReport {
  /** Sends that were committed. */
  readonly stored: number
  readonly refused: number
  /** The longest time in which no send was answered although some waited; milliseconds. */
  readonly longestPauseMs: number
}

const PAIRS = 20
const IN_FLIGHT = 40
/** One send of so many is the first of its two people. */
const NEW_PAIR_EVERY = 20

/** The statements as they were before the gate was read: an instance of an earlier version knows none. */
function ofEarlierVersion(connection: WriterConnection): WriterConnection {
  const open = connection.session.bind(connection)
  const earlier = new WeakSet<WriterSession>()
  connection.session = async () => {
    const session = await open()
    if (earlier.has(session)) return session
    earlier.add(session)
    const query = session.query.bind(session)
    const copyTransaction = session.copyTransaction.bind(session)
    session.query = (statement, values) => query(withoutGate(statement), values)
    session.copyTransaction = (steps) => copyTransaction({ ...steps, first: withoutGate(steps.first) })
    return session
  }
  return connection
}

function withoutGate({ name, text }: Statement): Statement {
  const before = text
    .replace(' and c.gate * v.n = 0', '')
    .replace('conversation_id, gate from', 'conversation_id, 0 from')
  if (before.includes('gate')) throw new Error(`no earlier version reads the gate, but '${name}' does`)
  return { name, text: before }
}

/** One writer of an instance of an earlier version, with sends in flight at all times until it is stopped. */
export class Traffic {
  readonly #pool: Pool
  readonly #log: PostgresMessageLog
  readonly #writer: MessageWriter
  readonly #report = { stored: 0, refused: 0, longestPauseMs: 0 }
  #sent = 0
  #answeredMs = performance.now()
  #isOver = false

  constructor(dsn: string) {
    const config = parseDsn(dsn)
    this.#pool = createPool(config, { health: silentHealth, max: 1 })
    const reader = new Reader({
      pool: this.#pool,
      health: silentHealth,
      maxBatches: 1,
      waitLimitMs: 5_000,
      answerLimitMs: 5_000,
    })
    const writerConnection = ofEarlierVersion(createWriterConnection(config, writerSettings('on'), silentHealth))
    this.#log = new PostgresMessageLog({
      writerConnection,
      reader,
      heads: new KnownHeads(),
      health: silentHealth,
      beginnings: 'anybody',
    })
    this.#writer = new MessageWriter({
      log: this.#log,
      clock: systemClock,
      logger: silentLogger,
      limits: WRITER_LIMITS,
      observer: { committed: ignore, failed: ignore },
      outcomes: { settled: (sends) => this.#settled(sends) },
    })
    for (let index = 0; index < IN_FLIGHT; index += 1) this.#send()
  }

  get stored(): number {
    return this.#report.stored
  }

  /** The longest pause since this was last asked; milliseconds. */
  takeLongestPauseMs(): number {
    const pauseMs = Math.max(this.#report.longestPauseMs, performance.now() - this.#answeredMs)
    this.#report.longestPauseMs = 0
    return pauseMs
  }

  async stop(): Promise<TrafficReport> {
    this.#isOver = true
    await this.#writer.close(5_000)
    await this.#log.close()
    await this.#pool.end()
    return this.#report
  }

  #send(): void {
    this.#sent += 1
    const isNew = this.#sent % NEW_PAIR_EVERY === 0
    const to = isNew ? `new${this.#sent}` : `peer${this.#sent % PAIRS}`
    const refusal = this.#writer.append(
      queuedSend({ from: 'writer', to, content: 'hello', queuedAtMs: systemClock.now() }),
    )
    if (refusal) this.#report.refused += 1
  }

  #settled(sends: readonly QueuedSend[]): void {
    const nowMs = performance.now()
    this.#report.longestPauseMs = Math.max(this.#report.longestPauseMs, nowMs - this.#answeredMs)
    this.#answeredMs = nowMs
    for (const { refusal } of sends) {
      if (refusal) this.#report.refused += 1
      else this.#report.stored += 1
      if (!this.#isOver) this.#send()
    }
  }
}
