// Three instances on one PostgreSQL and one Redis behave as one.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Conversations, Device, LASTING, lastingFaults, percentile, traffic, whole } from '../support/cluster.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

const services = useServices('patient')
let database: TestDatabase
let redis: RedisSetUp
let instances: ServiceProcess[]
let log: Conversations

beforeAll(async () => {
  database = await createDatabase()
  redis = await startRedis()
  const env = { POSTGRES_DSN: database.dsn, ...redis.env, ...LASTING }
  instances = await Promise.all([services.start(env), services.start(env), services.start(env)])
})
afterAll(async () => {
  await Promise.all(instances.map((instance) => instance.kill9()))
  await redis.stop()
  await database.drop()
})
beforeEach(() => {
  log = new Conversations()
})

const at = (index: number) => () => instances[index % instances.length] as ServiceProcess

/** Each user's devices are on different instances; the first moves the positions. */
function connectAll(users: readonly string[], devicesEach: number): Promise<Device[]> {
  return Promise.all(
    users.flatMap((user, index) =>
      Array.from({ length: devicesEach }, (_, device) =>
        Device.connect(user, { log, pick: at(index + device), acks: device === 0 }),
      ),
    ),
  )
}

async function closeAll(devices: readonly Device[]): Promise<void> {
  await Promise.all(devices.map((device) => device.close()))
}

test('every message reaches every device on every instance once and in order', async () => {
  const users = Array.from({ length: 12 }, (_, index) => `a${index}`)
  const devices = await connectAll(users, 3)
  const load = traffic(devices, 600)
  await eventually(() => log.acked.size >= 2500, '2,500 messages')
  await load.stop()
  await whole(devices, log)
  expect([...log.errors]).toEqual([])
  // Where the first messages of a conversation cross while a look replays it, one may come again; clients drop it by its seq.
  const repeats = devices.reduce((sum, device) => sum + device.repeats, 0)
  expect(repeats).toBeLessThan(log.pushMs.length / 500)
  // The first messages of a conversation may cross, and those around such a comparison.
  const late = devices.flatMap(({ lateMs }) => lateMs)
  expect(late.length).toBeLessThan(log.pushMs.length / 20)
  figure(
    `${late.length} messages crossed, the latest by ${Math.max(0, ...late).toFixed(0)} ms; a client holds a jump for 500 ms`,
  )
  expect(lastingFaults(devices)).toEqual([])
  await closeAll(devices)
})

test('two people who write to each other at once from different instances both see everything', async () => {
  const pairs = Array.from({ length: 40 }, (_, index) => [`x${index}`, `y${index}`] as const)
  for (let round = 0; round < 3; round += 1) {
    // New sockets each time: the first pushes of a connection have nothing to be measured against.
    const devices = await Promise.all(
      pairs.flatMap(([x, y]) => [
        Device.connect(x, { log, pick: at(0), acks: true }),
        Device.connect(y, { log, pick: at(1), acks: true }),
      ]),
    )
    for (let burst = 0; burst < 5; burst += 1) {
      for (const device of devices) device.send(device.user.replace(/[xy]/, (side) => (side === 'x' ? 'y' : 'x')))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await eventually(() => devices.every(({ unanswered }) => unanswered === 0), 'all answers')
    await eventually(() => shownTo(devices), 'both sides of every conversation')
    await closeAll(devices)
  }
})

/** Of every conversation both devices together show each seq, and each shows all that came after it connected. */
function shownTo(devices: readonly Device[]): boolean {
  const heads = log.heads()
  return devices.every((device) => {
    const [other] = device.screens.keys()
    const shown = device.screens.get(other ?? '') ?? new Set()
    const head = heads.get([device.user, other].sort().join(' ')) ?? 0
    for (let seq = head - 9; seq <= head; seq += 1) if (!shown.has(seq)) return false
    return true
  })
}

test('measures the delivery to another instance at idle load', async () => {
  const [ann, bob] = [
    await Device.connect('ann', { log, pick: at(0), acks: true }),
    await Device.connect('bob', { log, pick: at(1), acks: true }),
  ]
  for (let count = 1; count <= 400; count += 1) {
    ann.send('bob')
    await eventually(() => log.pushMs.length === count, 'the push')
  }
  const [p50, p99] = [percentile(log.pushMs, 0.5), percentile(log.pushMs, 0.99)]
  figure(`send → push on another instance: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`)
  expect(bob.lateMs).toEqual([])
  expect(bob.repeats).toBe(0)
  await closeAll([ann, bob])
})

test('an instance starts without Redis and takes sends, and joins the others when Redis comes', async () => {
  const late = await startRedis()
  await late.kill()
  const env = { POSTGRES_DSN: database.dsn, ...late.env }
  const [one, two] = await Promise.all([services.start(env), services.start(env)])
  const [ann, bob] = await Promise.all([
    Device.connect('late-ann', { log, pick: () => one, acks: true }),
    Device.connect('late-bob', { log, pick: () => two, acks: true }),
  ])
  expect((await get(one, '/readyz')).status).toBe(200)
  expect((await get(one, '/api/online_users')).status).toBe(503)
  const load = traffic([ann, bob], 50)
  await eventually(() => log.acked.size > 50, '50 messages')
  await load.stop()
  figure(`without Redis from the start: whole ${(await whole([ann, bob], log)).toFixed(0)} ms after the last`)
  await late.startAgain()
  await eventually(async () => (await get(one, '/api/online_users')).body?.count === 2, 'both online')
  ann.send('late-bob')
  await whole([ann, bob], log)
  expect([...log.errors]).toEqual([])
  await closeAll([ann, bob])
  expect((await one.stop()).code).toBe(0)
  expect((await two.stop()).code).toBe(0)
  await late.stop()
})

test('an instance starts while Redis loads its data', async () => {
  const loading = await startLoadingRedis()
  const env = { POSTGRES_DSN: database.dsn, REDIS_ADDR: `127.0.0.1:${(loading.address() as AddressInfo).port}` }
  const instance = await services.start(env)
  expect((await get(instance, '/readyz')).status).toBe(200)
  expect((await get(instance, '/api/online_users')).status).toBe(503)
  expect((await instance.stop()).code).toBe(0)
  loading.close()
})

/** What a Redis with much to load says for as long as it takes; a real one of a test would be done too soon. */
async function startLoadingRedis(): Promise<Server> {
  const info = 'loading:1\r\nloading_eta_seconds:3600'
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes) => {
      for (const [, command] of bytes.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
        socket.write(command === 'info' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n')
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
