import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { Unavailable } from '../../../src/lib/errors.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { createPool, endPool, type Pool } from '../../../src/postgres/pool.ts'
import { Queries } from '../../../src/postgres/queries.ts'
import { TcpProxy } from '../../faults/tcp-proxy.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let database: TestDatabase
let pool: Pool
const warnings: string[] = []
const warn = (fields: object): void => void warnings.push('reason' in fields ? String(fields.reason) : '')
const health = new DependencyLog({ dependency: 'PostgreSQL', logger: { ...silentLogger, warn }, clock: systemClock })

beforeAll(async () => {
  database = await createDatabase()
  pool = createPool(parseDsn(database.dsn), { health, max: 2, statementTimeoutMs: 300 })
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
  expect(warnings).toContain('terminating connection due to administrator command')
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
  const small = createPool(parseDsn(database.dsn), { health, max: 1, connectionTimeoutMs: 500 })
  const held = await small.connect()
  await expect(small.connect()).rejects.toThrow('timeout')
  held.release()
  await small.end()
})

test('a session that is refused as it begins is closed, and whoever asked hears why', async () => {
  const refusals = ['it is a standby']
  const assertUsable = async (): Promise<void> => {
    const refusal = refusals.shift()
    if (refusal) throw new Error(refusal)
  }
  const picky = createPool(parseDsn(database.dsn), { health, max: 1, assertUsable })
  await expect(picky.query('select 1')).rejects.toThrow('it is a standby')
  expect((await picky.query('select 1 as one')).rows).toEqual([{ one: 1 }])
  await endPool(picky)
})

test('has ended when the server has closed all its connections', async () => {
  const ending = createPool(parseDsn(database.dsn), { health, max: 8 })
  const clients = await Promise.all(Array.from({ length: 8 }, () => ending.connect()))
  const pids = await Promise.all(clients.map(backendOf))
  let closed = 0
  for (const client of clients) {
    client.once('end', () => {
      closed += 1
    })
    client.release()
  }
  await endPool(ending)
  expect(closed).toBe(8)
  expect((await pool.query('select pid from pg_stat_activity where pid = any($1)', [pids])).rows).toEqual([])
})

test('statements that wait for a connection are bounded, and one more is refused at once', async () => {
  const narrow = createPool(parseDsn(database.dsn), { health, max: 1, connectionTimeoutMs: 60_000 })
  const queries = new Queries(narrow)
  const held = await narrow.connect()
  const waiting = Array.from({ length: 10_000 }, () => queries.query('select 1'))
  await expect(queries.query('select 1')).rejects.toThrow(Unavailable)
  await expect(queries.transaction(async () => undefined)).rejects.toThrow(Unavailable)
  held.release()
  expect(await Promise.all(waiting)).toHaveLength(10_000)
  await endPool(narrow)
})

test.each(['as it begins', 'when the pool ends'])('does not wait for a server that hangs %s', async (moment) => {
  const { host = '', port = 5432, ...config } = parseDsn(database.dsn)
  const proxy = new TcpProxy(() => (host.startsWith('/') ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port }))
  await proxy.listen()
  onTestFinished(() => proxy.close())
  const hang = async (): Promise<void> => proxy.set({ blackhole: true })
  const far = createPool(
    { ...config, host: '127.0.0.1', port: proxy.port },
    {
      health,
      max: 1,
      connectionTimeoutMs: 500,
      async assertUsable(client) {
        if (moment === 'as it begins') await hang()
        await client.query('select 1')
      },
    },
  )
  if (moment === 'as it begins') await expect(far.query('select 1')).rejects.toThrow('terminated')
  else await far.query('select 1')
  await hang()
  await endPool(far, 100)
})
