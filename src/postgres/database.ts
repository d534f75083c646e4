import pg from 'pg'
import { systemClock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import { assertDurable } from './assertions.ts'
import { resolveDsn } from './dsn.ts'
import { type KeptPostgres, keepEmbeddedPostgres } from './embedded-keeper.ts'
import { migrate } from './migrate.ts'
import { createPool, type Pool, sessionLimits } from './pool.ts'
import { Reader } from './reader.ts'
import { Session } from './session.ts'

export interface DatabaseOptions {
  /** None: our own server under `dataDir`. */
  readonly dsn: string | undefined
  /** By which role the tables are made; the one of `dsn` if none. */
  readonly migrationDsn?: string | undefined
  readonly dataDir: string
  readonly poolMax: number
  readonly logger: Logger
}

export interface Database {
  /** For reading. */
  readonly reader: Reader
  /** For the one writer. */
  readonly session: Session
  /** How much its clock is ahead of ours, in milliseconds; measured once, within half a round trip. */
  readonly aheadMs: number
  /** Ends the pool, then our own server if there is one. The session is its user's to close. */
  close(): Promise<void>
}

/** The writer gives a send its definite answer within two seconds, so no step before the COMMIT may take that long. */
const STEP_DEADLINE_MS = 1_500
/** Longer than any server-side limit: giving up on a COMMIT leaves its outcome unknown. */
const COMMIT_DEADLINE_MS = 6_000
const WRITER_LOCK_TIMEOUT_MS = 1_200
/** A reader whose database is away hears of it within this time. */
const READ_WAIT_LIMIT_MS = 2_000
/** Longer than the server's own limit: a server that hangs enforces none. */
const READ_ANSWER_LIMIT_MS = 6_000
/**
 * Every statement of ours finds its rows by an index, whatever the parameters, so one plan is right for all of them. To make
 * it once saves making it again for each small read (a storm of reconnects took 1.9 times the CPU of PostgreSQL). Sequential
 * scans are forbidden because that plan is kept while the tables grow.
 */
export const PLANNER_SETTINGS: Settings = [
  ['plan_cache_mode', 'force_generic_plan'],
  ['enable_seqscan', 'off'],
  ['enable_bitmapscan', 'off'],
  // Of the writer an array drives each join, so that rows are locked in its order: two instances that write to the same
  // conversations then wait for each other in one direction only.
  ['enable_hashjoin', 'off'],
  ['enable_mergejoin', 'off'],
]
const WRITER_SETTINGS: Settings = [
  ['tcp_user_timeout', '10000'],
  ['client_connection_check_interval', '1000'],
  // A COMMIT that did not reach the standby is told by a warning alone.
  ['client_min_messages', 'warning'],
]

/** A migrated database that keeps what it acknowledges, ours or one given; refuses to start on any other. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { dsn, migrationDsn, dataDir, poolMax, logger } = options
  const own = dsn === undefined ? await keepEmbeddedPostgres({ dataDir, connections: poolMax + 1, logger }) : undefined
  try {
    const config = await resolveDsn(dsn ?? own?.dsn ?? '')
    const migrationConfig = migrationDsn === undefined ? config : await resolveDsn(migrationDsn)
    const { aheadMs, synchronousCommit } = await prepare(config, migrationConfig, logger)
    const pool = createPool(withSettings(config, PLANNER_SETTINGS), {
      logger,
      max: poolMax,
      connectionTimeoutMs: READ_WAIT_LIMIT_MS,
    })
    const reader = new Reader({
      pool,
      maxBatches: poolMax,
      waitLimitMs: READ_WAIT_LIMIT_MS,
      answerLimitMs: READ_ANSWER_LIMIT_MS,
    })
    const session = new Session({
      config: writerConfig(config, synchronousCommit),
      logger,
      stepDeadlineMs: STEP_DEADLINE_MS,
      commitDeadlineMs: COMMIT_DEADLINE_MS,
    })
    return { reader, session, aheadMs, close: () => closeAll(pool, own) }
  } catch (error) {
    await own?.stop()
    throw error
  }
}

interface Prepared {
  readonly aheadMs: number
  readonly synchronousCommit: string
}

async function prepare(config: pg.ClientConfig, migrationConfig: pg.ClientConfig, logger: Logger): Promise<Prepared> {
  const client = new pg.Client({ ...config, ...sessionLimits({}) })
  client.on('error', (error) => logger.warn({ err: error }, 'lost a database connection'))
  await client.connect()
  let prepared: Prepared
  try {
    prepared = { synchronousCommit: await assertDurable(client), aheadMs: await measureAhead(client) }
  } finally {
    await client.end()
  }
  const applied = await migrate(migrationConfig, { logger })
  if (applied.length > 0) logger.info({ versions: applied }, 'migrated the database')
  return prepared
}

async function measureAhead(client: pg.Client): Promise<number> {
  const beforeMs = systemClock.now()
  const { rows } = await client.query<{ ms: string }>('select extract(epoch from clock_timestamp()) * 1000 as ms')
  const middleMs = (beforeMs + systemClock.now()) / 2
  return Math.round(Number(rows[0]?.ms) - middleMs)
}

/** `synchronousCommit` stays what was found safe, whatever is set for the role or the database while the service runs. */
function writerConfig(config: pg.ClientConfig, synchronousCommit: string): pg.ClientConfig {
  const settings = [...PLANNER_SETTINGS, ...WRITER_SETTINGS, ['synchronous_commit', synchronousCommit]] as const
  return {
    ...withSettings(config, settings),
    ...sessionLimits({ connectionTimeoutMs: STEP_DEADLINE_MS, lockTimeoutMs: WRITER_LOCK_TIMEOUT_MS }),
  }
}

type Settings = readonly (readonly [name: string, value: string])[]

/** Ours come last, so that they hold. */
function withSettings(config: pg.ClientConfig, settings: Settings): pg.ClientConfig {
  const ours = settings.map(([name, value]) => `-c ${name}=${value}`)
  return { ...config, options: [config.options, ...ours].filter(Boolean).join(' ') }
}

async function closeAll(pool: Pool, own: KeptPostgres | undefined): Promise<void> {
  await pool.end()
  await own?.stop()
}
