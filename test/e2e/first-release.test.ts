// The first release, 0.1.0 at its commit c3d8143, with the schema of 001 and 002: rows that it stored, and what its clients said to it
// and heard from it afterwards, recorded byte by byte as they were sent. This version starts on those rows; the same bytes have to get
// the same answers. It may add fields. `*` stands for what differs from run to run: new times, ids of connections, words for people.
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { startOn } from '../support/app.ts'
import { createEmptyDatabase, type TestDatabase } from '../support/databases.ts'
import { call } from '../support/rest-client.ts'
import { type Frame, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'
import { migrateTo } from '../support/upgrade.ts'

interface Stored {
  readonly stored: string
  readonly row: Readonly<Record<string, unknown>>
}
interface Opening {
  readonly opens: string
  readonly user: string
  readonly protocol: string | null
}
/** Base64 of binary frames. */
interface Saying {
  readonly on: string
  readonly sends: string
}
interface Hearing {
  readonly on: string
  readonly hears: Frame
}
interface Asking {
  readonly asks: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly answers: { readonly status: number; readonly body: unknown }
}
interface Closing {
  readonly closes: string
}
type Step = Opening | Saying | Hearing | Asking | Closing

const RECORD = readFileSync(new URL('../support/fixtures/first-release.jsonl', import.meta.url), 'utf8')
const LINES: readonly (Stored | Step)[] = RECORD.trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line))
const ROWS = LINES.filter((line) => 'stored' in line)
const STEPS = LINES.filter((line): line is Step => !('stored' in line))

let database: TestDatabase
let app: App
const clients = new Map<string, SocketClient>()

beforeAll(async () => {
  database = await createEmptyDatabase()
  await migrateTo(2, database.dsn)
  const applied = await rowsOf(database.dsn, 'select version, name, checksum from schema_migrations order by version')
  expect(ROWS.filter(({ stored }) => stored === 'schema_migrations').map(({ row }) => row)).toMatchObject(applied)
  await store(ROWS.filter(({ stored }) => stored !== 'schema_migrations'))
  app = await startOn(database.dsn)
})
afterAll(async () => {
  await app?.stop()
  await database.drop()
})

async function store(rows: readonly Stored[]): Promise<void> {
  const client = new pg.Client(parseDsn(database.dsn))
  await client.connect()
  for (const { stored, row } of rows) {
    const values = `select * from json_populate_record(null::${stored}, $1)`
    await client.query(`insert into ${stored} overriding system value ${values}`, [JSON.stringify(row)])
  }
  const sequence = "pg_get_serial_sequence('conversations', 'conversation_id')"
  await client.query(`select setval(${sequence}, (select max(conversation_id) from conversations))`)
  await client.end()
}

function client(name: string): SocketClient {
  const found = clients.get(name)
  if (!found) throw new Error(`nobody called ${name} is connected`)
  return found
}

/** With fields beyond these it is still the same to a client of that time. */
function pattern(value: unknown): unknown {
  if (value === '*') return expect.anything()
  if (Array.isArray(value)) return value.map(pattern)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, pattern(field)]))
}

async function take(step: Step): Promise<void> {
  if ('opens' in step) {
    const opened = SocketClient.dial(app, step.user, { protocol: step.protocol })
    clients.set(step.opens, opened)
    return opened.opened()
  }
  if ('sends' in step) {
    const { protocol } = client(step.on)
    return client(step.on).sendRaw(protocol === MSGPACK_PROTOCOL ? Buffer.from(step.sends, 'base64') : step.sends)
  }
  if ('hears' in step) {
    const { type, ref, seq, with: other } = step.hears
    const isIt = (frame: Frame): boolean =>
      frame.type === type && frame.ref === ref && frame.seq === seq && frame['with'] === other
    return expect(await client(step.on).next(isIt)).toMatchObject(pattern(step.hears) as object)
  }
  if ('closes' in step) return void (await client(step.closes).close())
  const [method = '', path = ''] = step.asks.split(' ')
  const { status, body } = await call(app, method, path, {
    body: step.body,
    ...(step.headers && { headers: step.headers }),
  })
  expect({ status, body }).toMatchObject(pattern(step.answers) as object)
}

test('clients of the first release go on with what it stored, and hear what they would have heard from it', async () => {
  for (const step of STEPS) {
    await take(step).catch((error: unknown) => {
      throw new Error(`at ${JSON.stringify(step)}`, { cause: error })
    })
  }
  const heard = STEPS.filter((step) => 'hears' in step)
  for (const [name, { frames }] of clients) {
    const recorded = heard.filter(({ on }) => on === name).map(({ hears }) => hears)
    const messages = (all: readonly Frame[]): unknown[] =>
      all.filter(({ type }) => type === 'message').map(({ id }) => id)
    expect(messages(frames)).toEqual(messages(recorded))
    // Nor anything that such a client has no word for.
    expect(frames.map(({ type }) => type).sort()).toEqual(recorded.map(({ type }) => type).sort())
  }
})
