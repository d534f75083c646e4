// Redis may be cut, wiped, frozen, killed: sends go on, and everything reaches every screen without a client doing anything.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Conversations, Device, LASTING, lastingFaults, percentile, traffic, whole } from '../support/cluster.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { JSON_PROTOCOL, SocketClient } from '../support/socket-client.ts'

/** Messages a second over all. */
const RATE = 300
/** After this everything must be delivered, with Redis healthy again or without it; what is not healed never is. */
const HEALED_MS = 30_000

const services = useServices('patient')
let database: TestDatabase
let redis: RedisSetUp
let instances: ServiceProcess[]
let log: Conversations
let devices: Device[] = []
let round = 0

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
  round += 1
})
afterEach(async () => {
  await Promise.all(devices.map((device) => device.close()))
  // Else every test that follows fails, and none says why.
  expect(instances.filter(({ hasExited }) => hasExited).map(({ stderr }) => stderr)).toEqual([])
})

/** Ten people with two devices each, on different instances. */
async function connectAll(padding = 0): Promise<void> {
  const users = Array.from({ length: 10 }, (_, index) => `r${round}u${index}`)
  devices = await Promise.all(
    users.flatMap((user, index) =>
      [0, 1].map((device) =>
        Device.connect(user, {
          log,
          acks: device === 0,
          padding,
          pick: () => instances[(index + device) % 3] as ServiceProcess,
        }),
      ),
    ),
  )
}

const sent = (count: number): Promise<void> => {
  const before = log.acked.size
  return eventually(() => log.acked.size >= before + count, `${count} more messages`)
}

