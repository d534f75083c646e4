import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { createPool, type Pool, type PoolOptions } from '../../../src/postgres/pool.ts'
import { Reader, type ReaderOptions } from '../../../src/postgres/reader.ts'
import { createDatabase, silentHealth, type TestDatabase } from '../../support/databases.ts'

const ECHO = { name: 'echo', text: 'select $1::text' }
const BACKEND = { name: 'backend', text: 'select pg_backend_pid(), $1::text' }
const DIVIDE = { name: 'divide', text: 'select 1 / $1::int8' }
const SLEEP = { name: 'sleep', text: 'select pg_sleep($1::float8)' }
const LIMITS = { maxBatches: 1, waitLimitMs: 20_000, answerLimitMs: 20_000 }

let database: TestDatabase
let admin: Pool

beforeAll(async () => {
  database = await createDatabase()
  admin = createPool(parseDsn(database.dsn), { health: silentHealth, max: 1 })
})
afterAll(async () => {
  await admin.end()
  await database.drop()
})

function readerWith(limits: Partial<ReaderOptions> = {}, pooling: Partial<PoolOptions> = {}): Reader {
  const options = { ...LIMITS, ...limits }
  const pool = createPool(parseDsn(database.dsn), { health: silentHealth, max: options.maxBatches, ...pooling })
  onTestFinished(() => pool.end())
  return new Reader({ pool, health: silentHealth, ...options })
}

const echo = (reader: Reader, text: string): Promise<unknown> => reader.query(ECHO, [text]).then((rows) => rows[0]?.[0])

test('gives every read of a turn its own rows, in batches on one connection', async () => {
  const reader = readerWith()
  const numbers = Array.from({ length: 50 }, (_, index) => index)
  const rows = await Promise.all(numbers.map((number) => reader.query(BACKEND, [`text ${number}`])))
  expect(rows.map(([row]) => row?.[1])).toEqual(numbers.map((number) => `text ${number}`))
  expect(new Set(rows.map(([row]) => row?.[0])).size).toBe(1)
})

test('reads over no session that a check rejects, and checks each once', async () => {
  const reader = readerWith()
  const checked: number[] = []
  reader.checkSessions(async (session) => {
    const [row] = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
    checked.push(row?.pid ?? 0)
    if (checked.length === 1) throw new Error('it may not be read from')
  })
  await expect(echo(reader, 'too early')).rejects.toThrow('it may not be read from')
  const served = [await reader.query(BACKEND, ['next']), await reader.query(BACKEND, ['behind'])]
  expect(checked).toHaveLength(2)
  expect(served.map(([row]) => Number(row?.[0]))).toEqual([checked[1], checked[1]])
  expect(checked[0]).not.toBe(checked[1])
})

test('takes texts of every length and alphabet as they are', async () => {
  const reader = readerWith()
  const texts = ['', "'; drop table messages --", '\\', '𝄞 ü 汉', 'x'.repeat(100_000)]
  expect(await Promise.all(texts.map((text) => echo(reader, text)))).toEqual(texts)
})

test('lets a read that the server refuses fail alone', async () => {
  const reader = readerWith()
  const outcomes = await Promise.allSettled([
    echo(reader, 'before'),
    reader.query(DIVIDE, [0]),
    echo(reader, 'behind'),
    reader.query(DIVIDE, ['no number']),
    reader.query(DIVIDE, [1]),
  ])
  expect(outcomes).toMatchObject([
    { value: 'before' },
    { reason: { code: '22012' } },
    { value: 'behind' },
    { reason: { code: '22P02' } },
    { value: [['1']] },
  ])
  expect(await echo(reader, 'later')).toBe('later')
})

test('fails what was under way when the connection is lost, and serves the next', async () => {
  const reader = readerWith()
  const [[row] = []] = [await reader.query(BACKEND, ['who'])]
  const asleep = [reader.query(SLEEP, [60]), echo(reader, 'behind')].map((read) => read.catch(() => 'lost'))
  await admin.query(`select pg_terminate_backend($1) from (select 1) x`, [row?.[0]])
  expect(await Promise.all(asleep)).toEqual(['lost', 'lost'])
  expect(await echo(reader, 'later')).toBe('later')
})

test('gives up a server that hangs, and its connection', async () => {
  const reader = readerWith({ answerLimitMs: 300 })
  const [row] = await reader.query(BACKEND, ['who'])
  const pid = Number(row?.[0])
  process.kill(pid, 'SIGSTOP')
  try {
    await expect(echo(reader, 'hung')).rejects.toThrow()
    expect(await reader.query(BACKEND, ['again'])).not.toEqual([[String(pid), 'again']])
  } finally {
    process.kill(pid, 'SIGCONT')
  }
})

test('leaves a statement that takes too long to the limit of the server', async () => {
  const reader = readerWith({}, { statementTimeoutMs: 100 })
  const outcomes = await Promise.allSettled([reader.query(SLEEP, [60]), echo(reader, 'behind')])
  expect(outcomes).toMatchObject([{ reason: { code: '57014' } }, { value: 'behind' }])
})

test('lets no read wait for a connection for ever', async () => {
  const reader = readerWith({ waitLimitMs: 200 })
  const slow = reader.query(SLEEP, [1])
  // The batch is on its way when its turn is over; what comes now waits for it.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  await expect(echo(reader, 'too late')).rejects.toThrow('no database connection became free')
  await slow
  expect(await echo(reader, 'later')).toBe('later')
})

test('tells that the database is away', async () => {
  const pool = createPool({ ...parseDsn(database.dsn), host: '/nowhere' }, { health: silentHealth, max: 1 })
  const reader = new Reader({ pool, health: silentHealth, ...LIMITS })
  await expect(echo(reader, 'away')).rejects.toThrow('ENOENT')
  await pool.end()
})

test('refuses a read at once while ten thousand wait', async () => {
  const reader = readerWith({ waitLimitMs: 50 }, { max: 1 })
  const outcomes: string[] = []
  const read = () => echo(reader, 'x').catch((error: Error) => void outcomes.push(error.message))
  const waiting = Array.from({ length: 10_000 }, read)
  await read()
  expect(outcomes).toEqual(['too many reads wait for the database'])
  await Promise.all(waiting)
  expect(new Set(outcomes).size).toBeLessThanOrEqual(2)
  expect(await echo(reader, 'again')).toBe('again')
})
