import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Logger } from '../../../src/lib/logger.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { createPool, type Pool } from '../../../src/postgres/pool.ts'
import { createDatabase, silentLogger, type TestDatabase } from '../../support/databases.ts'

let database: TestDatabase
let pool: Pool
const warnings: string[] = []
const logger: Logger = { ...silentLogger, warn: (_fields, msg) => warnings.push(msg) }

beforeAll(async () => {
  database = await createDatabase()
  pool = createPool(parseDsn(database.dsn), { logger, max: 2, statementTimeoutMs: 300 })
})

afterAll(async () => {
  await pool.end()
  await database.drop()
})

const backendOf = async (client: pg.PoolClient): Promise<number> =>
  (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid ?? 0

const kill = (pid: number) => pool.query('select pg_terminate_backend($1)', [pid])

test('survives the loss of a connection that is checked out', async () => {
  const client = await pool.connect()
  const lost = new Promise((resolve) => client.once('end', resolve))
  await kill(await backendOf(client))
  await lost
  await expect(client.query('select 1')).rejects.toThrow()
  client.release(true)
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('survives the loss of an idle connection and says so', async () => {
  const [client, killer] = [await pool.connect(), await pool.connect()]
  const pid = await backendOf(client)
  const lost = new Promise((resolve) => pool.once('error', resolve))
  client.release()
  await killer.query('select pg_terminate_backend($1)', [pid])
  await lost
  killer.release()
  expect(warnings).toContain('an idle PostgreSQL connection was lost')
  expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }])
})

test('gives bigint and count(*) as numbers', async () => {
  const { rows } = await pool.query(
    'select count(*) as count, 9007199254740991::int8 as largest from generate_series(1, 3)',
  )
  expect(rows).toEqual([{ count: 3, largest: Number.MAX_SAFE_INTEGER }])
})

test('refuses a bigint that a number cannot hold exactly', async () => {
  await expect(pool.query('select 9007199254740992::int8')).rejects.toThrow('9007199254740992 does not fit')
})

test('reads dates without a time zone as text and points in time as Date', async () => {
  const { rows } = await pool.query(
    "select date '2026-03-29' as day, timestamp '2026-03-29 02:30' as local, timestamptz '2026-03-29 02:30+00' as instant",
  )
  expect(rows).toEqual([
    { day: '2026-03-29', local: '2026-03-29 02:30:00', instant: new Date('2026-03-29T02:30:00.000Z') },
  ])
})

test('leaves the global parsers of the driver alone', () => {
  expect(pg.types.getTypeParser(pg.types.builtins.INT8)('1')).toBe('1')
})

test('bounds every statement, lock and open transaction on the server', async () => {
  const { rows } = await pool.query(
    "select name, setting from pg_settings where name ~ '^(statement|lock|idle_in_transaction_session)_timeout$' order by name",
  )
  expect(rows).toEqual([
    { name: 'idle_in_transaction_session_timeout', setting: '5000' },
    { name: 'lock_timeout', setting: '5000' },
    { name: 'statement_timeout', setting: '300' },
  ])
  await expect(pool.query('select pg_sleep(10)')).rejects.toThrow('statement timeout')
})

test('does not wait for a connection for ever', async () => {
  const small = createPool(parseDsn(database.dsn), { logger, max: 1, connectionTimeoutMs: 50 })
  const held = await small.connect()
  await expect(small.connect()).rejects.toThrow('timeout')
  held.release()
  await small.end()
})
