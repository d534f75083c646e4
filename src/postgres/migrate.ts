import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { assertNamesFree, assertOwnRecord } from './foreign-tables.ts'
import { type AppliedMigration, findPending, type Migration, readMigrations } from './migrations.ts'
import { endClient } from './pool.ts'
import { openSchema, schemaSettings } from './schema.ts'
import { applySettings, limitSettings } from './session-settings.ts'
import { sqlStateOf } from './statement.ts'
import { resultTypes } from './types.ts'

export interface MigrateOptions {
  readonly logger: Logger
  /** Where the `NNN_name.sql` files are; by default `sql/` of the repository. Ends with a slash. */
  readonly directory?: URL
  /** Made when it is missing, and the only one that is looked into; by default what the search_path of the role says. */
  readonly schema?: string | undefined
  /**
   * How long one attempt may wait for a table. Every statement that needs that table waits behind it, so this must stay well below
   * what a send may take; milliseconds, default 300.
   */
  readonly lockWaitMs?: number
  /** How long attempts go on, with pauses in which others get their turn; milliseconds, default 60,000. */
  readonly patienceMs?: number
  /** Runs when nothing is missing any more, before another instance gets its turn. */
  readonly finish?: (client: pg.Client) => Promise<void>
}

interface Session {
  readonly client: pg.Client
  readonly logger: Logger
  readonly lockWaitMs: number
  readonly patienceMs: number
}

/** Any fixed number that nothing else locks in the same database. */
export const ADVISORY_LOCK = 7_301_201_846

const DIRECTORY = new URL('../../sql/', import.meta.url)
const LOCK_WAIT_MS = 300
const PATIENCE_MS = 60_000
const RETRY_MS = 1_000
const TURN_POLL_MS = 50
/** lock_not_available and deadlock_detected: another session was there first, and nothing is wrong with the migration. */
const HELD_UP = ['55P03', '40P01']

/** A process that is stopped between two statements must not keep tables from everybody for as long as that lasts. */
const STOPPED_AFTER_MS = 30_000
const LIMITS = limitSettings({
  statementTimeoutMs: 0,
  lockTimeoutMs: 0,
  idleInTransactionTimeoutMs: STOPPED_AFTER_MS,
})
const RECORD = `
  create table schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
  )`

/** The session that is most likely in the way: the oldest transaction that is open or holds a table of ours. */
const HOLDER = `
  select format('process %s (role %s, application "%s"%s)', pid, coalesce(usename, 'unknown'), application_name,
           ', for ' || extract(epoch from now() - xact_start)::int || ' s in one transaction') as holder
  from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()
    and (xact_start is not null or pid in (select pid from pg_locks where relation >= 16384 and granted))
  order by xact_start nulls last limit 1`

/**
 * Applies what is missing, in order, one transaction per file, and returns the versions applied. Other instances may serve
 * meanwhile: a table is never waited for longer than they can bear. Instances that start together take turns. Versions newer
 * than the files are left alone: in a rolling restart the previous release starts beside the next. A file that was changed
 * after it was applied is refused, as is one that comes too late.
 */
export async function migrate(config: pg.ClientConfig, options: MigrateOptions): Promise<number[]> {
  const { logger, lockWaitMs = LOCK_WAIT_MS, patienceMs = PATIENCE_MS } = options
  const migrations = await readMigrations(options.directory ?? DIRECTORY)
  const client = new pg.Client({ ...config, types: resultTypes })
  // A lost connection also fails the query that is running.
  client.on('error', (error) => logger.warn({ err: error }, 'the connection of the migration was lost'))
  await client.connect()
  const session = { client, logger, lockWaitMs, patienceMs }
  try {
    // No limits to work and to waiting: to read a large table for an index takes its time.
    await applySettings(client, [...LIMITS, ...schemaSettings(options.schema)])
    await takeTurn(session)
    if (options.schema !== undefined) await openSchema(client, options.schema)
    // Not `if not exists`: that needs the right to create tables even when there is nothing to create.
    if (await hasRecord(client)) await assertOwnRecord(client)
    else {
      await assertNamesFree(client, migrations)
      await client.query(RECORD)
    }
    const pending = findPending(migrations, await appliedIn(client))
    for (const migration of pending) await apply(session, migration)
    await options.finish?.(client)
    return pending.map((migration) => migration.version)
  } finally {
    // Ends the session, and with it the lock.
    await endClient(client)
  }
}

