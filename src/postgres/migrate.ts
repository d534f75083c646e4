import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { resultTypes } from './types.ts'

export interface MigrateOptions {
  readonly logger: Logger
  /** Where the `NNN_name.sql` files are; by default `sql/` of the repository. Ends with a slash. */
  readonly directory?: URL
}

interface Migration {
  readonly version: number
  readonly name: string
  readonly checksum: string
  readonly sql: string
}

interface Applied {
  version: number
  name: string
  checksum: string
}

/** Any fixed number that nobody else locks in the same database. */
export const ADVISORY_LOCK = 7_301_201_846

const SCHEMA = `
  create table schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
  )`

/**
 * Applies what is missing, in order, one transaction per file, and returns the versions applied. Instances that start
 * together wait for each other. Versions newer than the files are left alone: in a rolling restart the previous release
 * starts beside the next. A file that was changed after it was applied is refused, as is one that comes too late.
 */
export async function migrate(config: pg.ClientConfig, options: MigrateOptions): Promise<number[]> {
  const migrations = await readMigrations(options.directory ?? new URL('../../sql/', import.meta.url))
  // No limits: another instance's migration, for which this one waits, may take its time.
  const client = new pg.Client({ ...config, statement_timeout: 0, lock_timeout: 0, types: resultTypes })
  // A lost connection also fails the query that is running.
  client.on('error', (error) => options.logger.warn({ err: error }, 'the connection of the migration was lost'))
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK])
    // Not `if not exists`: that needs the right to create tables even when there is nothing to create.
    if (!(await hasSchema(client))) await client.query(SCHEMA)
    const { rows } = await client.query<Applied>(
      'select version, name, checksum from schema_migrations order by version',
    )
    const pending = findPending(migrations, rows)
    for (const migration of pending) await apply(client, migration, options.logger)
    return pending.map((migration) => migration.version)
  } finally {
    // Ends the session, and with it the lock.
    await client.end()
  }
}

async function hasSchema(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ exists: boolean }>(
    "select to_regclass('schema_migrations') is not null as exists",
  )
  return rows[0]?.exists ?? false
}

async function readMigrations(directory: URL): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort()
  const migrations = await Promise.all(names.map((name) => readMigration(directory, name)))
  migrations.forEach(({ version, name }, index) => {
    if (version !== index + 1) throw new Error(`Migration ${name} should have number ${index + 1}: no gaps, no doubles`)
  })
  return migrations
}

async function readMigration(directory: URL, name: string): Promise<Migration> {
  const match = /^(\d{3})_[a-z0-9_]+\.sql$/.exec(name)
  if (!match) throw new Error(`Migration ${name} must be named NNN_lower_case_name.sql`)
  // A checkout on another system may have changed the line ends.
  const sql = (await readFile(new URL(name, directory), 'utf8')).replaceAll('\r\n', '\n')
  return { version: Number(match[1]), name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
}

function findPending(migrations: readonly Migration[], applied: readonly Applied[]): Migration[] {
  const byVersion = new Map(applied.map((row) => [row.version, row]))
  const newest = Math.max(0, ...byVersion.keys())
  return migrations.filter((migration) => {
    const row = byVersion.get(migration.version)
    if (!row && migration.version < newest) {
      throw new Error(`Migration ${migration.name} comes too late: the database is already at version ${newest}`)
    }
    if (row && row.checksum !== migration.checksum) {
      throw new Error(
        `Migration ${migration.name} was changed after it was applied (as ${row.name}). ` +
          'Restore the file and write the change as a new migration.',
      )
    }
    return !row
  })
}

async function apply(client: pg.Client, migration: Migration, logger: Logger): Promise<void> {
  const { version, name, checksum } = migration
  try {
    await client.query('begin')
    await client.query(migration.sql)
    await client.query('insert into schema_migrations (version, name, checksum) values ($1, $2, $3)', [
      version,
      name,
      checksum,
    ])
    await client.query('commit')
  } catch (error) {
    // The session ends with it, which rolls back.
    throw new Error(`Migration ${name} failed: ${reasonOf(error)}`, { cause: error })
  }
  logger.info({ version, name }, 'migration applied')
}
