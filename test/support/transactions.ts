import pg from 'pg'
import { onTestFinished } from 'vitest'
import { parseDsn } from '../../src/postgres/dsn.ts'

export interface OpenTransaction {
  /** Commits and disconnects. */
  end(): Promise<void>
}

/**
 * Runs a statement in a transaction that stays open, to hold up whoever needs what it locked. It ends with the test that
 * opened it, also when that fails: what it locked would hold up the tests that follow.
 */
export async function openTransaction(dsn: string, statement: string): Promise<OpenTransaction> {
  const client = new pg.Client(parseDsn(dsn))
  client.on('error', () => undefined)
  await client.connect()
  await client.query('begin')
  await client.query(statement)
  let ended: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await client.query('commit')
    await client.end()
  }
  const end = (): Promise<void> => {
    ended ??= close()
    return ended
  }
  // The test has failed already when its database is gone.
  onTestFinished(() => end().catch(() => undefined))
  return { end }
}

/** Sessions of this database that wait for a lock. */
export const WAITING_FOR_LOCK = `select pid from pg_stat_activity
  where datname = current_database() and wait_event_type = 'Lock'`

/** Sessions whose COMMIT waits for a standby, in any database of the server. */
export const WAITING_FOR_STANDBY = `select pid from pg_stat_activity where wait_event = 'SyncRep'`

/** The rows of one query on a connection of its own. */
export async function rowsOf(dsn: string, query: string): Promise<Readonly<Record<string, unknown>>[]> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  try {
    return (await client.query(query)).rows
  } finally {
    await client.end()
  }
}
