// What a release finds when it starts on the database of an earlier one, while instances of that one still serve.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import { createEmptyDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { openTransaction, rowsOf } from '../../support/transactions.ts'
import { fill, inconsistencies, migrateTo, Traffic } from '../../support/upgrade.ts'

let database: TestDatabase

beforeEach(async () => {
  database = await createEmptyDatabase()
})
afterEach(() => database.drop())

const upgrade = (options: object = {}) => migrate(parseDsn(database.dsn), { logger: silentLogger, ...options })

/** Resolves when so many more sends were stored. */
async function stored(traffic: Traffic, more: number): Promise<void> {
  const enough = traffic.stored + more
  await expect.poll(() => traffic.stored, { interval: 5, timeout: 90_000 }).toBeGreaterThanOrEqual(enough)
}

test.each([1, 2, 4])(
  'a database of version %i is migrated under traffic: no send is refused, no number is lost',
  async (version) => {
    await migrateTo(version, database.dsn)
    await fill(database.dsn, 5_000)
    const traffic = new Traffic(database.dsn)
    await stored(traffic, 100)
    expect((await upgrade()).at(-1)).toBeGreaterThanOrEqual(5)
    await stored(traffic, 100)
    const report = await traffic.stop()
    expect(report.refused).toBe(0)
    expect(await inconsistencies(database.dsn)).toBe(0)
    const [{ count } = {}] = await rowsOf(database.dsn, 'select count(*)::int as count from messages')
    expect(count).toBe(5_000 + report.stored)
  },
)

test('what was stored before the columns existed reads as nothing special', async () => {
  await migrateTo(2, database.dsn)
  await fill(database.dsn, 100)
  await upgrade()
  expect(
    await rowsOf(
      database.dsn,
      'select gate, kind, members_version, first_seq::int, last_change::int from conversations',
    ),
  ).toEqual([{ gate: 0, kind: 0, members_version: 0, first_seq: 1, last_change: 0 }])
  expect(await rowsOf(database.dsn, 'select from messages where meta is null and change is null')).toHaveLength(100)
})

test('no row is rewritten for the new columns', async () => {
  await migrateTo(2, database.dsn)
  await fill(database.dsn, 100)
  const files = "select pg_relation_filenode(oid) as file from pg_class where relname in ('conversations', 'messages')"
  const before = await rowsOf(database.dsn, files)
  await upgrade()
  expect(await rowsOf(database.dsn, files)).toEqual(before)
})

test('a migration that a long transaction holds up lets the traffic go on, and goes on itself afterwards', async () => {
  await migrateTo(2, database.dsn)
  const held = await openTransaction(database.dsn, 'lock table messages in access share mode')
  const traffic = new Traffic(database.dsn)
  const warn = vi.fn()
  const migrated = upgrade({ logger: { ...silentLogger, warn } })
  await expect.poll(() => warn.mock.calls.length, { timeout: 60_000 }).toBeGreaterThan(0)
  expect(warn.mock.calls[0]?.[0]).toMatchObject({ holder: expect.stringMatching(/process \d+ \(role postgres/) })
  await stored(traffic, 100)
  await held.end()
  expect(await migrated).toContain(3)
  expect((await traffic.stop()).refused).toBe(0)
})

test('a migration that stays held up names who is in its way, and leaves the database as it was', async () => {
  await migrateTo(2, database.dsn)
  const held = await openTransaction(database.dsn, 'lock table messages in access share mode')
  await expect(upgrade({ lockWaitMs: 20, patienceMs: 0 })).rejects.toThrow(
    /003_.* failed: .*lock timeout; in its way is process \d+/,
  )
  await held.end()
  const columns = "select from information_schema.columns where table_name = 'conversations' and column_name = 'gate'"
  expect(await rowsOf(database.dsn, columns)).toHaveLength(0)
})

test('an index that was cut off is made anew', async () => {
  await migrateTo(2, database.dsn)
  // Older than anything: the index has to wait for its snapshot, after the columns are there.
  const held = await openTransaction(database.dsn, 'set transaction isolation level repeatable read; select 1')
  await expect(upgrade({ patienceMs: 100 })).rejects.toThrow('in its way is process')
  await held.end()
  const index = "select indisvalid as valid from pg_index where indexrelid = to_regclass('messages_change')"
  expect(await rowsOf(database.dsn, index)).toEqual([{ valid: false }])
  expect(await upgrade()).toContain(3)
  expect(await rowsOf(database.dsn, index)).toEqual([{ valid: true }])
})

test('instances that start together while an index waits for old snapshots do not wait for each other', async () => {
  await migrateTo(2, database.dsn)
  const outcomes = await Promise.all([1, 2, 3].map(() => upgrade({ patienceMs: 60_000 })))
  expect(outcomes.flat().filter((version) => version === 3)).toHaveLength(1)
})

test('a new database has an epoch, and later starts keep it', async () => {
  await upgrade()
  const [first] = await rowsOf(database.dsn, 'select * from service_state')
  expect(first).toMatchObject({
    epoch: expect.stringMatching(/^[0-9a-f-]{36}$/),
    system_identifier: null,
    timeline: null,
  })
  await upgrade()
  expect(await rowsOf(database.dsn, 'select * from service_state')).toEqual([first])
  await expect(rowsOf(database.dsn, 'insert into service_state default values')).rejects.toThrow('duplicate key')
})
