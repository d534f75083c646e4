import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { errorCode } from '../../src/lib/errors.ts'
import { connectionsFor } from '../../src/postgres/database.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { freePort } from '../support/free-port.ts'
import { rawRequest } from '../support/raw-http.ts'
import { sharedRedis } from '../support/redis.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, STILL_DRAINING, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf } from '../support/transactions.ts'

const services = useServices()
/** For tests that hold up a send while they do this and that. */
const patient = useServices('patient')
/** From files that are loaded one by one, of which one can be held up. */
const filed = useServices('.')
let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

async function environment(workers: number) {
  const { url, prefix } = sharedRedis()
  return {
    POSTGRES_DSN: database.dsn,
    REDIS_ADDR: url,
    REDIS_PREFIX: prefix,
    PORT: String(await freePort()),
    WORKERS: String(workers),
    DRAIN_RECONNECT_SPREAD_MS: '0',
  }
}

const linesOf = (service: ServiceProcess, msg: string) => service.logs.filter((line) => line.msg === msg)
const allListen = (service: ServiceProcess, count: number) =>
  service.logged(() => linesOf(service, 'listening').length >= count)

test('several processes on one port act as one service', async () => {
  const service = await services.start(await environment(2))
  await allListen(service, 2)
  // The kernel spreads connections, so twenty of them hardly all meet one process.
  const people = await Promise.all(
    Array.from({ length: 20 }, (_, index) => SocketClient.connect(service, `person-${index}`)),
  )
  // What one process lists the others see.
  await eventually(async () => (await get(service, '/api/online_users')).body?.count === 20, '20 online')
  const [first] = people
  for (const [index, person] of people.entries()) {
    first?.send({ type: 'send', receiver_id: `person-${index}`, content: `to ${index}`, ref: index })
    await first?.next('sent')
    if (person !== first) expect(await person.next('message')).toMatchObject({ content: `to ${index}` })
  }
  await Promise.all(people.map((person) => person.close()))
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})

test('a process that dies is replaced, and the others go on', async () => {
  const service = await services.start(await environment(2))
  await allListen(service, 2)
  const victim = Number(linesOf(service, 'worker started')[0]?.pid)
  process.kill(victim, 'SIGKILL')
  await service.logged(({ msg, signal }) => msg === 'a worker ended unasked and is replaced' && signal === 'SIGKILL')
  await allListen(service, 3)
  expect((await post(service, { receiver_id: 'bob', content: 'still here' })).status).toBe(201)
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})

/** Asked on a connection of its own each time, so that the kernel chooses a process anew. */
async function scrapes(service: ServiceProcess): Promise<readonly string[]> {
  const once = async () => String((await rawRequest(service, SCRAPE))?.body)
  return Promise.all(Array.from({ length: 12 }, once))
}
const SCRAPE = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

test('any process tells the metrics of all, also of one that has died', async () => {
  const service = await services.start(await environment(2))
  await allListen(service, 2)
  const people = await Promise.all(
    Array.from({ length: 20 }, (_, index) => SocketClient.connect(service, `counted-${index}`)),
  )
  for (const person of people) await person.ask({ type: 'send', receiver_id: 'counted', content: 'x' })
  for (const text of await scrapes(service)) {
    expect(text).toContain('\nmessaging_connections 20\n')
    expect(text).toContain('\nmessaging_sends_total{outcome="stored"} 20\n')
  }
  process.kill(Number(linesOf(service, 'worker started')[0]?.pid), 'SIGKILL')
  await service.logged(({ msg }) => msg === 'a worker ended unasked and is replaced')
  await allListen(service, 3)
  for (const text of await scrapes(service)) expect(text).toContain('messaging_sends_total{outcome="stored"} 20\n')
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})

test('SIGTERM drains every process: all sockets close with 1012, and none outlives the supervisor', async () => {
  const service = await services.start(await environment(3))
  await allListen(service, 3)
  const people = await Promise.all(
    Array.from({ length: 12 }, (_, index) => SocketClient.connect(service, `drained-${index}`)),
  )
  const closes = Promise.all(people.map((person) => person.closed))
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  expect((await closes).map(({ code }) => code)).toEqual(people.map(() => 1012))
  const pids = linesOf(service, 'worker started').map(({ pid }) => Number(pid))
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
})

