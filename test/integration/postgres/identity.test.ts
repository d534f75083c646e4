import pg from 'pg'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { mendIdentity } from '../../../src/postgres/identity.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const OPEN =
  "insert into conversations (user_lo, user_hi, updated_at) values ($1, 'z', now()) returning conversation_id::int"

let database: TestDatabase
let client: pg.Client

beforeEach(async () => {
  database = await createDatabase()
  client = new pg.Client(parseDsn(database.dsn))
  await client.connect()
})
afterEach(async () => {
  await client.end()
  await database.drop()
})

const opened = async (name: string) => (await client.query(OPEN, [name])).rows[0]?.conversation_id
const setSequence = (to: number) => client.query(`select setval('conversations_conversation_id_seq', ${to})`)
const mend = (warn: () => void = () => undefined) => mendIdentity(client, { ...silentLogger, warn })

test('a sequence that a restore left behind its table goes on behind the last conversation', async () => {
  for (const name of ['a', 'b', 'c']) await opened(name)
  await setSequence(1)
  await expect(opened('d')).rejects.toThrow('duplicate key')
  const warn = vi.fn()
  await mend(warn)
  expect(warn).toHaveBeenCalledOnce()
  expect(await opened('d')).toBe(4)
})

test('a sequence that was never used is set behind the conversations that were restored', async () => {
  await client.query(`insert into conversations (conversation_id, user_lo, user_hi, updated_at)
    overriding system value values (7, 'a', 'z', now())`)
  await mend()
  expect(await opened('b')).toBe(8)
})

test('a sequence that is ahead stays where it is', async () => {
  await opened('a')
  await setSequence(100)
  await mend()
  expect(await opened('b')).toBe(101)
})

test('an empty table is left alone', async () => {
  await mend()
  expect(await opened('a')).toBe(1)
})

test('a role that may look and not mend refuses to start, and says what to run', async () => {
  const role = `reader_${crypto.randomUUID().slice(0, 8)}`
  for (const name of ['a', 'b']) await opened(name)
  await setSequence(1)
  await client.query(`create role ${role}; grant select on all tables in schema public to ${role};
    grant select on sequence conversations_conversation_id_seq to ${role}; set role ${role}`)
  const refusal = await mend().catch(String)
  await client.query(`reset role; drop owned by ${role}; drop role ${role}`)
  expect(refusal).toContain(
    `run "select setval('public.conversations_conversation_id_seq', (select max(conversation_id) from conversations))"`,
  )
})
