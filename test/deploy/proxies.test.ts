// The sample proxies of src/deploy, each by the real program in front of two instances.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, get as getPlain, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { startOn } from '../support/app.ts'
import { type Certificate, makeCertificate } from '../support/certificate.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { freePort } from '../support/free-port.ts'
import { isLeftOut } from '../support/plays.ts'
import { sharedRedis } from '../support/redis.ts'
import { PROXY_SAMPLES, SampleProxy, versionOf } from '../support/sample-proxy.ts'
import { type ConnectOptions, JSON_PROTOCOL, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { callByHttp1, callByHttp2, type TlsSite, talkByHttp2 } from '../support/tls-client.ts'

const MAX_PER_ADDRESS = 4
const redis = sharedRedis()
let database: TestDatabase
let directory: string
let certificate: Certificate
let ca: string
let ports: readonly [number, number]
let instances: App[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'messaging-test-'))
  certificate = makeCertificate(directory)
  ca = readFileSync(certificate.cert, 'utf8')
  database = await createDatabase()
  ports = [await freePort(), await freePort()]
  instances = await Promise.all(ports.map(startInstance))
})
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.stop()))
  await database?.drop()
  await rm(directory, { recursive: true, force: true })
})

function startInstance(port: number): Promise<App> {
  return startOn(database.dsn, {
    PORT: String(port),
    REDIS_ADDR: redis.url,
    REDIS_PREFIX: redis.prefix,
    TRUSTED_PROXIES: '127.0.0.1',
    MAX_CONNECTIONS_PER_ADDRESS: String(MAX_PER_ADDRESS),
  })
}

