import type { Connection } from 'pg'
import { parseMessage } from './wire.ts'

/** A statement prepared once per session under `name`. Its text must never change within a process. */
export interface Statement {
  readonly name: string
  readonly text: string
}

/** A time as whole milliseconds since the epoch, in SQL. */
export const epochMs = (column: string): string => `(date_part('epoch', ${column}) * 1000)::int8`

/** Rows as PostgreSQL sent them: text, or null. */
export type TextRows = readonly (readonly (string | null)[])[]

const NOTHING = Buffer.alloc(0)
const prepared = new WeakMap<Connection, Set<string>>()

/**
 * What prepares the statement, if this session has not prepared it. It counts as prepared from now on: a session that
 * skipped it, because something before it in the same step failed, must not be used again.
 */
export function prepare(connection: Connection, { name, text }: Statement): Buffer {
  const names = prepared.get(connection) ?? new Set<string>()
  prepared.set(connection, names)
  if (names.has(name)) return NOTHING
  names.add(name)
  return parseMessage(name, text)
}

/**
 * Whether the server refused a statement and nothing more: with it the transaction failed, so nothing is stored, and the session
 * goes on. FATAL ends the session, and a PANIC at COMMIT (the log could not be flushed) comes when the commit is written:
 * recovery may well find it. Severities are in the server's language, so those of bad rows (22) and of constraints (23) are
 * known by their class, and what else is not called ERROR is taken for the worse.
 */
export function isOfStatement(error: Error): boolean {
  const sqlState = sqlStateOf(error)
  if (sqlState === undefined) return false
  return /^2[23]/.test(sqlState) || ('severity' in error && error.severity === 'ERROR')
}

export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined
}
