// Plans are made once a session. The tables may have been all but empty then, and PostgreSQL looks at them again only a minute
// or more later: until then, too, a statement must cost what it returns.
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as reads from '../../../src/messages/read-statements.postgres.ts'
import * as writes from '../../../src/messages/statements.postgres.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { PLANNER_SETTINGS } from '../../../src/postgres/session-settings.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { type Cost, costOfExecuting } from '../../support/plan-cost.ts'

/** Conversations of each of the two hubs, and messages of the one long conversation, at the time of the test. */
const MANY = 5_000
const NO_ID = '00000000-0000-0000-0000-000000000000'

interface Case {
  readonly statement: { readonly name: string; readonly text: string }
  readonly types: string
  /** `LONG` and `ID` stand for the long conversation and the id of a message in its middle. */
  readonly values: readonly string[]
  /** Rows of each table that may be looked at. */
  readonly messages: number
  readonly conversations: number
}

const END = String(Number.MAX_SAFE_INTEGER)
const CASES: readonly Case[] = [
  { statement: reads.LAST_SEQ, types: 'text, text', values: ['a1', 'hub-hi'], messages: 0, conversations: 1 },
  { statement: reads.LAST_SEQ, types: 'text, text', values: ['hub-lo', 'z1'], messages: 0, conversations: 1 },
  { statement: reads.LAST_SEQS, types: 'text[], text[]', values: ['{a1}', '{hub-hi}'], messages: 0, conversations: 1 },
  {
    statement: reads.PAGE_BEFORE,
    types: 'text, text, int8, int8',
    values: ['long', 'longer', END, '51'],
    messages: 51,
    conversations: 1,
  },
  {
    statement: reads.PAGE_AFTER,
    types: 'text, text, int8, int8, int8',
    values: ['long', 'longer', '9', END, '51'],
    messages: 51,
    conversations: 1,
  },
  {
    statement: reads.LARGE_PAGE_BEFORE,
    types: 'text, text, int8, int8',
    values: ['long', 'longer', END, '501'],
    messages: 501,
    conversations: 1,
  },
  {
    statement: reads.LARGE_PAGE_AFTER,
    types: 'text, text, int8, int8, int8',
    values: ['long', 'longer', '9', END, '501'],
    messages: 501,
    conversations: 1,
  },
  // The 1,000 are the window in which unread messages are counted: of a monologue none is found there.
  {
    statement: reads.CONVERSATIONS,
    types: 'text, int8, int8, int8',
    values: ['long', '51', END, '0'],
    messages: 1_001,
    conversations: 1,
  },
  { statement: reads.CHANGES, types: 'text, float8', values: ['long', '0'], messages: 0, conversations: 1 },
  { statement: reads.BACKLOG, types: 'text', values: ['long'], messages: 0, conversations: 1 },
  { statement: reads.RECENT_HEADS, types: 'text[], float8', values: ['{long}', '1000'], messages: 0, conversations: 1 },
  {
    statement: reads.FIRST_SINCE,
    types: 'text[], text[], float8[]',
    values: ['{long}', '{longer}', `{${Date.UTC(2100, 0)}}`],
    messages: 1,
    conversations: 1,
  },
  { statement: writes.FIND, types: 'text[], text[]', values: ['{a1}', '{hub-hi}'], messages: 0, conversations: 1 },
  { statement: writes.LOCK, types: 'int8[]', values: ['{LONG}'], messages: 0, conversations: 1 },
  { statement: writes.LOOK_UP, types: 'int8[], uuid[]', values: ['{LONG}', '{ID}'], messages: 1, conversations: 0 },
  // The row that is found, and the row that is updated.
  {
    statement: writes.NUMBER,
    types: 'int8[], int8[], int8[], int8[]',
    values: ['{LONG}', '{1}', '{1}', '{0}'],
    messages: 0,
    conversations: 2,
  },
  {
    statement: writes.NUMBER_AND_MOVE,
    types: 'int8[], int8[], int8[], int8[], int8[], int8[], int8[], int8[]',
    values: ['{LONG}', '{0}', '{0}', '{0}', '{0}', '{2}', '{0}', '{2}'],
    messages: 0,
    conversations: 2,
  },
]
/** They look for nothing in these two tables. */
const WITHOUT_A_LOOK = [reads.CHECK, writes.COPY, writes.OPEN, writes.OPEN_FOR_ACCOUNTS]

