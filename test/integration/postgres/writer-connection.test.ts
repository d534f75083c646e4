import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { parseDsn } from '../../../src/postgres/dsn.ts'
import type { Statement, TextRows } from '../../../src/postgres/statement.ts'
import { WriterConnection } from '../../../src/postgres/writer-connection.ts'
import { TcpProxy } from '../../faults/tcp-proxy.ts'
import { createDatabase, silentHealth, type TestDatabase } from '../../support/databases.ts'

const ONE = { name: 'one', text: 'select 1' }
const SLEEP = { name: 'sleep', text: 'select pg_sleep(60)' }
const BACKEND = { name: 'backend', text: 'select pg_backend_pid()' }
const STEP_DEADLINE_MS = 1_500

let database: TestDatabase
let proxy: TcpProxy
let connection: WriterConnection
let accepted = 0

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

beforeEach(async () => {
  const { host = '', port = 5432, ...config } = parseDsn(database.dsn)
  accepted = 0
  proxy = new TcpProxy(() => {
    accepted += 1
    return host.startsWith('/') ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port }
  })
  await proxy.listen()
  connection = new WriterConnection({
    config: { ...config, host: '127.0.0.1', port: proxy.port },
    health: silentHealth,
    stepDeadlineMs: STEP_DEADLINE_MS,
    commitDeadlineMs: 6_000,
  })
})
afterEach(async () => {
  await connection.close()
  await proxy.close()
})

/** In the session that is there, or the next. */
async function query(from: WriterConnection, statement: Statement): Promise<TextRows> {
  return (await from.session()).query(statement)
}

/** Asks, and gives up when the proxy has accepted so many connections. */
async function givenUpWhileConnecting(connections: number): Promise<void> {
  const asked = query(connection, ONE)
  const failed = expect(asked).rejects.toThrow('given up while connecting')
  await expect.poll(() => accepted, { interval: 5 }).toBe(connections)
  connection.cancel()
  await failed
}

test('a connection that is being made outlives whoever gives up waiting for it', async () => {
  proxy.set({ latencyMs: 100 })
  await givenUpWhileConnecting(1)
  connection.discard()
  await givenUpWhileConnecting(1)
  connection.discard()
  expect(await query(connection, ONE)).toEqual([['1']])
  expect(accepted).toBe(1)
})

test('one that does not come about in time is given up, and the next is made', async () => {
  proxy.set({ blackhole: true })
  await givenUpWhileConnecting(1)
  await expect(query(connection, ONE)).rejects.toThrow()
  proxy.set({})
  expect(await query(connection, ONE)).toEqual([['1']])
  expect(accepted).toBe(2)
})

test('closing does not wait for a server that hangs', async () => {
  await query(connection, ONE)
  proxy.set({ blackhole: true })
  await connection.close()
})

test('a session that is not what it must be is dropped, and the next one is made anew', async () => {
  const refusals = ['it is read-only']
  const establish = async (): Promise<void> => {
    const refusal = refusals.shift()
    if (refusal) throw new Error(refusal)
  }
  const config = { ...parseDsn(database.dsn), host: '127.0.0.1', port: proxy.port }
  const deadlines = { stepDeadlineMs: STEP_DEADLINE_MS, commitDeadlineMs: 6_000 }
  const picky = new WriterConnection({ config, health: silentHealth, establish, ...deadlines })
  await expect(query(picky, ONE)).rejects.toThrow('it is read-only')
  expect(await query(picky, ONE)).toEqual([['1']])
  expect(accepted).toBe(2)
  await picky.close()
})

test('a statement under way that is given up takes its connection with it', async () => {
  const [[before] = []] = await query(connection, BACKEND)
  const asked = query(connection, SLEEP)
  const failed = expect(asked).rejects.toThrow()
  await new Promise(setImmediate)
  connection.cancel()
  await failed
  const [[after] = []] = await query(connection, BACKEND)
  expect(after).not.toBe(before)
})

