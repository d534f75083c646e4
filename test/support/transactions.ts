import pg from 'pg'
import { parseDsn } from '../../src/postgres/dsn.ts'

export interface OpenTransaction {
  /** Commits and disconnects. */
  end(): Promise<void>
}

/** Runs a statement in a transaction that stays open, to hold up whoever needs what it locked. */
export async function openTransaction(dsn: string, statement: string): Promise<OpenTransaction> {
  const client = new pg.Client(parseDsn(dsn))
  await client.connect()
  await client.query('begin')
  await client.query(statement)
  return {
    async end() {
      await client.query('commit')
      await client.end()
    },
  }
}

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