const FIRST_STATES = [
  { before: 'never gathered', conversations: 0, gather: false },
  { before: 'of twenty conversations', conversations: 20, gather: true },
  { before: 'of a thousand people with one message each', conversations: 1_000, gather: true },
]

test('every statement is examined', () => {
  const examined = [...CASES.map(({ statement }) => statement), ...WITHOUT_A_LOOK]
  const all = [...Object.values(reads), ...Object.values(writes)].filter((one) => typeof one === 'object')
  expect(all.filter((one) => !examined.includes(one))).toEqual([])
})

describe.each(FIRST_STATES)('with statistics $before', ({ conversations, gather }) => {
  let database: TestDatabase
  let client: pg.Client
  let long: { conversation_id: string; id: string }

  beforeAll(async () => {
    database = await createDatabase()
    client = new pg.Client(parseDsn(database.dsn))
    await client.connect()
    for (const table of ['conversations', 'messages']) {
      await client.query(`alter table ${table} set (autovacuum_enabled = off)`)
    }
    for (const [name, value] of PLANNER_SETTINGS) await client.query(`set ${name} = ${value}`)
    await client.query(ofStrangers, [conversations])
    if (gather) await client.query('vacuum analyze conversations, messages')
    for (const [index, { statement, types, values }] of CASES.entries()) {
      await client.query(`prepare case_${index} (${types}) as ${statement.text}`)
      // A session that may choose makes its one plan at the sixth time.
      for (let time = 0; time < 7; time += 1) {
        await client.query(`execute case_${index}(${inPlace(values, '1', NO_ID)})`)
      }
    }
    await client.query(ofHubs, [MANY])
    await client.query(ofLong, [MANY])
    const { rows } = await client.query<typeof long>('select conversation_id, id from messages where seq = $1', [
      MANY / 2,
    ])
    if (!rows[0]) throw new Error('no message')
    long = rows[0]
  })
  afterAll(async () => {
    await client.end()
    await database.drop()
  })

  test.each(CASES.map((one, index) => ({ ...one, index, name: one.statement.name })))(
    '$name looks at what it returns',
    async ({ index, values, messages, conversations: most }) => {
      const filled = values.map((value) => value.replace('LONG', long.conversation_id).replace('ID', long.id))
      const cost: Cost = await costOfExecuting(client, `case_${index}`, filled)
      expect(cost.messages, cost.scans.join()).toBeLessThanOrEqual(messages)
      expect(cost.conversations, cost.scans.join()).toBeLessThanOrEqual(most)
      expect(cost.messages + cost.conversations).toBeGreaterThan(0)
    },
  )
})

const inPlace = (values: readonly string[], conversation: string, id: string): string =>
  values.map((value) => `'${value.replace('LONG', conversation).replace('ID', id)}'`).join(', ')

/** $1 people who have said one thing to one other person. */
const ofStrangers = `with c as (
    insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
    select 'one' || n, 'two' || n, 1, now(), now() from generate_series(1, $1::int) n returning conversation_id, user_lo)
  insert into messages (conversation_id, seq, id, sender_id, content, created_at)
  select conversation_id, 1, gen_random_uuid(), user_lo, 'text', now() from c`

/** Two people who talk with $1 others each, one the lower and one the higher of every pair. */
const ofHubs = `insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
  select case side when 0 then 'a' || n else 'hub-lo' end, case side when 0 then 'hub-hi' else 'z' || n end, 1, now(), now()
  from generate_series(1, $1::int) n, generate_series(0, 1) side`

/** One conversation of $1 messages, all by one person. */
const ofLong = `with c as (
    insert into conversations (user_lo, user_hi, last_seq, last_message_at, updated_at)
    values ('long', 'longer', $1::int, now(), now()) returning conversation_id)
  insert into messages (conversation_id, seq, id, sender_id, content, created_at)
  select conversation_id, n, gen_random_uuid(), 'long', 'text', now() from c, generate_series(1, $1::int) n`
