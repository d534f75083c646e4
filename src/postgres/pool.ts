import pg from 'pg'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { Client } from './client.ts'
import { applySettings, limitSettings, type SessionLimits, type Settings } from './session-settings.ts'
import { resultTypes } from './types.ts'

/** Lets adapters name the pool without importing the driver. */
export type Pool = pg.Pool

export interface PoolOptions extends SessionLimits {
  /** Told of lost connections. */
  readonly health: DependencyLog
  /** Connections at most. */
  readonly max: number
  /** How long a caller waits for a connection, new or free; default 5000. */
  readonly connectionTimeoutMs?: number
  /** What each session is set to beside the limits. */
  readonly settings?: Settings
  /** A session that this rejects is closed, and its task fails with that reason. */
  readonly assertUsable?: (client: pg.ClientBase) => Promise<unknown>
}

const DEFAULT_TIMEOUT_MS = 5_000
const IDLE_CONNECTION_MS = 60_000
const END_LIMIT_MS = 1_500
/** Names connections of pools in what is told about PostgreSQL. */
export const POOL_PART = 'pool'

const openClients = new WeakMap<Pool, Set<pg.PoolClient>>()

/** How every connection of the service is made; `connectMs` is how long connecting may take. */
export function connectionOptions(connectMs = DEFAULT_TIMEOUT_MS): pg.ClientConfig {
  return {
    connectionTimeoutMillis: connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: DEFAULT_TIMEOUT_MS,
    types: resultTypes,
  }
}

/** Makes a pool whose lost connections are told and replaced; without the listeners each would end the process. */
export function createPool(config: pg.ClientConfig, options: PoolOptions): Pool {
  const { health, settings = [], assertUsable } = options
  const connectMs = options.connectionTimeoutMs ?? DEFAULT_TIMEOUT_MS
  const pool = new pg.Pool({
    ...config,
    ...connectionOptions(connectMs),
    Client: Client as new () => pg.ClientBase,
    max: options.max,
    min: 1,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    onConnect: (client: pg.ClientBase) =>
      within(connectMs, client, async () => {
        await applySettings(client, [...limitSettings(options), ...settings])
        await assertUsable?.(client)
      }),
  })
  const open = new Set<pg.PoolClient>()
  openClients.set(pool, open)
  pool.on('error', (error) => health.failed(POOL_PART, error))
  // The pool listens to idle clients only. Once per client, not per checkout: listeners would pile up.
  pool.on('connect', (client) => {
    health.works(POOL_PART)
    client.on('error', (error) => health.failed(POOL_PART, error))
    open.add(client)
    client.once('end', () => open.delete(client))
  })
  return pool
}

/** Ends a connection, by force when the server does not take leave of it in time. */
export async function endClient(client: pg.Client, limitMs = END_LIMIT_MS): Promise<void> {
  await within(limitMs, client, () => client.end())
}

/**
 * Ends all connections of a pool, and resolves when the server has closed them: one that is still open when the server is
 * stopped would be told as a failure. One whose server hangs is left to the end of the process.
 */
export async function endPool(pool: Pool, limitMs = END_LIMIT_MS): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const givenUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs)
  })
  // The pool forgets a connection as soon as it has taken leave of it.
  const closed = [...(openClients.get(pool) ?? [])].map(
    (client) => new Promise((resolve) => client.once('end', resolve)),
  )
  await Promise.race([Promise.all([pool.end(), ...closed]), givenUp])
  clearTimeout(timer)
}

/** Destroys the connection when the task takes longer; every query that waits for the server fails with it. */
async function within(limitMs: number, client: pg.ClientBase, task: () => Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    if (client instanceof pg.Client) client.connection.stream.destroy()
  }, limitMs)
  try {
    await task()
  } finally {
    clearTimeout(timer)
  }
}
