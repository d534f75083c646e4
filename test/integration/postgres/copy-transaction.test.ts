// What other sessions meet when the process that writes is stopped in the middle of a transaction.
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CopyTransaction } from '../../../src/postgres/copy-transaction.ts'
import { createEmptyDatabase, execute, type TestDatabase } from '../../support/databases.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createEmptyDatabase()
  await execute(
    database.dsn,
    'create table numbers (id int primary key, last int not null); insert into numbers values (1, 0)',
  )
})
afterAll(() => database.drop())

test('rows that a stopped process has locked are free again after the limit of an idle transaction', async () => {
  const stopped = new pg.Client(database.dsn)
  stopped.on('error', () => undefined)
  await stopped.connect()
  await stopped.query("set idle_in_transaction_session_timeout = '500ms'")
  const ended = new Promise((resolve) => stopped.once('end', resolve))
  const transaction = new CopyTransaction(
    {
      begin: true,
      first: { name: 'number', text: 'update numbers set last = last + 1 where id = 1 returning last' },
      values: [],
      copy: { name: 'copy', text: 'copy numbers from stdin' },
      rows: () => [],
    },
    // As a process that is stopped where it would send the rest.
    () => undefined,
  )
  stopped.query(transaction)
  await ended
  await expect(execute(database.dsn, 'update numbers set last = 7 where id = 1')).resolves.toBeUndefined()
})
