import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { PLANNER_SETTINGS } from '../../../src/postgres/session-settings.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const SETTING = { name: 'setting', text: 'select current_setting($1)' }

let empty: TestDatabase
let database: Database

beforeAll(async () => {
  empty = await createDatabase()
  const options = encodeURIComponent('-c work_mem=7MB -c enable_seqscan=on -c jit=on -c search_path=elsewhere')
  database = await openDatabase({
    dsn: `${empty.dsn}${empty.dsn.includes('?') ? '&' : '?'}options=${options}`,
    schema: 'chat',
    dataDir: '',
    poolMax: 1,
    logger: silentLogger,
  })
})
afterAll(async () => {
  await database.writerConnection.close()
  await database.close()
  await empty.drop()
})

test.each(['reader', 'writerConnection'] as const)(
  'the %s plans as we say, and else as the address says',
  async (name) => {
    const asked = name === 'reader' ? database.reader : await database.writerConnection.session()
    for (const [setting, value] of [
      ...PLANNER_SETTINGS,
      ['jit', 'off'],
      ['work_mem', '7MB'],
      ['search_path', '"chat"'],
    ] as const) {
      expect([setting, await asked.query(SETTING, [setting])]).toEqual([setting, [[value]]])
    }
  },
)

test('the writer connection commits as was found safe at the start and hears of its warnings, whatever is set since', async () => {
  const admin = new pg.Client(parseDsn(empty.dsn))
  await admin.connect()
  for (const setting of ['synchronous_commit = off', 'client_min_messages = error']) {
    await admin.query(`do $$ begin execute format('alter database %I set ${setting}', current_database()); end $$`)
  }
  await admin.end()
  database.writerConnection.discard()
  const session = await database.writerConnection.session()
  expect(await session.query(SETTING, ['synchronous_commit'])).toEqual([['on']])
  expect(await session.query(SETTING, ['client_min_messages'])).toEqual([['warning']])
})

test('after a renewal nothing is asked over a session from before', async () => {
  const queries = database.openQueries(1)
  const text = 'select pg_backend_pid() as pid'
  const pids = async () => [
    (await queries.query(text))[0],
    await queries.transaction(async (transaction) => (await transaction.query(text))[0]),
    (await database.reader.query({ name: 'pid', text }, []))[0],
  ]
  const [one, same, ofReader] = await pids()
  expect(same).toEqual(one)
  database.renewSessions()
  const [another, sameAgain, anotherOfReader] = await pids()
  expect(sameAgain).toEqual(another)
  expect(another).not.toEqual(one)
  expect(anotherOfReader).not.toEqual(ofReader)
})

test('queries that keep their plans prepare each text once, by index; others are planned anew', async () => {
  for (const keepsPlans of [true, false]) {
    const queries = database.openQueries(1, { keepsPlans })
    const setting = async (name: string): Promise<unknown> =>
      (await queries.query<{ value: string }>('select current_setting($1) as value', [name]))[0]?.value
    const settings = await Promise.all(PLANNER_SETTINGS.map(([name]) => setting(name)))
    const within = await queries.transaction((transaction) =>
      transaction.query<{ value: string }>('select current_setting($1) as value', ['search_path']),
    )
    expect(within).toEqual([{ value: '"chat"' }])
    await queries.transaction((transaction) =>
      transaction.query('select current_setting($1) as within', ['search_path']),
    )
    const [prepared] = await queries.query<{ count: number }>(
      `select count(*) from pg_prepared_statements where statement like 'select current_setting%'`,
    )
    const planned = keepsPlans ? PLANNER_SETTINGS.map(([, value]) => value) : ['auto', 'on', 'on', 'on', 'on', 'on']
    expect([settings, prepared?.count]).toEqual([planned, keepsPlans ? 2 : 0])
    expect(await setting('search_path')).toBe('"chat"')
  }
})

test('only what a person waits for, and may interrupt, takes as long as it does', async () => {
  const limit = async (takesItsTime: boolean): Promise<unknown> =>
    (await database.openQueries(1, { takesItsTime }).query('show statement_timeout'))[0]
  expect(await limit(true)).toEqual({ statement_timeout: '0' })
  expect(await limit(false)).toEqual({ statement_timeout: '5s' })
})
