import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PostgresEpochStore } from '../../../src/messages/epoch-store.postgres.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let created: TestDatabase
let database: Database
let store: PostgresEpochStore

beforeEach(async () => {
  created = await createDatabase()
  await open(created.dsn)
})
afterEach(async () => {
  await database.writerConnection.close()
  await database.close()
  await created.drop()
})

async function open(dsn: string): Promise<void> {
  database = await openDatabase({ dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  store = new PostgresEpochStore(database.openQueries(1))
}

test('an epoch stays what it is while the database stays where it is', async () => {
  const first = await store.read()
  expect(first.epoch).toMatch(/^[0-9a-f-]{36}$/)
  expect(first.movedBecause).toBeUndefined()
  expect(await store.read()).toEqual(first)
})

test('what another session reads is told from what the one before read', async () => {
  const first = await store.read()
  const second = await new PostgresEpochStore(database.openQueries(1)).read()
  expect(second.session).not.toBe(first.session)
  expect({ ...second, session: first.session }).toEqual(first)
})

test('a renewed epoch is another, and later than the one before also where the clock went back', async () => {
  await execute(created.dsn, `update service_state set renewed_at = now() + interval '1 hour'`)
  const first = await store.read()
  const second = await store.renew(first, 'a test says so')
  expect(second.epoch).not.toBe(first.epoch)
  expect(second.renewedAt).toBeGreaterThan(first.renewedAt)
  expect(await store.read()).toEqual(second)
})

test('of two that renew the same epoch one does, and both get the same', async () => {
  const first = await store.read()
  const both = await Promise.all([store.renew(first, 'one'), store.renew(first, 'other')])
  expect(both[0]).toEqual(both[1])
  expect(both[0].epoch).not.toBe(first.epoch)
})

test.each([
  ['system_identifier', `'1'`, 'this is another server'],
  ['timeline', 'timeline + 1', 'a standby was promoted'],
  ['database_oid', '1', 'this is another database'],
  ['conversations_oid', '1', 'its tables were made anew'],
])('a database whose %s is another one has moved, until the epoch is renewed there', async (column, other, words) => {
  await store.read()
  await execute(created.dsn, `update service_state set ${column} = ${other}`)
  const moved = await store.read()
  expect(moved.movedBecause).toContain(words)
  expect((await store.renew(moved, 'moved')).movedBecause).toBeUndefined()
})

test('tables that are made anew from a dump are noticed', async () => {
  await store.read()
  await execute(
    created.dsn,
    `alter table conversations rename to old; create table conversations (like old including all); drop table old`,
  )
  expect((await store.read()).movedBecause).toContain('as by restoring a dump')
})

test('a role without any right beyond those of the service can look and renew', async () => {
  const role = `server_${randomUUID().slice(0, 8)}`
  await execute(
    created.dsn,
    `create role ${role} login;
    grant select, insert, update, delete on all tables in schema public to ${role}`,
  )
  await database.writerConnection.close()
  await database.close()
  const dsn = new URL(created.dsn)
  dsn.searchParams.set('user', role)
  await open(dsn.href)
  const first = await store.read()
  expect((await store.renew(first, 'it may')).epoch).not.toBe(first.epoch)
  await execute(created.dsn, `drop owned by ${role}; drop role ${role}`)
})
