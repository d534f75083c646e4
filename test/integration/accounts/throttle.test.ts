import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresThrottle } from '../../../src/accounts/throttle.postgres.ts'
import { type ThrottleKey, throttleKey } from '../../../src/accounts/throttle.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let database: TestDatabase
let opened: Database
/** As two instances have them. */
let throttles: PostgresThrottle[]

beforeAll(async () => {
  database = await createDatabase()
  opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  throttles = [new PostgresThrottle(opened.openQueries(3)), new PostgresThrottle(opened.openQueries(3))]
})
afterAll(async () => {
  await opened.writerConnection.close()
  await opened.close()
  await database.drop()
})

const take = (at: number, keys: readonly ThrottleKey[]): Promise<number> =>
  throttles[at % 2]?.take(keys) ?? Promise.reject()

test('of many at once, over instances, exactly as many get through as may; the rest hear when to come again', async () => {
  const keys = [throttleKey('nameAndNetwork', 'ann', '192.0.2.1'), throttleKey('name', 'ann')]
  const waits = await Promise.all(Array.from({ length: 40 }, (_, at) => take(at, keys)))
  expect(waits.filter((wait) => wait === 0)).toHaveLength(10)
  for (const wait of waits.filter((one) => one > 0)) expect(wait).toBeLessThanOrEqual(90_000)
  // What was refused was taken from none of them.
  const [row] = await rowsOf(database.dsn, 'select tokens from throttles order by tokens desc')
  expect(Math.floor(Number(row?.['tokens']))).toBe(90)
})

test('an attempt costs one statement, whether its keys are new or not', async () => {
  const queries = opened.openQueries(1)
  let statements = 0
  const counted = {
    query: (text: string, values: readonly unknown[]) => {
      statements += 1
      return queries.query(text, values)
    },
  } as Queries
  const throttle = new PostgresThrottle(counted)
  const keys = [throttleKey('name', 'carol'), throttleKey('network', '192.0.2.7')]
  expect([await throttle.take(keys.slice(1)), await throttle.take(keys), await throttle.take(keys)]).toEqual([0, 0, 0])
  expect(statements).toBe(3)
})

test('of a key that others begin to use in the same moment, what cannot be had of another is given back', async () => {
  const slow = { burst: 1_000, seconds: 1e9 }
  const [few, many] = [throttleKey('user', 'dave'), { ...throttleKey('hashes', '192.0.2.9'), ...slow }]
  const waits = await Promise.all(Array.from({ length: 60 }, (_, at) => take(at, at % 2 ? [many] : [few, many])))
  expect(waits.filter((wait) => wait === 0)).toHaveLength(30 + few.burst)
  const [row] = await rowsOf(database.dsn, 'select max(tokens) as tokens from throttles')
  expect(Math.round(Number(row?.['tokens']))).toBe(many.burst - 30 - few.burst)
})

test('keys that are shared crosswise lock nobody out', async () => {
  const [a, b] = [throttleKey('name', 'a'), throttleKey('name', 'b')]
  const all = Array.from({ length: 40 }, (_, at) => take(at, at % 4 < 2 ? [a, b] : [b, a]))
  const backs = Array.from({ length: 20 }, (_, at) => throttles[at % 2]?.giveBack([b, a]))
  expect((await Promise.all(all)).every((wait) => wait === 0)).toBe(true)
  await Promise.all(backs)
})

test('attempts come back with time, and what is given back is there at once, never more than there may be', async () => {
  const key = throttleKey('user', 'bob')
  for (let at = 0; at < 10; at += 1) expect(await take(at, [key])).toBe(0)
  expect(await take(0, [key])).toBeGreaterThan(80_000)
  await throttles[0]?.giveBack([key])
  expect([await take(0, [key]), (await take(1, [key])) > 0]).toEqual([0, true])
  await execute(database.dsn, "update throttles set at = at - interval '2 days'")
  const waits = await Promise.all(Array.from({ length: 12 }, (_, at) => take(at, [key])))
  expect(waits.filter((wait) => wait === 0)).toHaveLength(10)
})
