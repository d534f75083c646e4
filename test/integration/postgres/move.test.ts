// Everything from one database to another, as from the service's own PostgreSQL to one of the operator's.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../../src/app.ts'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import { migrate } from '../../../src/postgres/migrate.ts'
import { moveRows } from '../../../src/postgres/move.ts'
import { NEEDED_RIGHTS } from '../../../src/postgres/rights.ts'
import { ACCOUNTS_ENV, type AccountsBench, accountsBench, login, register, secretIn } from '../../support/accounts.ts'
import { startOn } from '../../support/app.ts'
import { createDatabase, createEmptyDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { call } from '../../support/rest-client.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let bench: AccountsBench
let target: TestDatabase
let moved: App | undefined
beforeAll(async () => {
  bench = await accountsBench()
  target = await createEmptyDatabase()
  await execute(target.dsn, 'create table users (id int primary key)')
})
afterAll(async () => {
  await moved?.stop()
  await bench.close()
  await target.drop()
})

/** The target is a schema of its own beside another program's tables. */
const schema = 'chat'
const inSchema = (dsn: string): string => `${dsn}&options=-csearch_path%3D${schema}`

const TABLES = Object.keys(NEEDED_RIGHTS)
/** Every table, its rows in one order; texts as the server writes them. */
async function everything(dsn: string): Promise<Readonly<Record<string, unknown>>> {
  const found = await Promise.all(
    TABLES.map(async (table) => [table, await rowsOf(dsn, `select t::text from ${table} t order by t::text`)] as const),
  )
  return Object.fromEntries(found)
}

test('moves every row of every table, whole or not at all, and people go on', async () => {
  const app = await bench.start({ PUSH_SUBJECT: 'mailto:admin@example.com' })
  const ann = await register(app, secretIn(bench.told(), 'bootstrap'))
  const invite = await call(app, 'POST', '/api/invites', {
    body: {},
    headers: { Authorization: `Bearer ${ann.token}` },
  })
  const bob = await register(app, String(invite.body?.['code']))
  const say = (at: App, token: string, content: string) =>
    call(at, 'POST', '/api/send_message', {
      body: { receiver_id: bob.userId, content },
      headers: { Authorization: `Bearer ${token}` },
    })
  expect((await say(app, ann.token, 'quote " backslash \\ tab \t and 😀')).status).toBe(201)
  await execute(
    bench.database.dsn,
    `insert into avatars (avatar_id, user_id, media_type, bytes) values (gen_random_uuid(), '${ann.userId}', 'image/png', '\\x00ff0a')`,
  )
  // As many as make a second piece; texts and times that JavaScript's types would change.
  await execute(
    bench.database.dsn,
    `insert into messages (conversation_id, seq, id, sender_id, content, created_at)
       select conversation_id, seq, gen_random_uuid(), '${ann.userId}', seq::text, '2026-01-01 00:00:00.000001+00'::timestamptz
       from conversations, generate_series(2, 700) seq;
     update conversations set last_seq = 700`,
  )
  await bench.stop(app)
  const before = await everything(bench.database.dsn)
  const from = parseDsn(bench.database.dsn)
  const to = { config: parseDsn(target.dsn), schema }
  await migrate(to.config, { schema, logger: silentLogger })
  const report = await moveRows(from, to, silentLogger)
  expect(report).toMatchObject({ messages: 700, conversations: 1, accounts: 2, avatars: 1 })
  const { schema_migrations: _theirs, ...rest } = before
  expect(await everything(inSchema(target.dsn))).toMatchObject(rest)

  await expect(moveRows(from, to, silentLogger)).rejects.toThrow('is in use: conversations has rows')
  expect(await everything(inSchema(target.dsn))).toMatchObject(rest)

  const [was] = await rowsOf(inSchema(target.dsn), 'select epoch from service_state')
  moved = await startOn(target.dsn, { ...ACCOUNTS_ENV, POSTGRES_SCHEMA: schema })
  const [is] = await rowsOf(inSchema(target.dsn), 'select * from service_state')
  expect(is?.['epoch']).not.toBe(was?.['epoch'])
  expect(is?.['renewed_because']).toContain('this is another database')
  const again = await login(moved, ann.username)
  expect((await say(moved, again.token, 'here')).body).toMatchObject({ seq: 701 })
  // Numbers go on behind those that were given.
  const carol = await call(moved, 'POST', '/api/invites', {
    body: {},
    headers: { Authorization: `Bearer ${again.token}` },
  })
  const third = await register(moved, String(carol.body?.['code']))
  const opened = await call(moved, 'POST', '/api/send_message', {
    body: { receiver_id: third.userId, content: 'new' },
    headers: { Authorization: `Bearer ${again.token}` },
  })
  expect(opened.status).toBe(201)
})

/** Each 640 KiB as text, and one that is larger than all that goes at once. */
const PICTURES = `insert into users (user_id) select 'u' || n from generate_series(1, 25) n;
  insert into avatars (avatar_id, user_id, media_type, bytes) select gen_random_uuid(), 'u' || n, 'image/png',
    decode(repeat('ab', case n when 9 then 3 * 1048576 else 320 * 1024 end), 'hex') from generate_series(1, 25) n`
const NOTE_PIECES = `create table pieces (bytes int not null, rows int not null);
  create function note_piece() returns trigger language plpgsql as $$ begin
    insert into pieces select coalesce(sum(octet_length(bytes)), 0) * 2, count(*) from added; return null; end $$;
  create trigger note_piece after insert on avatars referencing new table as added
    for each statement execute function note_piece()`

test('no more is held at a time than a few pictures, however many there are', async () => {
  const [from, to] = [await createDatabase(), await createDatabase()]
  await execute(from.dsn, PICTURES)
  await execute(to.dsn, NOTE_PIECES)
  const report = await moveRows(parseDsn(from.dsn), { config: parseDsn(to.dsn) }, silentLogger)
  expect(report).toMatchObject({ users: 25, avatars: 25 })
  const pieces = await rowsOf(to.dsn, 'select * from pieces')
  for (const { bytes, rows } of pieces) expect(rows === 1 || Number(bytes) <= 4 * 2 ** 20).toBe(true)
  // Full ones, not one row after another.
  expect(pieces.length).toBeLessThan(9)
  await Promise.all([from.drop(), to.drop()])
})