/** Where nobody answers, not even that there is nobody: the queue of a frozen process is full. */
async function silentPort(): Promise<number> {
  const script = `const server = require('node:net').createServer().listen(0, '127.0.0.1', 1, () => console.log(server.address().port))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const port = Number(String((await once(child.stdout, 'data'))[0]))
  child.kill('SIGSTOP')
  const waiting = Array.from({ length: 4 }, () => dial(port, '127.0.0.1').on('error', () => undefined))
  onTestFinished(() => waiting.forEach((socket) => void socket.destroy()))
  await eventually(() => waiting.filter((socket) => !socket.connecting).length >= 2, 'the queue to be full')
  return port
}

const named = PROXY_SAMPLES.map((sample) => {
  const version = versionOf(sample)
  return [`${sample.name} ${version ?? 'is not installed'}`, { ...sample, version }] as const
})

describe.each(named)('%s', (_name, sample) => {
  const isSkipped = isLeftOut(sample.source.programs)
  let proxy: SampleProxy | undefined
  const site = (): TlsSite => ({ port: proxy?.port ?? 0, ca })
  const connect = (user: string, options: ConnectOptions = {}): Promise<SocketClient> =>
    SocketClient.connect(site(), user, { scheme: 'wss', ca, ...options })

  beforeAll(async () => {
    if (isSkipped) return
    proxy = await SampleProxy.start(sample, certificate, [`127.0.0.1:${ports[0]}`, `127.0.0.1:${ports[1]}`])
  })
  afterAll(() => proxy?.stop())

  test.skipIf(isSkipped)('carries REST over HTTP/1.1 and HTTP/2, and keeps inside what is for operators', async () => {
    const [from, to] = [crypto.randomUUID(), crypto.randomUUID()]
    const content = 'é'.repeat(8_000)
    const sent = { body: { receiver_id: to, content } }
    for (const [seq, call] of [callByHttp1, callByHttp2].entries()) {
      const { status, body } = await call(site(), 'POST', `/api/send_message?user_id=${from}`, sent)
      expect({ status, body }).toMatchObject({ status: 201, body: { seq: seq + 1 } })
      const read = await call(site(), 'GET', `/api/messages?user_id=${to}&with=${from}&limit=1`)
      expect(read).toMatchObject({ status: 200, body: { messages: [{ seq: seq + 1, content }] } })
      for (const path of ['/metrics', '/readyz']) expect((await call(site(), 'GET', path)).status).toBe(404)
      expect((await call(site(), 'GET', '/healthz')).status).toBe(200)
    }
  })

  if (sample.redirects)
    test.skipIf(isSkipped)('sends plain HTTP to the same address by https', async () => {
      const location = await new Promise((resolve, reject) => {
        getPlain(`http://localhost:${proxy?.plainPort}/c/x?a=1`, (response) => {
          response.resume()
          resolve([response.statusCode, response.headers.location])
        }).on('error', reject)
      })
      expect(location).toEqual([308, `https://localhost:${proxy?.plainPort}/c/x?a=1`])
    })

  test.skipIf(isSkipped)('carries sockets of both subprotocols', async () => {
    const [ann, bob] = [crypto.randomUUID(), crypto.randomUUID()]
    const one = await connect(ann, { protocol: JSON_PROTOCOL })
    const two = await connect(bob, { protocol: MSGPACK_PROTOCOL })
    one.send({ type: 'send', receiver_id: bob, content: 'to bob' })
    expect(await two.next('message')).toMatchObject({ sender_id: ann, content: 'to bob', seq: 1 })
    two.send({ type: 'send', receiver_id: ann, content: 'to ann' })
    expect(await one.next(({ sender_id }) => sender_id === bob)).toMatchObject({ content: 'to ann', seq: 2 })
    await Promise.all([one.close(), two.close()])
  })

  if (sample.hasHttp2Sockets)
    test.skipIf(isSkipped)('carries sockets over HTTP/2', async () => {
      expect(await talkByHttp2(site(), `/ws?user_id=${crypto.randomUUID()}`)).toContain('"welcome"')
    })

  test.skipIf(isSkipped)('lets pages of its own address in, port included, and no others', async () => {
    const own = `https://localhost:${site().port}`
    await (await connect('own', { headers: { Origin: own } })).close()
    for (const Origin of ['https://localhost', `https://localhost:${site().port + 1}`, 'https://evil.example']) {
      const dialled = SocketClient.dial(site(), 'foreign', { scheme: 'wss', ca, headers: { Origin } })
      expect(await dialled.refusal()).toBe(403)
    }
  })

  test.skipIf(isSkipped)("says the client's address, whatever the client says", async () => {
    const sockets: SocketClient[] = []
    onTestFinished(async () => void (await Promise.all(sockets.map((socket) => socket.close()))))
    const status = async (from: string, headers: Readonly<Record<string, string>> = {}): Promise<number> => {
      const socket = SocketClient.dial(site(), crypto.randomUUID(), { scheme: 'wss', ca, from, headers })
      const refused = await Promise.race([socket.refusal(), socket.next('welcome').then(() => undefined)])
      if (refused === undefined) sockets.push(socket)
      return refused ?? 101
    }
    // Each instance counts its own.
    for (let count = 1; count <= 2 * MAX_PER_ADDRESS; count += 1) await status('127.0.0.2')
    expect(await status('127.0.0.2')).toBe(429)
    expect(await status('127.0.0.2', { 'X-Forwarded-For': '192.0.2.1' })).toBe(429)
    expect(await status('127.0.0.3')).toBe(101)
  })

  if (sample.triesNextInstance)
    test.skipIf(isSkipped)('sends readers past an instance that cannot serve', async () => {
      const broken = createServer((_request, response) => response.writeHead(503).end())
      await once(broken.listen(0, '127.0.0.1'), 'listening')
      onTestFinished(() => void broken.close())
      const { port } = broken.address() as AddressInfo
      const other = await SampleProxy.start(sample, certificate, [`127.0.0.1:${port}`, `127.0.0.1:${ports[1]}`])
      onTestFinished(() => other.stop())
      const statuses = new Set<number>()
      for (let count = 0; count < 12; count += 1) {
        const path = `/api/messages?user_id=${crypto.randomUUID()}&with=x`
        statuses.add((await callByHttp1({ port: other.port, ca }, 'GET', path)).status)
      }
      expect([...statuses]).toEqual([200])
    })

  if (!sample.asksReadiness)
    test.skipIf(isSkipped)('passes on what both say while neither can store', async () => {
      const body = JSON.stringify({ error: { code: 'unavailable', message: 'try again' } })
      const answer = (request: IncomingMessage, response: ServerResponse): void => {
        const isWell = request.url === '/healthz'
        response.writeHead(isWell ? 200 : 503, { 'Content-Type': 'application/json' }).end(isWell ? '{}' : body)
      }
      const broken = [createServer(answer), createServer(answer)] as const
      const addresses = await Promise.all(
        broken.map(async (server) => {
          await once(server.listen(0, '127.0.0.1'), 'listening')
          onTestFinished(() => void server.close())
          return `127.0.0.1:${(server.address() as AddressInfo).port}`
        }),
      )
      const other = await SampleProxy.start(sample, certificate, addresses as [string, string])
      onTestFinished(() => other.stop())
      const there = { port: other.port, ca }
      const statuses = { gets: new Set<number>(), posts: new Set<number>(), health: new Set<number>() }
      for (let count = 0; count < 12; count += 1) {
        statuses.gets.add((await callByHttp1(there, 'GET', '/api/messages?user_id=ann&with=x')).status)
        statuses.posts.add((await callByHttp1(there, 'POST', '/api/send_message?user_id=ann', { body: {} })).status)
        statuses.health.add((await callByHttp1(there, 'GET', '/healthz')).status)
      }
      expect(statuses).toEqual({ gets: new Set([503]), posts: new Set([503]), health: new Set([200]) })
    })

  if (!sample.asksReadiness)
    test.skipIf(isSkipped)('leaves one alone that has vanished', async () => {
      const gone = `127.0.0.1:${await silentPort()}`
      const other = await SampleProxy.start(sample, certificate, [gone, `127.0.0.1:${ports[1]}`])
      onTestFinished(() => other.stop())
      const read = async (): Promise<number> =>
        (await callByHttp1({ port: other.port, ca }, 'GET', `/api/messages?user_id=${crypto.randomUUID()}&with=x`))
          .status
      const tried = async (requests: number): Promise<number> => {
        const lines = (): string[] => readFileSync(join(other.directory, 'access.log'), 'utf8').split('\n').slice(0, -1)
        await eventually(() => lines().length === requests, 'the log')
        return lines().filter((line) => line.includes(`"${gone}, `)).length
      }
      let requests = 0
      for (; (await tried(requests)) < 3; requests += 1) expect(await read()).toBe(200)
      const many = Array.from({ length: 40 }, read)
      expect(new Set(await Promise.all(many))).toEqual(new Set([200]))
      // One finds out whether it is back, and on a slow machine another one.
      expect(await tried(requests + many.length)).toBeLessThanOrEqual(3 + 2)
    })

  test.skipIf(isSkipped)('hides that an instance drains and comes back', async () => {
    const [reader, sender] = [crypto.randomUUID(), crypto.randomUUID()]
    const idle = await Promise.all([1, 2, 3, 4].map((number) => connect(`idle-${number}`)))
    const seen = { gets: new Set<number>(), sockets: new Set<unknown>(), sends: new Set<number>(), stored: 0 }
    let isOver = false
    const traffic = (step: () => Promise<void>): Promise<void> =>
      (async () => {
        while (!isOver) await step()
      })()
    const running = [
      traffic(async () => {
        seen.gets.add((await callByHttp1(site(), 'GET', `/api/messages?user_id=${reader}&with=${sender}`)).status)
      }),
      traffic(async () => {
        const socket = SocketClient.dial(site(), reader, { scheme: 'wss', ca })
        const refused = await Promise.race([socket.refusal(), socket.opened().then(() => undefined)])
        seen.sockets.add(refused ?? 101)
        if (refused === undefined) await socket.close()
      }),
      traffic(async () => {
        const body = { receiver_id: reader, content: 'x', id: crypto.randomUUID() }
        for (let status = 0; status !== 201 && status !== 200; ) {
          status = (await callByHttp1(site(), 'POST', `/api/send_message?user_id=${sender}`, { body })).status
          seen.sends.add(status)
        }
        seen.stored += 1
      }),
    ]
    await instances[0]!.stop()
    const drained = idle.filter(({ frames }) => frames.some(({ type }) => type === 'draining'))
    expect(drained.length).toBeGreaterThan(0)
    for (const socket of drained) expect(await socket.closed).toMatchObject({ code: 1012 })
    const others = idle.filter((socket) => !drained.includes(socket))
    expect(others.length).toBeGreaterThan(0)
    for (const socket of others) await socket.settled()
    instances[0] = await startInstance(ports[0])
    isOver = true
    await Promise.all([...running, ...others.map((socket) => socket.close())])
    expect([...seen.gets]).toEqual([200])
    // What it does not repeat by itself the client is told to.
    const good = sample.triesNextInstance ? [101] : [101, 503]
    expect([...seen.sockets].filter((status) => !good.includes(Number(status)))).toEqual([])
    expect([...seen.sends].filter((status) => ![200, 201, 502, 503].includes(status))).toEqual([])
    const { body } = await callByHttp1(site(), 'GET', `/api/conversations?user_id=${reader}`)
    expect(body?.['conversations']).toMatchObject([{ last_message: { seq: seen.stored } }])
  })
})
