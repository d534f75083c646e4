// An operator, or a provider whose disk is full, sets the database read-only for a while: sessions that begin then are read-only
// for as long as they last.
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import type { MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { pendingMessage } from '../../support/builders.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let testDatabase: TestDatabase
let database: Database
let store: MessageStore
let queries: Queries
let name: unknown

beforeEach(async () => {
  testDatabase = await createDatabase()
  database = await openDatabase({ dsn: testDatabase.dsn, dataDir: '', poolMax: 3, logger: silentLogger })
  store = postgresStore(database, silentLogger)
  queries = database.openQueries(2)
  const [row] = await rowsOf(testDatabase.dsn, 'select current_database() as name')
  name = row?.['name']
})
afterEach(async () => {
  await store.close()
  await database.close()
  await testDatabase.drop()
})

/** From another database, in which it does not hold. */
const alterDatabase = (change: string) => execute(inject('postgresDsn'), `alter database ${name} ${change}`)
const endSessions = () =>
  execute(
    testDatabase.dsn,
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  )

test('while it lasts nothing is stored or called ready, and afterwards everything is at once', async () => {
  await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
  await alterDatabase('set default_transaction_read_only = on')
  await endSessions()
  await expect.poll(() => store.check().catch(String)).toMatch('it is read-only')
  await expect(store.commit([pendingMessage('ann', 'bob')], [], 'fast')).rejects.toThrow('it is read-only')
  await expect(queries.query('select 1')).rejects.toThrow('it is read-only')
  const one = { name: 'one', text: 'select 1' }
  // Several connections, which all began in that time.
  expect(await Promise.all([1, 2, 3].map(() => database.reader.query(one, [])))).toEqual(Array(3).fill([['1']]))
  await alterDatabase('reset default_transaction_read_only')
  await store.check()
  await store.commit([pendingMessage('ann', 'bob')], [], 'fast')
  expect(await queries.query('select 1 as one')).toEqual([{ one: 1 }])
})
