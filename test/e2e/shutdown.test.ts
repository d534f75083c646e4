// SIGTERM and Ctrl-C: what is queued is answered, nothing acked is lost, everybody is told to come back.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { ADVISORY_LOCK } from '../../src/postgres/migrate.ts'
import { TcpProxy } from '../faults/tcp-proxy.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { type Host, Ledger, sendByRest, sendBySocket } from '../support/load.ts'
import { RawHttp, upgradeRequest } from '../support/raw-http.ts'
import { get, post } from '../support/rest-client.ts'
import { STILL_DRAINING, type Target, useServices } from '../support/service.ts'
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf, WAITING_FOR_LOCK } from '../support/transactions.ts'

const services = useServices()
/** For tests that hold up a send for as long as a machine that is busy needs for what they do meanwhile. */
const patient = useServices('patient')
/** From files that are loaded one by one, of which one can be held up. */
const filed = useServices('.')
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

test.each(['SIGTERM', 'SIGINT'] as const)('%s under load stores every acked message and exits 0', async (signal) => {
  const own = await createDatabase()
  const service = await services.start({ POSTGRES_DSN: own.dsn })
  const host: Host = { service: Promise.resolve(service), storable: Promise.resolve() }
  const ledger = new Ledger()
  const users = ['a', 'b', 'c', 'd']
  const sockets = users.map((user, seed) => sendBySocket(host, ledger, ledger.plan(user, users, 20_000, seed), true))
  const rest = users.map((user, seed) => sendByRest(host, ledger, ledger.plan(user, users, 5_000, seed + 10), true))
  await ledger.reaches(2_000)
  expect(await service.stop(signal)).toEqual({ code: 0, signal: null })
  for (const events of await Promise.all(sockets)) {
    expect(events[0]).toBe('draining number')
    expect(events.at(-1)).toBe('closed 1012')
    // What came after the queue was closed was refused, in so many words.
    expect(events.slice(1, -1).filter((event) => event !== 'unavailable')).toEqual([])
  }
  await Promise.all(rest)
  expect(ledger.acked).toBeLessThan(ledger.entries.length)
  expect(await ledger.faults(own.dsn)).toEqual([])
  expect(service.logs.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['draining', 'stopped']))
  expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
  await own.drop()
})

test('a drain says so everywhere, answers what was queued, and takes nothing new', async () => {
  const service = await patient.start({ POSTGRES_DSN: database.dsn, DRAIN_RECONNECT_SPREAD_MS: '5000' })
  const clients = await Promise.all([
    SocketClient.connect(service, 'a', { protocol: JSON_PROTOCOL }),
    SocketClient.connect(service, 'b', { protocol: MSGPACK_PROTOCOL }),
    SocketClient.connect(service, 'c', { protocol: null }),
  ])
  const [probe, upgrade] = [await RawHttp.connect(service), await RawHttp.connect(service)]
  await clients[0].ask({ type: 'send', receiver_id: 'x', content: 'makes the conversation' })
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const queued = clients.map((client) => client.ask({ type: 'send', receiver_id: 'x', content: 'queued' }))
  const queuedRest = post(service, { receiver_id: 'x', content: 'queued' })
  for (const client of clients) await client.settled()

  service.signal('SIGTERM')
  for (const client of clients) {
    const { reconnect_after_ms } = await client.next('draining')
    expect(reconnect_after_ms).toBeGreaterThanOrEqual(0)
    expect(reconnect_after_ms).toBeLessThan(5_000)
  }
  probe.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const unready = await probe.answer()
  expect([unready?.status, JSON.parse(unready?.body ?? '')]).toEqual([
    503,
    { status: 'unready', reasons: ['draining'] },
  ])
  probe.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  expect((await probe.answer())?.status).toBe(200)
  upgrade.write(upgradeRequest('/ws?user_id=late'))
  const refused = await upgrade.answer()
  expect(refused?.status).toBe(503)
  expect(refused?.head).toMatch(/^Retry-After: \d+$/im)
  // Whoever comes only now hears the same.
  expect((await get(service, '/readyz')).status).toBe(503)
  const late = await RawHttp.connect(service)
  late.write(upgradeRequest('/ws?user_id=later'))
  expect((await late.answer())?.status).toBe(503)
  expect(await clients[0].ask({ type: 'send', receiver_id: 'x', content: 'late' })).toMatchObject({
    code: 'unavailable',
  })

  await transaction.end()
  expect((await Promise.all(queued)).map(({ type }) => type)).toEqual(['sent', 'sent', 'sent'])
  expect((await queuedRest).status).toBe(201)
  for (const client of clients) expect((await client.closed).code).toBe(1012)
  expect(await service.exited).toEqual({ code: 0, signal: null })
})

const doors = {
  REST: async (service: Target) => (await get(service, '/api/messages?user_id=a&with=REST')).body,
  WebSocket: (_: Target, client: SocketClient) => client.ask({ type: 'history', with: 'WebSocket' }),
} as const

