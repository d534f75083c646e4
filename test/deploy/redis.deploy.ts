// A primary of Redis is lost under load, in the set-ups in which people run it: nobody lends a hand, and no message is missing on a screen.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Shards, slotOf } from '../../src/redis/shards.ts'
import { Conversations, Device, percentile, traffic, whole } from '../support/cluster.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { figure } from '../support/figures.ts'
import type { RedisServer } from '../support/redis.ts'
import { RedisCluster } from '../support/redis-cluster.ts'
import { RedisWithSentinels } from '../support/redis-sentinel.ts'
import { get } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

/** Messages a second over all. */
const RATE = 300
const PEOPLE = 10
/** From the loss of the primary, of which its neighbours take a second or two to be sure. */
const HEALED_MS = 10_000
const DOWN_AFTER_MS = 1_000

const services = useServices()
let database: TestDatabase
let instances: readonly ServiceProcess[] = []
let log: Conversations
let devices: readonly Device[] = []
let round = 0

beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop())
beforeEach(() => {
  log = new Conversations()
  round += 1
})
afterEach(async () => {
  await Promise.all(devices.map((device) => device.close()))
})

/** Three instances, and ten people with two devices each, on different ones. */
async function connectAll(env: Readonly<Record<string, string>>): Promise<void> {
  const all = { POSTGRES_DSN: database.dsn, ...env }
  instances = await Promise.all([services.start(all), services.start(all), services.start(all)])
  await eventually(async () => (await connected()) === 3, 'all connected', 20_000)
  const users = Array.from({ length: PEOPLE }, (_, index) => `d${round}u${index}`)
  const pick = (index: number) => () => instances[index % 3] as ServiceProcess
  devices = await Promise.all(
    users.flatMap((user, index) =>
      [0, 1].map((device) => Device.connect(user, { log, acks: device === 0, pick: pick(index + device) })),
    ),
  )
}

async function connected(): Promise<number> {
  const texts = await Promise.all(instances.map(async (instance) => (await get(instance, '/metrics')).text))
  return texts.filter((text) => /^messaging_redis_connected 1$/m.test(text)).length
}

const sent = (count: number): Promise<void> => {
  const before = log.acked.size
  return eventually(() => log.acked.size >= before + count, `${count} more messages`, 30_000)
}

async function online(instance: ServiceProcess): Promise<number> {
  const { body } = await get(instance, `/api/online_users?limit=500&user_id=d${round}u0`)
  return ((body as { online_users?: string[] }).online_users ?? []).length
}

interface Loss {
  readonly name: string
  /** Resolves once what was lost is replaced. */
  lose(): Promise<void>
  /** From the beginning of the loss, or where nothing is lost from its end, until every instance has all of Redis. */
  readonly isCountedFromEnd?: boolean
}

/** Loses something under load and holds every screen against what was acknowledged. */
async function survive({ name, lose, isCountedFromEnd = false }: Loss): Promise<void> {
  const load = traffic(devices, RATE)
  await sent(2 * RATE)
  const beganMs = performance.now()
  await lose()
  const replacedMs = performance.now() - beganMs
  await eventually(async () => (await connected()) === 3, 'all connected', 30_000)
  const healedMs = performance.now() - beganMs - (isCountedFromEnd ? replacedMs : 0)
  await sent(RATE)
  await load.stop(20_000)
  const wholeMs = await whole(devices, log, HEALED_MS)
  await eventually(async () => (await online(instances[0] as ServiceProcess)) === PEOPLE, 'everybody online', 20_000)
  figure(
    `${name}: ${log.acked.size} messages, sends ok ${(log.okRatio * 100).toFixed(2)} %, replaced after ${replacedMs.toFixed(0)} ms,`,
    `healed after ${healedMs.toFixed(0)} ms, ack p99 ${percentile(log.ackMs, 0.99).toFixed(0)} ms,`,
    `push max ${percentile(log.pushMs, 1).toFixed(0)} ms, whole ${wholeMs.toFixed(0)} ms after the last send`,
  )
  expect(log.okRatio).toBe(1)
  expect(devices.every(({ connects }) => connects === 1)).toBe(true)
  expect(healedMs).toBeLessThan(HEALED_MS)
  expect(percentile(log.pushMs, 1)).toBeLessThan(HEALED_MS)
}