/** A service that drains, with a send that it cannot store yet. */
async function draining(service: ServiceProcess) {
  await allListen(service, 2)
  const person = await SocketClient.connect(service, 'waiting')
  await person.ask({ type: 'send', receiver_id: 'x', content: 'makes the conversation' })
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const queued = person.ask({ type: 'send', receiver_id: 'x', content: 'queued' })
  queued.catch(() => undefined) // whoever asked for it looks at it later
  await person.settled()
  const workers = linesOf(service, 'worker started').map(({ pid }) => Number(pid))
  // The supervisor tells them too: one that has nothing to wait for may have ended.
  for (const pid of [service.pid, ...workers]) signalIfAlive(pid, 'SIGTERM')
  await service.logged(() => linesOf(service, 'draining').length === 3)
  return { person, queued, workers, transaction }
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error
  }
}

test('a SIGTERM to all processes at once, and to the workers again, drops nothing', async () => {
  const service = await patient.start(await environment(2))
  const { person, queued, workers, transaction } = await draining(service)
  // Only one of them has the send to wait for; the other may have ended.
  for (const pid of workers) signalIfAlive(pid, 'SIGTERM')
  // What answers has met its signals.
  for (let turn = 0; turn < 3; turn += 1) await person.settled()
  await transaction.end()
  expect(await queued).toMatchObject({ type: 'sent' })
  expect(await service.exited).toEqual({ code: 0, signal: null })
  expect(await person.closed).toMatchObject({ code: 1012 })
})

test('a second SIGTERM to the supervisor ends all processes at once', async () => {
  const service = await patient.start(await environment(2))
  const { person, transaction } = await draining(service)
  await service.logged(({ msg, worker }) => msg === STILL_DRAINING && worker === undefined)
  expect(await service.stop()).toEqual({ code: 1, signal: null })
  expect(await within(person.closed, () => 'the end of a worker')).toMatchObject({ code: 1006 })
  await transaction.end()
})

test('a process that is killed while it drains is told of, and makes the exit code 1', async () => {
  const service = await patient.start(await environment(2))
  const { workers, transaction } = await draining(service)
  for (const pid of workers) signalIfAlive(pid, 'SIGKILL')
  const exit = await service.exited
  await transaction.end()
  expect(exit).toEqual({ code: 1, signal: null })
  const told = linesOf(service, 'a worker ended before it was drained').map(({ signal }) => signal)
  expect(new Set(told)).toEqual(new Set(['SIGKILL']))
})

test('when the supervisor is killed the processes drain by themselves', async () => {
  const service = await services.start(await environment(2))
  await allListen(service, 2)
  const person = await SocketClient.connect(service, 'orphan')
  await service.stop('SIGKILL')
  expect(await within(person.closed, () => 'the close of an orphan')).toMatchObject({ code: 1012 })
})

test.each([
  ['start', 'worker started'],
  ['load', 'the load stalls'],
])('when the supervisor is killed while its processes %s, none of them stays', async (_doing, sign) => {
  const stalledLoad = new URL('../support/stalled-load.mjs?--worker', import.meta.url)
  const service = filed.launch({ ...(await environment(2)), NODE_OPTIONS: `--import ${stalledLoad}` })
  onTestFinished(() => {
    for (const { pid } of linesOf(service, 'worker started')) signalIfAlive(Number(pid), 'SIGKILL')
  })
  await service.logged(() => linesOf(service, sign).length === 2)
  // The end of its output, which all of them share, is the end of the last of them.
  expect(await service.stop('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
})

test('the own PostgreSQL takes all connections that the processes may open', async () => {
  const { POSTGRES_DSN: _, ...env } = await environment(2)
  const dataDir = await services.dataDirWithCluster()
  const service = await services.start({ ...env, DATA_DIR: dataDir, POSTGRES_POOL_MAX: '60' })
  const dsn = `postgres:///postgres?user=postgres&host=${dataDir}/postgres.socket`
  const [row] = await rowsOf(dsn, "select current_setting('max_connections')::int as most")
  expect(row?.most).toBeGreaterThan(2 * connectionsFor(60))
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})

test('a service of which no process can start ends, and says why', async () => {
  const nowhere = new URL(database.dsn)
  nowhere.pathname += '_not_there'
  const service = services.launch({ ...(await environment(2)), POSTGRES_DSN: nowhere.href })
  expect(await service.exited).toEqual({ code: 1, signal: null })
  const reasons = linesOf(service, 'could not start')
  expect(JSON.stringify(reasons[0])).toContain('does not exist')
  expect(reasons.at(-1)).not.toHaveProperty('worker')
})

test('more than one process needs a Redis and a port of its own', async () => {
  const service = services.launch({ POSTGRES_DSN: database.dsn, WORKERS: '2', PORT: '0' })
  expect((await service.exited).code).toBe(78)
  expect(service.stderr).toContain('REDIS_ADDR')
  expect(service.stderr).toContain('PORT')
})