const metric = async (instance: ServiceProcess, name: string): Promise<number> => {
  const { text } = await get(instance, '/metrics')
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}
const connected = async (): Promise<number> => {
  const values = await Promise.all(instances.map((instance) => metric(instance, 'messaging_redis_connected')))
  return values.reduce((sum, value) => sum + value, 0)
}
/** Looks because something may have been lost. Regular ones and those that are tried again prove nothing of a fault. */
const healsAfterGaps = async (): Promise<number> => {
  const texts = await Promise.all(instances.map(async (instance) => (await get(instance, '/metrics')).text))
  const values = texts.flatMap((text) => [...text.matchAll(/^messaging_heals_total\{reason="gap"\} (\d+)$/gm)])
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

interface Fault {
  readonly name: string
  readonly limitMs: number
  readonly padding?: number
  inject(): Promise<void>
}

/** Breaks something under load, stops the load when it is whole again, and holds every screen against what was acked. */
async function survive({ name, limitMs, padding, inject }: Fault): Promise<void> {
  await connectAll(padding)
  const load = traffic(devices, RATE)
  await sent(RATE)
  const heals = await healsAfterGaps()
  await inject()
  await load.stop()
  const tookMs = await whole(devices, log, limitMs)
  const repeats = devices.reduce((sum, device) => sum + device.repeats, 0)
  const echoes = devices.reduce((sum, device) => sum + device.echoes, 0)
  figure(
    `${name}: ${log.acked.size} messages, sends ok ${(log.okRatio * 100).toFixed(2)} %,`,
    `ack p99 ${percentile(log.ackMs, 0.99).toFixed(0)} ms, push max ${percentile(log.pushMs, 1).toFixed(0)} ms;`,
    `whole ${tookMs.toFixed(0)} ms after the last send, ${repeats} frames came again, ${echoes} to where they were sent from`,
  )
  expect(log.okRatio).toBeGreaterThanOrEqual(0.999)
  expect(await healsAfterGaps()).toBeGreaterThan(heals)
  expect(lastingFaults(devices)).toEqual([])
  // Repeats are dropped by seq: no screen shows anything twice, but they should be the exception.
  expect(repeats).toBeLessThan(log.pushMs.length / 2)
}

test('its subscribers are cut off again and again', () =>
  survive({
    name: 'CLIENT KILL TYPE pubsub',
    limitMs: HEALED_MS,
    async inject() {
      for (let time = 0; time < 4; time += 1) {
        await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await sent(RATE / 2)
      }
      await eventually(async () => (await connected()) === 3, 'all connected')
    },
  }))

test('all its connections are cut off again and again', () =>
  survive({
    name: 'CLIENT KILL TYPE normal and pubsub',
    limitMs: HEALED_MS,
    async inject() {
      for (let time = 0; time < 4; time += 1) {
        await redis.run('CLIENT', 'KILL', 'TYPE', 'normal')
        await redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub')
        await sent(RATE / 2)
      }
      await eventually(async () => (await connected()) === 3, 'all connected')
    },
  }))

test('it is killed and comes back empty', () =>
  survive({
    name: 'SIGKILL and restart',
    limitMs: HEALED_MS,
    async inject() {
      await redis.kill()
      await sent(RATE)
      await redis.startAgain()
      await eventually(async () => (await connected()) === 3, 'all connected')
      await sent(RATE / 2)
    },
  }))

test('it is frozen until everybody has noticed, and thawed', () =>
  survive({
    name: 'SIGSTOP and SIGCONT',
    limitMs: HEALED_MS,
    async inject() {
      redis.freeze()
      await eventually(async () => (await connected()) === 0, 'all to notice')
      await sent(RATE)
      redis.thaw()
      await eventually(async () => (await connected()) === 3, 'all connected')
      await sent(RATE / 2)
    },
  }))

/** So far; a client that was cut off makes another one. */
async function connectionsMade(): Promise<number> {
  const texts = await redis.all('INFO', 'stats')
  return texts.reduce(
    (sum: number, text) => sum + Number(/total_connections_received:(\d+)/.exec(String(text))?.[1]),
    0,
  )
}

test('its output buffers are so small that it cuts off who is sent much', () =>
  survive({
    name: 'client-output-buffer-limit 64kb',
    limitMs: HEALED_MS,
    padding: 6000,
    async inject() {
      await redis.run('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 64kb 64kb 1')
      const before = await connectionsMade()
      for (let time = 0; time < 4; time += 1) {
        const [one, two] = [devices[0] as Device, devices[2] as Device]
        for (let index = 0; index < 40; index += 1) one.send(two.user)
        await sent(RATE / 2)
      }
      expect((await connectionsMade()) - before).toBeGreaterThan(0)
      await eventually(async () => (await connected()) === 3, 'all connected')
    },
  }))

test('it is wiped', async () => {
  await connectAll()
  const load = traffic(devices, RATE)
  await sent(RATE)
  await redis.run('FLUSHALL')
  await sent(RATE)
  await load.stop()
  figure(`FLUSHALL: whole ${(await whole(devices, log, HEALED_MS)).toFixed(0)} ms after the last send`)
  expect(log.okRatio).toBe(1)
  // One that crossed another may come again by a look.
  expect(devices.reduce((sum, device) => sum + device.repeats, 0)).toBeLessThan(log.pushMs.length / 500)
})

test('it is away while somebody reads: the other instance tells of it nevertheless', async () => {
  const [ann, bob] = [`r${round}ann`, `r${round}bob`]
  const [one, two] = instances as [ServiceProcess, ServiceProcess]
  const sender = await SocketClient.connect(one, ann, { protocol: JSON_PROTOCOL })
  const reader = await SocketClient.connect(two, bob, { protocol: JSON_PROTOCOL })
  await sender.ask({ type: 'send', receiver_id: bob, content: 'read without Redis' })
  await reader.next('message')
  await redis.kill()
  reader.send({ type: 'read', with: ann, seq: 1 })
  expect(await sender.next('receipt', HEALED_MS)).toMatchObject({ with: bob, delivered_seq: 1, read_seq: 1 })
  await Promise.all([sender.close(), reader.close()])
  await redis.startAgain()
  await eventually(async () => (await connected()) === instances.length, 'Redis again')
})

test('it goes away for good: other instances are reached through PostgreSQL', () =>
  survive({
    name: 'Redis gone for good',
    limitMs: HEALED_MS,
    async inject() {
      await redis.kill()
      await sent(3 * RATE)
    },
  }))