describe('three sentinels', () => {
  let redis: RedisWithSentinels

  beforeEach(async () => {
    redis = await RedisWithSentinels.start({ sentinels: 3, downAfterMs: DOWN_AFTER_MS })
    await connectAll(redis.env)
  })
  afterEach(async () => {
    await Promise.all(instances.map((instance) => instance.kill9()))
    await redis.stop()
  })

  const replaced = (old: RedisServer): Promise<void> =>
    eventually(async () => (await redis.named()) !== old, 'another primary', 30_000)

  test('the primary is killed', () =>
    survive({
      name: 'Sentinel, primary killed',
      async lose() {
        const primary = await redis.primary()
        await primary.kill()
        await replaced(primary)
      },
    }))

  test('the primary is frozen, replaced, and thawed', () =>
    survive({
      name: 'Sentinel, primary frozen',
      async lose() {
        const primary = await redis.primary()
        primary.freeze()
        await replaced(primary)
        primary.thaw()
      },
    }))
})

describe('a cluster of three primaries with a replica each', () => {
  let redis: RedisCluster

  beforeEach(async () => {
    redis = await RedisCluster.start({ hasReplicas: true, nodeTimeoutMs: DOWN_AFTER_MS })
    await connectAll(redis.env)
  })
  afterEach(async () => {
    await Promise.all(instances.map((instance) => instance.kill9()))
    await redis.stop()
  })

  const PRESENCE_SLOT = slotOf('presence')
  const replaced = (slot: number, old: RedisServer): Promise<void> =>
    eventually(async () => (await redis.primaryOf(slot)) !== old, 'another primary', 30_000)

  test.each([
    ['that has presence', PRESENCE_SLOT],
    ['that has not', (PRESENCE_SLOT + 8192) % 16_384],
  ])('the primary %s is killed', (which, slot) =>
    survive({
      name: `Cluster, the primary ${which} killed`,
      async lose() {
        const primary = await redis.primaryOf(slot)
        await primary.kill()
        await replaced(slot, primary)
      },
    }),
  )

  test('a primary is frozen, replaced, and thawed', () =>
    survive({
      name: 'Cluster, primary frozen',
      async lose() {
        const primary = await redis.primaryOf(PRESENCE_SLOT)
        primary.freeze()
        const others = redis.nodes.filter((node) => node !== primary)
        await eventually(
          async () => (await redis.primaryOf(PRESENCE_SLOT, others)) !== primary,
          'another primary',
          30_000,
        )
        primary.thaw()
      },
    }))

  test('slots go to another primary, and are half moved for a while', () =>
    survive({
      name: 'Cluster, slots moved',
      isCountedFromEnd: true,
      async lose() {
        const shards = new Shards('msg:')
        const ofPeople = devices.map(({ user }) => shards.placeOf(`msg:user:${user}`).slot)
        for (const slot of new Set([PRESENCE_SLOT, ...ofPeople.slice(0, 3)])) {
          const before = await redis.primaryOf(slot)
          await redis.reshard(slot, () => sent(2 * RATE))
          await replaced(slot, before)
        }
      },
    }))

  test('a primary and its replica change places', () =>
    survive({
      name: 'Cluster, CLUSTER FAILOVER',
      async lose() {
        const primary = await redis.primaryOf(PRESENCE_SLOT)
        await redis.nodes[redis.nodes.indexOf(primary) + 3]?.run('CLUSTER', 'FAILOVER')
        await replaced(PRESENCE_SLOT, primary)
      },
    }))
})
