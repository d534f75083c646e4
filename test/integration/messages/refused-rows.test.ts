// What PostgreSQL refuses for good, through the writer: it takes nothing else with it, and nobody waits for it to pass.
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'
import type { Logger } from '../../../src/lib/logger.ts'
import type { MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { messagesOver } from '../../support/messages.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let created: TestDatabase
let database: Database
let store: MessageStore
let warnings: string[]

beforeEach(async () => {
  created = await createDatabase()
  warnings = []
})

async function open(dsn = created.dsn): Promise<void> {
  const logger: Logger = {
    ...silentLogger,
    warn: (fields) => warnings.push(JSON.stringify(fields)),
    info: (_fields, msg) => warnings.push(msg),
  }
  database = await openDatabase({ dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  store = postgresStore(database, logger)
}

afterEach(async () => {
  await store.close()
  await database.close()
  await created.drop()
})

/** As a role that owns nothing, whose name it resolves with; the test drops it. */
async function openAsRole(): Promise<string> {
  const role = `server_${randomUUID().slice(0, 8)}`
  await execute(
    created.dsn,
    `create role ${role} login;
    grant select, insert, update, delete on all tables in schema public to ${role}`,
  )
  const dsn = new URL(created.dsn)
  dsn.searchParams.set('user', role)
  await open(dsn.href)
  return role
}

/** Sends from Ann to these people in one batch, and what became of each; `attempts` at commits that failed. */
async function sendTo(...receivers: string[]) {
  const bench = messagesOver({ store, clock: systemClock, listeners: [] })
  const outcomes = await Promise.all(
    receivers.map(
      (receiver_id) =>
        new Promise<string>((resolve) => {
          const settled = ({ refusal, fate }: { refusal: string | undefined; fate: string }) => resolve(refusal ?? fate)
          bench.messages.send('ann', { receiver_id, content: `to ${receiver_id}` }, { settled })
        }),
    ),
  )
  return { outcomes: Object.fromEntries(receivers.map((receiver, index) => [receiver, outcomes[index]])), ...bench }
}

describe('a conversation that cannot be opened', () => {
  test('fails alone, and with one attempt, whatever it shares its batch with', async () => {
    await open()
    await execute(created.dsn, `alter table conversations add check (user_hi not like 'mallory%')`)
    await sendTo('bob')
    const receivers = ['bob', 'mallory1', 'cid', 'mallory2', 'dan', 'eve']
    const { outcomes, failures } = await sendTo(...receivers)
    expect(outcomes).toEqual({
      bob: 'stored',
      mallory1: 'unavailable',
      cid: 'stored',
      mallory2: 'unavailable',
      dan: 'stored',
      eve: 'stored',
    })
    expect(failures).toEqual(['refused'])
    expect(warnings.join()).toContain('new conversations cannot be opened')
  })

  test('because the sequence of ids is behind its table is opened: the sequence is set right', async () => {
    await open()
    await sendTo('bob', 'cid', 'dan')
    await execute(created.dsn, 'alter table conversations alter column conversation_id restart with 1')
    const { outcomes, failures } = await sendTo('bob', 'eve', 'fay')
    expect(outcomes).toEqual({ bob: 'stored', eve: 'stored', fay: 'stored' })
    expect(failures).toEqual([])
    const ids = await rowsOf(created.dsn, 'select conversation_id from conversations order by 1')
    expect(new Set(ids.map((row) => JSON.stringify(row))).size).toBe(5)
  })

  test('because the sequence is behind, and the role may not set it, fails alone until somebody sets it right', async () => {
    const role = await openAsRole()
    await sendTo('bob', 'cid', 'dan')
    await execute(created.dsn, 'alter table conversations alter column conversation_id restart with 1')
    expect((await sendTo('bob', 'eve', 'cid')).outcomes).toEqual({ bob: 'stored', eve: 'unavailable', cid: 'stored' })
    expect(warnings.join()).toContain('permission denied')
    await execute(
      created.dsn,
      `select setval(pg_get_serial_sequence('conversations', 'conversation_id'), (select max(conversation_id) from conversations))`,
    )
    expect((await sendTo('eve')).outcomes).toEqual({ eve: 'stored' })
    expect(warnings.at(-1)).toBe('PostgreSQL works again')
    await execute(created.dsn, `drop owned by ${role}; drop role ${role}`)
  })
})

describe('a row that is refused', () => {
  test('for its numbers, which are taken, fails alone with its conversation', async () => {
    await open()
    await sendTo('bob', 'cid')
    await sendTo('bob', 'cid')
    await execute(created.dsn, `update conversations set last_seq = 1 where user_hi = 'bob'`)
    const { outcomes, failures } = await sendTo('cid', 'bob', 'dan')
    expect(outcomes).toEqual({ cid: 'stored', bob: 'unavailable', dan: 'stored' })
    expect(failures).toEqual(['duplicate', 'duplicate'])
    expect(await rowsOf(created.dsn, `select last_seq from conversations order by user_hi`)).toEqual([
      { last_seq: '1' },
      { last_seq: '3' },
      { last_seq: '1' },
    ])
  })

  test('by a rule of the operator fails alone', async () => {
    await open()
    await execute(created.dsn, `alter table messages add check (content <> 'to cid')`)
    const { outcomes } = await sendTo('bob', 'cid', 'dan', 'eve', 'fay')
    expect(outcomes).toEqual({ bob: 'stored', cid: 'unavailable', dan: 'stored', eve: 'stored', fay: 'stored' })
  })

  test('as every row is refused costs a batch a bounded number of attempts', async () => {
    await open()
    await execute(created.dsn, `alter table messages add check (content = 'nothing') not valid`)
    const receivers = Array.from({ length: 300 }, (_, index) => `peer${index}`)
    const { outcomes, failures } = await sendTo(...receivers)
    expect(new Set(Object.values(outcomes))).toEqual(new Set(['unavailable']))
    expect(failures.length).toBeLessThan(200)
  })
})

test('a right that is lost refuses at once, not after attempts, and everything is stored again when it is back', async () => {
  const role = await openAsRole()
  await sendTo('bob')
  await execute(created.dsn, `revoke insert on messages from ${role}`)
  const { outcomes, failures } = await sendTo('bob', 'cid')
  expect(outcomes).toEqual({ bob: 'unavailable', cid: 'unavailable' })
  expect(failures).toEqual(['denied'])
  await execute(created.dsn, `grant insert on messages to ${role}`)
  expect((await sendTo('bob')).outcomes).toEqual({ bob: 'stored' })
  await execute(created.dsn, `drop owned by ${role}; drop role ${role}`)
})