test.each(['REST', 'WebSocket'] as const)('a drain answers what is being read over %s', async (door) => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  await post(service, { sender_id: 'a', receiver_id: door, content: 'read at the end' })
  const client = await SocketClient.connect(service, 'a', { protocol: JSON_PROTOCOL })
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const reading = doors[door](service, client)
  await expect.poll(() => rowsOf(database.dsn, WAITING_FOR_LOCK)).toHaveLength(1)
  service.signal('SIGTERM')
  await client.next('draining')
  expect(await client.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
  await transaction.end()
  expect(await reading).toMatchObject({ messages: [{ content: 'read at the end' }] })
  expect(await service.exited).toEqual({ code: 0, signal: null })
})

test('a drain does not wait for the rest of a request that is still coming', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn })
  const client = await SocketClient.connect(service, 'beside')
  const half = await RawHttp.connect(service)
  half.write('POST /api/send_message HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{')
  // Whoever connects later is answered later: by then the half request has been read.
  expect((await get(service, '/healthz')).status).toBe(200)
  service.signal('SIGTERM')
  const first = await Promise.race([client.closed, half.ended])
  expect(first).toMatchObject({ code: 1012 })
  expect(await half.answersToTheEnd()).toEqual([])
  expect(await service.exited).toEqual({ code: 0, signal: null })
})

test('a drain ends well although PostgreSQL is away and a position waits for it', async () => {
  const { host = '', port = 5432, user = '', database: name = '' } = parseDsn(database.dsn)
  const proxy = new TcpProxy(() => (host.startsWith('/') ? { path: join(host, `.s.PGSQL.${port}`) } : { host, port }))
  const dsn = `postgres://${user}@127.0.0.1:${await proxy.listen()}/${name}`
  const service = await services.start({ POSTGRES_DSN: dsn })
  const client = await SocketClient.connect(service, 'acks')
  await client.ask({ type: 'send', receiver_id: 'x', content: 'to be read' })
  await proxy.close()
  client.send({ type: 'read', with: 'x', seq: 1 })
  await client.settled()
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect((await client.closed).code).toBe(1012)
})

test('a second signal exits at once, when it is no mistake', async () => {
  const service = await patient.start({ POSTGRES_DSN: database.dsn })
  const client = await SocketClient.connect(service, 'hurried')
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  client.send({ type: 'send', receiver_id: 'x', content: 'holds the drain up' })
  await client.settled()
  service.signal('SIGTERM')
  await client.next('draining')
  await service.logged(({ msg }) => msg === STILL_DRAINING)
  expect(await service.stop('SIGINT')).toEqual({ code: 1, signal: null })
  expect((await client.closed).code).toBe(1006)
  await transaction.end()
})

test('a drain that cannot end is cut off in time, and says so by its exit code', async () => {
  const service = await services.start({ POSTGRES_DSN: database.dsn, SHUTDOWN_TIMEOUT_MS: '300' })
  const client = await SocketClient.connect(service, 'stuck')
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  client.send({ type: 'send', receiver_id: 'x', content: 'holds the drain up' })
  await client.settled()
  expect(await service.stop()).toEqual({ code: 1, signal: null })
  await transaction.end()
})

test('its own PostgreSQL ends before the service does', async () => {
  const dataDir = await services.dataDirWithCluster()
  const service = await services.start({ DATA_DIR: dataDir })
  const lockFile = join(dataDir, 'postgres', 'postmaster.pid')
  const pid = Number(readFileSync(lockFile, 'utf8').split('\n')[0])
  expect(process.kill(pid, 0)).toBe(true)
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  expect(existsSync(lockFile)).toBe(false)
})

test('a signal while the start makes a database ends it at once, and the database soon after', async () => {
  const dataDir = await services.dataDir()
  const service = services.launch({ DATA_DIR: dataDir })
  await service.logged(({ msg }) => msg === 'making a new PostgreSQL cluster')
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  // If the process could not wait for it, the watchdog ends it.
  await eventually(() => !existsSync(join(dataDir, 'postgres', 'postmaster.pid')), 'the end of PostgreSQL')
})

test('a signal while the start waits for the migration of another instance ends it at once', async () => {
  const own = await createDatabase()
  const migration = await openTransaction(own.dsn, `select pg_advisory_lock(${ADVISORY_LOCK})`)
  const service = services.launch({ POSTGRES_DSN: own.dsn })
  await service.logged(({ msg }) => msg === 'waiting for the migration of another instance')
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await migration.end()
  await own.drop()
})

test('a signal while the programs are still being loaded ends it at once', async () => {
  const stalledLoad = new URL('../support/stalled-load.mjs', import.meta.url)
  const service = filed.launch({ POSTGRES_DSN: database.dsn, NODE_OPTIONS: `--import ${stalledLoad}` })
  await service.logged(({ msg }) => msg === 'the load stalls')
  // Without somebody who listens, the signal itself would end it; and on PID 1 it would be lost.
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})
