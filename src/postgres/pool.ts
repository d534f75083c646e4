import pg from 'pg'
import type { Logger } from '../lib/logger.ts'
import { resultTypes } from './types.ts'

/** Lets adapters name the pool without importing the driver. */
export type Pool = pg.Pool

export interface PoolOptions {
  readonly logger: Logger
  /** Connections at most. */
  readonly max: number
  /** How long a caller waits for a connection, new or free; default 5000. */
  readonly connectionTimeoutMs?: number
  /** Server-side limits of each session; default 5000 each. */
  readonly statementTimeoutMs?: number
  readonly lockTimeoutMs?: number
  readonly idleInTransactionTimeoutMs?: number
}

const DEFAULT_TIMEOUT_MS = 5_000
const IDLE_CONNECTION_MS = 60_000

/**
 * What every session starts with, so that no wait is unbounded. The limits travel as start-up parameters: a pooler in
 * between must let them through (PgBouncer: session mode, `ignore_startup_parameters` without them).
 */
export function sessionLimits(options: Omit<PoolOptions, 'logger' | 'max'>): pg.ClientConfig {
  return {
    connectionTimeoutMillis: options.connectionTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    statement_timeout: options.statementTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    lock_timeout: options.lockTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: DEFAULT_TIMEOUT_MS,
    types: resultTypes,
  }
}

/** Makes a pool whose lost connections are logged and replaced; without the listeners each would end the process. */
export function createPool(config: pg.ClientConfig, options: PoolOptions): Pool {
  const pool = new pg.Pool({
    ...config,
    ...sessionLimits(options),
    max: options.max,
    min: 1,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
  })
  const { logger } = options
  pool.on('error', (error) => logger.warn({ err: error }, 'an idle PostgreSQL connection was lost'))
  // The pool listens to idle clients only. Once per client, not per checkout: listeners would pile up.
  pool.on('connect', (client) => {
    client.on('error', (error) => logger.debug({ err: error }, 'a PostgreSQL connection was lost'))
  })
  return pool
}
