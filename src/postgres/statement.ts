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
 * After an error, with Sync on its way: whether the server goes on. Then it refused a statement and nothing more: the
 * transaction failed with it, nothing of it is stored, and ReadyForQuery follows. After FATAL and PANIC the connection ends
 * instead, as it does when a pooler tells by any error that it lost the server; a COMMIT that was on its
 * way may be stored then. Severities do not tell the two apart: they are in the server's language, and poolers choose theirs.
 * Source: PostgreSQL documentation, "Message Flow".
 */
export function goesOn(error: Error, connection: Connection): Promise<boolean> {
  // The driver's own errors are about a connection that is lost.
  if (sqlStateOf(error) === undefined || connection.stream.destroyed) return Promise.resolve(false)
  return new Promise((resolve) => {
    const ready = (): void => settle(true)
    const ended = (): void => settle(false)
    const settle = (isReady: boolean): void => {
      connection.off('readyForQuery', ready).off('end', ended)
      resolve(isReady)
    }
    connection.on('readyForQuery', ready).on('end', ended)
  })
}

export function sqlStateOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  // The system's own, such as EPIPE, hold no digit.
  return /^(?=.*\d)[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined
}
