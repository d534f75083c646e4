import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase, PLANNER_SETTINGS } from '../../../src/postgres/database.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { createDatabase, silentLogger, type TestDatabase } from '../../support/databases.ts'

const SETTING = { name: 'setting', text: 'select current_setting($1)' }

let empty: TestDatabase
let database: Database

beforeAll(async () => {
  empty = await createDatabase()
  const options = encodeURIComponent('-c work_mem=7MB -c enable_seqscan=on')
  database = await openDatabase({
    dsn: `${empty.dsn}${empty.dsn.includes('?') ? '&' : '?'}options=${options}`,
    dataDir: '',
    poolMax: 1,
    logger: silentLogger,
  })
})
afterAll(async () => {
  await database.session.close()
  await database.close()
  await empty.drop()
})

test.each(['reader', 'session'] as const)('the %s plans as we say, and else as the address says', async (name) => {
  for (const [setting, value] of [...PLANNER_SETTINGS, ['work_mem', '7MB']] as const) {
    expect([setting, await database[name].query(SETTING, [setting])]).toEqual([setting, [[value]]])
  }
})

test('the session commits as was found safe at the start and hears of its warnings, whatever is set since', async () => {
  const admin = new pg.Client(parseDsn(empty.dsn))
  await admin.connect()
  for (const setting of ['synchronous_commit = off', 'client_min_messages = error']) {
    await admin.query(`do $$ begin execute format('alter database %I set ${setting}', current_database()); end $$`)
  }
  await admin.end()
  database.session.discard()
  expect(await database.session.query(SETTING, ['synchronous_commit'])).toEqual([['on']])
  expect(await database.session.query(SETTING, ['client_min_messages'])).toEqual([['warning']])
})
