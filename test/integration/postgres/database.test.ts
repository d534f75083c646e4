import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase, PLANNER_SETTINGS } from '../../../src/postgres/database.ts'
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
