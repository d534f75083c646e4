import type pg from 'pg'

/** What a session is set to, in SQL's names; a later value of the same name holds. */
export type Settings = readonly (readonly [name: string, value: string])[]

/** Limits that the server keeps, so that no wait is unbounded; milliseconds. */
export interface SessionLimits {
  readonly statementTimeoutMs?: number
  readonly lockTimeoutMs?: number
  readonly idleInTransactionTimeoutMs?: number
}

const DEFAULT_LIMIT_MS = 5_000
const WRITER_LOCK_TIMEOUT_MS = 1_200

/**
 * Every statement of ours finds its rows by an index with any parameters, so one plan is right for all of them. To make
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
  // What is forbidden and has no index looks so expensive that it would be compiled, for a second, in each new session.
  ['jit', 'off'],
]

/** For the writer. `synchronousCommit` stays what was found safe, also when the role or the database is set otherwise since. */
export function writerSettings(synchronousCommit: string): Settings {
  return [
    ...limitSettings({ lockTimeoutMs: WRITER_LOCK_TIMEOUT_MS }),
    ...PLANNER_SETTINGS,
    ['tcp_user_timeout', '10000'],
    ['client_connection_check_interval', '1000'],
    // A COMMIT that did not reach the standby is told by a warning alone.
    ['client_min_messages', 'warning'],
    ['synchronous_commit', synchronousCommit],
  ]
}

/** The defaults are 5 s each. */
export function limitSettings(limits: SessionLimits): Settings {
  return [
    ['statement_timeout', String(limits.statementTimeoutMs ?? DEFAULT_LIMIT_MS)],
    ['lock_timeout', String(limits.lockTimeoutMs ?? DEFAULT_LIMIT_MS)],
    ['idle_in_transaction_session_timeout', String(limits.idleInTransactionTimeoutMs ?? DEFAULT_LIMIT_MS)],
  ]
}

const APPLY = `select name, set_config(name, value, false) as value
  from unnest($1::text[], $2::text[]) with ordinality v(name, value, ord) order by ord`
const READ_BACK = `select name, current_setting(name) as value from unnest($1::text[]) v(name)`

interface Setting {
  readonly name: string
  readonly value: string
}

/**
 * Gives a new session its settings and reads them back in a second statement. By statements and not by start-up parameters,
 * which a pooler may drop without a word. Throws when the session does not keep one; it must not be used then.
 */
export async function applySettings(client: Pick<pg.ClientBase, 'query'>, settings: Settings): Promise<void> {
  const names = settings.map(([name]) => name)
  const applied = await client.query<Setting>(APPLY, [names, settings.map(([, value]) => value)])
  const expected = new Map(applied.rows.map(({ name, value }) => [name, value]))
  const { rows } = await client.query<Setting>(READ_BACK, [names])
  const lost = rows.find(({ name, value }) => value !== expected.get(name))
  if (rows.length === names.length && !lost) return
  throw new Error(
    `The session does not keep its settings (${lost?.name} is ${lost?.value}, not ${expected.get(lost?.name ?? '')})`,
  )
}