/**
 * Changes nothing: throws an Error that says what to do where the schema of this session lacks what this version would make. Newer
 * versions than the files are left alone here, too.
 */
export async function assertMigrated(client: pg.ClientBase): Promise<void> {
  if (!(await hasRecord(client))) {
    throw new Error('No service has used this database yet: its first start makes the tables. This command makes none.')
  }
  await assertOwnRecord(client)
  const applied = await appliedIn(client)
  const pending = findPending(await readMigrations(DIRECTORY), applied)
  if (pending.length === 0) return
  const newest = Math.max(0, ...applied.map(({ version }) => version))
  throw new Error(
    `The database is at migration ${newest}, and this version needs ${pending.at(-1)?.version}. A command migrates nothing: ` +
      'start the service of this version first, or use the command of the version that runs.',
  )
}

async function appliedIn(client: pg.ClientBase): Promise<AppliedMigration[]> {
  const statement = 'select version, name, checksum from schema_migrations order by version'
  return (await client.query<AppliedMigration>(statement)).rows
}

/**
 * Asks again and again for the lock. A statement that waits for it would keep its snapshot, for which the concurrent creation
 * of an index in the session that holds the lock waits in turn.
 */
async function takeTurn({ client, logger }: Session): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await client.query<{ mine: boolean }>('select pg_try_advisory_lock($1) as mine', [ADVISORY_LOCK])
    if (rows[0]?.mine) return
    if (attempt === 1) logger.info({}, 'waiting for the migration of another instance')
    await delay(TURN_POLL_MS)
  }
}

/** Whether any version has been here. */
export async function hasRecord(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>(
    "select to_regclass('schema_migrations') is not null as exists",
  )
  return rows[0]?.exists ?? false
}

async function apply(session: Session, migration: Migration): Promise<void> {
  const { version, name } = migration
  try {
    await patiently(session, name, () => applyTransaction(session, migration))
    if (migration.afterwards.length > 0) {
      await patiently(session, name, () => applyAfterwards(session, migration))
      await record(session.client, migration)
    }
  } catch (error) {
    throw new Error(`Migration ${name} failed: ${reasonOf(error)}`, { cause: error })
  }
  session.logger.info({ version, name }, 'migration applied')
}

async function applyTransaction({ client, lockWaitMs }: Session, migration: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query(`set local lock_timeout = ${lockWaitMs}`)
    await client.query(migration.sql)
    if (migration.afterwards.length === 0) await record(client, migration)
    await client.query('commit')
  } catch (error) {
    // Where the connection is lost the server rolls back by itself.
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** From the first statement on, also when a later one was held up: one that creates something concurrently leaves half of it. */
async function applyAfterwards({ client, patienceMs }: Session, { afterwards }: Migration): Promise<void> {
  // Nothing waits behind these, so they may wait long.
  await client.query(`set lock_timeout = ${patienceMs}`)
  for (const statement of afterwards) await client.query(statement)
  await client.query('set lock_timeout = 0')
}

async function record(client: pg.Client, { version, name, checksum }: Migration): Promise<void> {
  const statement = 'insert into schema_migrations (version, name, checksum) values ($1, $2, $3)'
  await client.query(statement, [version, name, checksum])
}

/** Tries again while others hold what the task needs; in between they get their turn. */
async function patiently(session: Session, name: string, task: () => Promise<void>): Promise<void> {
  const startedMs = performance.now()
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await task()
    } catch (error) {
      if (!HELD_UP.includes(sqlStateOf(error) ?? '')) throw error
      const holder = await describeHolder(session.client)
      if (performance.now() - startedMs >= session.patienceMs) {
        throw new Error(`${reasonOf(error)}; in its way is ${holder}. End that and start again.`, { cause: error })
      }
      if (attempt === 1) session.logger.warn({ name, holder }, 'a migration is held up by another session')
      await delay(RETRY_MS)
    }
  }
}

async function describeHolder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ holder: string }>(HOLDER)
  return rows[0]?.holder ?? 'a session that has ended since'
}
