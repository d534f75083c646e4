// Instances that are killed, frozen, cut off or restarted under load.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { Conversations, Device, LASTING, lastingFaults, percentile, traffic, whole } from '../support/cluster.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import { redisKind, startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { Relay } from '../support/relay.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

/** So long that none runs out because the machine is busy; the run of faults waits for the end of one. */
const LEASE_MS = 15_000
const TIMING = { INSTANCE_LEASE_MS: String(LEASE_MS), ...LASTING }

/** A cluster and sentinels tell addresses of servers, before which nothing of ours stands. */
const hasRelay = ['single', 'valkey'].includes(redisKind())
const WHY = 'no relay stands before these servers'

const services = useServices('patient')
let database: TestDatabase
let redis: RedisSetUp
let log: Conversations
let devices: Device[] = []
let instances: ServiceProcess[] = []

beforeAll(async () => {
  database = await createDatabase()
  redis = await startRedis()
})
beforeEach(() => {
  log = new Conversations()
})
afterEach(async () => {
  await Promise.all(devices.map((device) => device.close()))
  devices = []
  await Promise.all(instances.map((instance) => instance.kill9()))
  instances = []
  await redis.run('FLUSHALL')
})
afterAll(async () => {
  await redis.stop()
  await database.drop()
})

const start = async (env = redis.env): Promise<ServiceProcess> => {
  const instance = await services.start({ POSTGRES_DSN: database.dsn, ...env, ...TIMING })
  instances.push(instance)
  return instance
}

async function device(user: string, instance: ServiceProcess): Promise<Device> {
  const one = await Device.connect(user, { log, pick: () => instance, acks: true })
  devices.push(one)
  return one
}

async function online(instance: ServiceProcess): Promise<string> {
  const { body } = await get(instance, '/api/online_users')
  return String(body?.online_users)
}

test('one killed between its commit and its publish: the message reaches the others', async ({ skip }) => {
  skip(!hasRelay, WHY)
  const relay = await Relay.before(redis.port as number)
  const [doomed, other] = [await start({ REDIS_ADDR: `127.0.0.1:${relay.port}` }), await start()]
  const ann = await device('k-ann', doomed)
  const bob = await device('k-bob', other)
  ann.send('k-bob')
  await whole([bob], log)
  await eventually(async () => (await online(other)) === 'k-ann,k-bob', 'both online')
  relay.pause()
  ann.send('k-bob')
  await eventually(() => log.acked.size === 2, 'the commit')
  const lease = await leaseOf('k-ann')
  await doomed.kill9()
  await relay.close()
  await endLease(lease)
  const tookMs = await whole([bob], log)
  figure(`what an instance had committed and not published arrived ${(tookMs / 1000).toFixed(1)} s after its death`)
  await eventually(async () => (await online(other)) === 'k-bob', 'the ghost to go')
})

test('one frozen past its lease and thawed: others are served meanwhile, and all is right afterwards', async () => {
  const [frozen, two, three] = [await start(), await start(), await start()]
  const ann = await device('f-ann', frozen)
  const others = [await device('f-bob', two), await device('f-cid', three), await device('f-dan', two)]
  await eventually(async () => (await online(three)) === 'f-ann,f-bob,f-cid,f-dan', 'all online')
  const load = traffic([ann, ...others], 100)
  await eventually(() => log.acked.size > 100, '100 messages')
  frozen.signal('SIGSTOP')
  await endLease(await leaseOf('f-ann'))
  await eventually(async () => (await online(three)) === 'f-bob,f-cid,f-dan', 'ann to be gone')
  const before = log.acked.size
  // What was frozen inside its transaction holds its conversations until PostgreSQL ends the session, after five seconds.
  await eventually(() => log.acked.size > before + 100, '100 more')
  frozen.signal('SIGCONT')
  await eventually(async () => (await online(three)) === 'f-ann,f-bob,f-cid,f-dan', 'ann to be back')
  await eventually(async () => (await online(frozen)) === 'f-ann,f-bob,f-cid,f-dan', 'the frozen one to know all')
  await load.stop()
  await whole([ann, ...others], log)
  expect(lastingFaults([ann])).toEqual([])
  for (const other of others) await other.close()
  await eventually(async () => (await online(frozen)) === 'f-ann', 'the others to be gone')
})

/** Now, and not when it would by itself, which must not be later than it was made for. */
async function endLease(instance: string): Promise<void> {
  expect(Number(await redis.run('ZSCORE', 'msg:instances', instance)) - Date.now()).toBeLessThanOrEqual(LEASE_MS)
  await redis.run('ZADD', 'msg:instances', 'XX', Date.now() - 1, instance)
}

/** Which instance this user is connected to. */
async function leaseOf(user: string): Promise<string> {
  const [instance] = (await redis.run('SMEMBERS', `msg:where:${user}`)) as string[]
  return instance ?? ''
}

test('one cut off from Redis alone: its messages reach the others, and theirs reach it', async ({ skip }) => {
  skip(!hasRelay, WHY)
  const relay = await Relay.before(redis.port as number)
  const [lonely, other] = [await start({ REDIS_ADDR: `127.0.0.1:${relay.port}` }), await start()]
  const ann = await device('c-ann', lonely)
  const bob = await device('c-bob', other)
  const load = traffic([ann, bob], 50)
  await eventually(() => log.acked.size > 50, '50 messages')
  relay.pause()
  const before = log.acked.size
  await eventually(() => log.acked.size > before + 150, '150 more')
  await load.stop()
  const toAnnMs = await whole([ann], log)
  relay.resume()
  const toBobMs = await whole([bob], log)
  figure(
    `cut off: what others sent arrived after ${toAnnMs.toFixed(0)} ms,`,
    `what it sent ${toBobMs.toFixed(0)} ms after the network came back`,
  )
  expect(log.okRatio).toBe(1)
  await relay.close()
})

test('all restarted one after the other: no send fails for good, nothing is lost, all closes say 1012', async () => {
  const slots = [await start(), await start(), await start()]
  const users = Array.from({ length: 24 }, (_, index) => `s${index}`)
  const pick = (): ServiceProcess => slots[Math.floor(Math.random() * slots.length)] as ServiceProcess
  devices = await Promise.all(users.map((user) => Device.connect(user, { log, pick, acks: true })))
  const load = traffic(devices, 300)
  await eventually(() => log.acked.size > 300, '300 messages')
  const exits: string[] = []
  for (const index of slots.keys()) {
    const startMs = performance.now()
    const { code } = await (slots[index] as ServiceProcess).stop()
    exits.push(`${code} in ${(performance.now() - startMs).toFixed(0)} ms`)
    expect(code).toBe(0)
    slots[index] = await start()
    const before = log.acked.size
    await eventually(() => log.acked.size > before + 200, '200 more')
  }
  await load.stop()
  const tookMs = await whole(devices, log)
  figure(
    `rolling restart: ${log.acked.size} messages, exits ${exits.join(', ')}, ack max ${percentile(log.ackMs, 1).toFixed(0)} ms,`,
    `errors ${JSON.stringify([...log.errors])}, whole ${tookMs.toFixed(0)} ms after the last`,
  )
  expect(devices.flatMap(({ closeCodes }) => closeCodes).filter((code) => code !== 1012)).toEqual([])
  expect(devices.flatMap(({ closeCodes }) => closeCodes).length).toBeGreaterThan(users.length / 2)
  // Whoever moved was never offline, and nobody is left over.
  await eventually(async () => (await online(slots[0] as ServiceProcess)) === String([...users].sort()), 'all online')
})
