// Clients that hold on to what they take: half requests, unread answers, silent sockets, more connections than the process
// may have. Others are served meanwhile, and once they are gone nothing of it is left, no spinning either.
import { execFile } from 'node:child_process'
import { setTimeout as passed } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { cpuMs } from '../support/process-cpu.ts'
import { RawHttp, upgradeRequest } from '../support/raw-http.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
const run = promisify(execFile)
let database: TestDatabase
let service: ServiceProcess
let canary: SocketClient

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn })
  canary = await SocketClient.connect(service, 'canary')
})
// The oracle of every case: nothing is left of it, and the service rests.
afterEach(async () => {
  await served(service)
  await rests(service)
  expect(await metric(service, 'messaging_connections')).toBe(1)
})
afterAll(async () => {
  expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([])
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await database.drop()
})

/** Both doors, a new connection, and a socket that was there before. */
async function served(by: ServiceProcess): Promise<void> {
  expect((await post(by, { receiver_id: 'oracle', content: 'next' })).status).toBe(201)
  const socket = await SocketClient.connect(by, 'oracle')
  await socket.settled()
  await socket.close()
  if (by === service) await canary.settled()
}

async function metric(by: ServiceProcess, name: string): Promise<number> {
  const { text } = await get(by, '/metrics')
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

/** Resolves when a count has come back to what it was: the end of a connection is noticed a moment after it. */
function reaches(by: ServiceProcess, name: string, atMost: number): Promise<void> {
  return eventually(async () => (await metric(by, name)) <= atMost, `${name} at ${atMost} or below`)
}

const CPU_WINDOW_MS = 200

/** Resolves when the process has used less than half of a window of time: one that spins never does. */
function rests({ pid }: ServiceProcess): Promise<void> {
  const look = async (): Promise<void> => {
    const before = cpuMs(pid)
    await passed(CPU_WINDOW_MS)
    if (cpuMs(pid) - before > CPU_WINDOW_MS / 2) return look()
  }
  return within(look(), () => 'a service that rests')
}

function many<T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => make(index)))
}

async function opened(count: number, bytes: string | ((index: number) => string) = ''): Promise<RawHttp[]> {
  return many(count, async (index) => {
    const http = await RawHttp.connect(service)
    http.write(typeof bytes === 'string' ? bytes : bytes(index))
    return http
  })
}
const reset = (clients: readonly RawHttp[]) => Promise.all(clients.map((http) => http.reset()))

test('headers that come byte by byte and do not end', async () => {
  const head = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ${'a'.repeat(100)}`
  const clients = await opened(300, (index) => head.slice(0, 1 + (index % head.length)))
  for (let turn = 0; turn < 10; turn += 1) {
    for (const http of clients) http.write('a')
    await served(service)
  }
  await reset(clients)
})

test('bodies that come byte by byte and do not end', async () => {
  const head =
    'POST /api/send_message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 65536\r\n\r\n{'
  const clients = await opened(300, head)
  for (let turn = 0; turn < 10; turn += 1) {
    for (const http of clients) http.write(' ')
    await served(service)
  }
  await reset(clients)
})

test('readers that never read their answers', async () => {
  const content = 'x'.repeat(16_000)
  const writer = await SocketClient.connect(service, 'large')
  await many(200, () => writer.ask({ type: 'send', receiver_id: 'pages', content }))
  await writer.close()
  const before = await metric(service, 'process_resident_memory_bytes')
  // Each answer has 3 MB, more than the kernel takes for a reader that is asleep.
  const clients = await many(12, async () => {
    const http = await RawHttp.connect(service)
    http.socket.pause()
    http.write('GET /api/messages?user_id=large&with=pages&limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n')
    return http
  })
  await served(service)
  for (const http of clients) http.socket.resume()
  // A database that is too slow for all of them at once is a definite answer, too.
  for (const http of clients) expect([200, 503]).toContain((await http.answer(60_000))?.status)
  await reset(clients)
  const grown = (await metric(service, 'process_resident_memory_bytes')) - before
  expect(grown).toBeLessThan(12 * 3.3e6 + 200e6)
})

test('connections that have asked for a head and say nothing more', async () => {
  const refused = await opened(1, 'HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}')
  const clients = await opened(10, 'HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await Promise.all(refused.map((http) => within(http.ended, () => 'the end of a connection refused')))
  // uWebSockets gives an idle connection 10 s, and looks every 4 s.
  await Promise.all(clients.map((http) => within(http.ended, () => 'the end of an idle connection')))
})

test('1,000 connections that say nothing', async () => {
  const clients = await opened(1000)
  await served(service)
  await reset(clients)
})

test('1,000 sockets that say nothing after the upgrade', async () => {
  const clients = await opened(1000, (index) => upgradeRequest(`/ws?user_id=silent-${index}`))
  for (const http of clients) expect((await http.answer())?.status).toBe(101)
  expect(await metric(service, 'messaging_connections')).toBe(1001)
  await served(service)
  await reset(clients)
  await reaches(service, 'messaging_connections', 1)
})

test('1,000 upgrades that go away before they are answered', async () => {
  const clients = await opened(1000, (index) => upgradeRequest(`/ws?user_id=gone-${index}`))
  await reset(clients)
  await reaches(service, 'messaging_connections', 1)
})

// prlimit(1) lowers the limit of the running process, so that the flood meets it and the start does not.
test.runIf(process.platform === 'linux')('more connections than the process may have open files', async () => {
  const small = await services.start({ POSTGRES_DSN: database.dsn })
  const inside = await SocketClient.connect(small, 'inside')
  await served(small)
  const files = await metric(small, 'process_open_fds')
  await run('prlimit', ['--pid', String(small.pid), `--nofile=${files + 100}:${files + 100}`])
  // The kernel completes these by itself, whether the service can take them or not.
  const flood = await many(600, () => RawHttp.connect(small))
  // Who is inside is served while nobody more can come in; what is sent is stored.
  for (let turn = 0; turn < 20; turn += 1) {
    expect(await inside.ask({ type: 'send', receiver_id: 'b', content: `${turn}` })).toMatchObject({ type: 'sent' })
  }
  await reset(flood)
  await within(served(small), () => 'a service that takes connections again')
  await rests(small)
  await inside.close()
  expect(small.logs.filter(({ level }) => level === 'fatal')).toEqual([])
  expect(await small.stop()).toEqual({ code: 0, signal: null })
})
