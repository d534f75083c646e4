import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'

/** One `NNN_name.sql` file. */
export interface Migration {
  readonly version: number
  readonly name: string
  readonly checksum: string
  /** Runs in one transaction. */
  readonly sql: string
  /**
   * Statements that follow it one by one, each outside of any transaction, as `create index concurrently` must. A file that
   * has any is recorded after the last, so all that it holds must be able to run again.
   */
  readonly afterwards: readonly string[]
}

/** A migration as the database recorded it. */
export interface AppliedMigration {
  version: number
  name: string
  checksum: string
}

const OUTSIDE = /^-- outside a transaction\n/m

/** Reads all files of a directory in order. Throws when a number is missing or doubled, or a name is malformed. */
export async function readMigrations(directory: URL): Promise<Migration[]> {
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
  const text = (await readFile(new URL(name, directory), 'utf8')).replaceAll('\r\n', '\n')
  const [sql = '', ...afterwards] = text.split(OUTSIDE)
  const checksum = createHash('sha256').update(text).digest('hex')
  return { version: Number(match[1]), name, sql, afterwards, checksum }
}

/**
 * The migrations that the database lacks. Throws when one was changed after it was applied, or comes too late because a
 * later one was applied already.
 */
export function findPending(migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
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