test('nothing goes on in another session: a transaction would be without its BEGIN and its locks there', async () => {
  const session = await connection.session()
  await session.command('begin')
  connection.whenLost(() => expect(session.isLost).toBe(true))
  connection.discard()
  await expect(session.command('commit')).rejects.toThrow('the session was lost')
  const copy = { name: 'copy', text: 'copy kept from stdin' }
  const copied = session.copyTransaction({ begin: false, first: ONE, values: [], copy, rows: () => [] })
  await expect(copied).rejects.toThrow('the session was lost')
  expect(accepted).toBe(1)
  expect(await query(connection, ONE)).toEqual([['1']])
  expect(accepted).toBe(2)
})

test('a COMMIT that ends no transaction is not taken for one', async () => {
  const session = await connection.session()
  await session.command('create temp table kept (line text)')
  const copied = session.copyTransaction({
    begin: false,
    first: ONE,
    values: [],
    copy: { name: 'copy', text: 'copy kept (line) from stdin' },
    rows: () => ['first\n'],
  })
  await expect(copied).rejects.toMatchObject({ stage: 'unknown' })
})

test('a COPY that is given up in its middle stores nothing, and the session goes on', async () => {
  const session = await connection.session()
  await session.command('create temp table kept (line text)')
  const copied = session.copyTransaction({
    begin: true,
    first: ONE,
    values: [],
    copy: { name: 'copy', text: 'copy kept (line) from stdin' },
    *rows() {
      yield 'first\n'
      throw new Error('no more rows')
    },
  })
  await expect(copied).rejects.toMatchObject({ stage: 'aborted', message: 'no more rows' })
  await session.command('rollback')
  expect(await session.query({ name: 'count', text: 'select count(*) from kept' })).toEqual([['0']])
})

/** A message of PostgreSQL's protocol. */
function packet(type: string, body: Buffer | string): Buffer {
  const content = Buffer.from(body as string)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}

const errorPacket = (severity: string, code: string): Buffer =>
  packet('E', `S${severity}\0V${severity}\0C${code}\0Mno more\0\0`)
const WELCOME = Buffer.concat([packet('R', Buffer.alloc(4)), packet('Z', 'I')])

/** Lets a client in, answers the first that it asks with this, and is silent from then on, as when its host is gone. */
async function serverThatSays(answer: Buffer) {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    const answers = [WELCOME, answer]
    socket.on('data', () => {
      const next = answers.shift()
      if (next) socket.write(next)
    })
    socket.on('error', () => socket.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy()
    await once(server.close(), 'close')
  }
  return { port: (server.address() as AddressInfo).port, close }
}

const refused = errorPacket('ERROR', '55P03')
test.each([
  ['an error', refused],
  ['an error and a farewell', Buffer.concat([refused, errorPacket('FATAL', '57P01')])],
])('a transaction ends in time when all that comes is %s', async (_what, answer) => {
  const server = await serverThatSays(answer)
  const config = { host: '127.0.0.1', port: server.port, user: 'u', database: 'd', ssl: false }
  const silent = new WriterConnection({ config, health: silentHealth, stepDeadlineMs: 200, commitDeadlineMs: 600 })
  const copy = { name: 'copy', text: 'copy kept from stdin' }
  const session = await silent.session()
  const outcome = session.copyTransaction({ begin: true, first: ONE, values: [], copy, rows: () => [] })
  await expect(outcome).rejects.toMatchObject({ stage: 'aborted' })
  await silent.close()
  await server.close()
})

test('an answer behind which the server says farewell is not believed: nothing may follow it in another session', async () => {
  const begun = Buffer.concat([packet('C', 'BEGIN\0'), packet('Z', 'T'), errorPacket('FATAL', '57P01')])
  const server = await serverThatSays(begun)
  const config = { host: '127.0.0.1', port: server.port, user: 'u', database: 'd', ssl: false }
  const left = new WriterConnection({ config, health: silentHealth, stepDeadlineMs: 5_000, commitDeadlineMs: 5_000 })
  await expect((await left.session()).command('begin')).rejects.toThrow('the session was lost')
  await left.close()
  await server.close()
})
