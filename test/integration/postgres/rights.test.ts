// The role that makes the tables, and the role that serves from them.
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { PostgresMessageLog } from '../../../src/messages/log.postgres.ts'
import { PostgresMessageReads } from '../../../src/messages/reads.postgres.ts'
import { openDatabase } from '../../../src/postgres/database.ts'
import { PostgresSubscriptionStore } from '../../../src/push/subscription-store.postgres.ts'
import { pendingMessage } from '../../support/builders.ts'
import { createEmptyDatabase, execute, silentHealth, type TestDatabase } from '../../support/databases.ts'
import { browserSubscription } from '../../support/push-jobs.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let database: TestDatabase
let owner: string
let server: string

beforeEach(async () => {
  database = await createEmptyDatabase()
  const suffix = randomUUID().slice(0, 8)
  owner = `owner_${suffix}`
  server = `server-${suffix}`
  await execute(database.dsn, `create role ${owner} login; create role "${server}" login`)
  await execute(database.dsn, `grant create on schema public to ${owner}`)
})
afterEach(async () => {
  await execute(database.dsn, `drop owned by ${owner}; drop owned by "${server}"`)
  await execute(database.dsn, `drop role ${owner}; drop role "${server}"`)
  await database.drop()
})

function as(role: string): string {
  const url = new URL(database.dsn)
  url.searchParams.set('user', role)
  return url.href
}

async function open(options: { migrationDsn?: string; schema?: string } = {}) {
  const opened = await openDatabase({ dsn: as(server), ...options, dataDir: '', poolMax: 1, logger: silentLogger })
  const { writerConnection, reader } = opened
  const log = new PostgresMessageLog({
    writerConnection,
    reader,
    heads: new KnownHeads(),
    health: silentHealth,
    beginnings: 'anybody',
  })
  return {
    log,
    reads: new PostgresMessageReads(reader),
    async close() {
      await log.close()
      await opened.close()
    },
  }
}

const refusal = (options: { migrationDsn?: string; schema?: string } = {}): Promise<string> =>
  open(options).then(
    () => 'started',
    (error: unknown) => String(error),
  )

test('a role that may create nothing is granted what it needs by the one that makes the tables', async () => {
  const { log, reads, close } = await open({ migrationDsn: as(owner) })
  const message = pendingMessage('ann', 'bob')
  await log.commit([message], [], 'fast')
  expect(await reads.lastSeq(message.conversation)).toBe(1)
  await close()
  for (const table of ['conversations', 'messages', 'service_state']) {
    const granted = `select from information_schema.role_table_grants where grantee = '${server}'
      and table_name = '${table}' and privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE')`
    expect([table, await rowsOf(database.dsn, granted)]).toEqual([table, [{}, {}, {}, {}]])
  }
})

test('a role that may use no function of the tables takes subscriptions', async () => {
  await execute(database.dsn, `alter default privileges for role ${owner} revoke execute on functions from public`)
  await (await open({ migrationDsn: as(owner) })).close()
  const opened = await openDatabase({ dsn: as(server), dataDir: '', poolMax: 1, logger: silentLogger })
  const subscription = browserSubscription()
  const store = new PostgresSubscriptionStore(opened.openQueries(1))
  await store.put({ userId: 'ann', sessionId: undefined, subscription, content: 'full', locale: undefined }, 'kid')
  expect((await store.takeForTest('ann')) as unknown).toMatchObject([{ endpoint: subscription.endpoint }])
  await opened.writerConnection.close()
  await opened.close()
})

test('a right that is lost is granted again at the next start', async () => {
  await (await open({ migrationDsn: as(owner) })).close()
  await execute(database.dsn, `revoke insert on messages from "${server}"`)
  await (await open({ migrationDsn: as(owner) })).close()
  expect(await refusal()).toBe('started')
})

test('a start names each right that is missing, on which table, and how it is given', async () => {
  await (await open({ migrationDsn: as(owner) })).close()
  await execute(
    database.dsn,
    `revoke insert, update on conversations from "${server}"; revoke all on service_state from "${server}"`,
  )
  expect(await refusal()).toBe(
    [
      `Error: The role "${server}" cannot serve from this database:`,
      `- it lacks INSERT, UPDATE on conversations: grant insert, update on conversations to "${server}"`,
      `- it lacks SELECT, UPDATE on service_state: grant select, update on service_state to "${server}"`,
    ].join('\n'),
  )
})

test('a start names the table that its role does not see', async () => {
  await (await open({ migrationDsn: as(owner) })).close()
  await execute(database.dsn, 'drop table service_state')
  expect(await refusal()).toContain('it does not see the table service_state: its search_path must name the schema')
})

describe('in a schema of its own', () => {
  const mayCreate = () =>
    execute(
      database.dsn,
      `do $$ begin execute format('grant create on database %I to ${owner}', current_database()); end $$`,
    )

  test('that is missing, the role that makes tables makes it too, and lets the other look into it', async () => {
    await mayCreate()
    const { log, reads, close } = await open({ migrationDsn: as(owner), schema: 'order' })
    const message = pendingMessage('ann', 'bob')
    await log.commit([message], [], 'fast')
    expect(await reads.lastSeq(message.conversation)).toBe(1)
    await close()
    expect(await refusal({ schema: 'order' })).toBe('started')
    expect(await rowsOf(database.dsn, 'select count(*)::int from "order".messages')).toEqual([{ count: 1 }])
    expect(await rowsOf(database.dsn, "select 1 from pg_tables where schemaname = 'public'")).toEqual([])
  })

  test('that its role may not create, the start says how it is made', async () => {
    const words = `There is no schema chat, and the role may not create it: create schema "chat" authorization "${owner}"`
    expect(await refusal({ migrationDsn: as(owner), schema: 'chat' })).toContain(words)
    await execute(database.dsn, words.slice(words.indexOf('create schema')))
    expect(await refusal({ migrationDsn: as(owner), schema: 'chat' })).toBe('started')
  })

  test('the rights on tables of another schema are none, and a start names those that are missing', async () => {
    await (await open({ migrationDsn: as(owner) })).close()
    expect(await refusal()).toBe('started')
    await mayCreate()
    await (await open({ migrationDsn: as(owner), schema: 'chat' })).close()
    await execute(database.dsn, `revoke insert on chat.messages from "${server}"; drop table chat.push_sweep`)
    expect(await refusal({ schema: 'chat' })).toBe(
      [
        `Error: The role "${server}" cannot serve from this database:`,
        `- it lacks INSERT on messages: grant insert on "chat".messages to "${server}"`,
        '- the schema chat has no table push_sweep',
      ].join('\n'),
    )
    await execute(database.dsn, `revoke usage on schema chat from "${server}"`)
    expect(await refusal({ schema: 'chat' })).toContain(
      `The role "${server}" may not look into the schema chat: grant usage on schema "chat" to "${server}"`,
    )
  })
})
