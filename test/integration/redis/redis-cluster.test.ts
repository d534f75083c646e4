// Two instances over a Redis Cluster of three nodes: everybody hears, presence is listed, and slots may go elsewhere meanwhile.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { RedisAudience } from '../../../src/delivery/audience.redis.ts'
import { RedisBroker } from '../../../src/delivery/broker.redis.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { RedisPresence } from '../../../src/presence/presence.redis.ts'
import { PresenceUnknown } from '../../../src/presence/presence.ts'
import { openRedis } from '../../../src/redis/connections.ts'
import { examine } from '../../../src/redis/examination.ts'
import { Shards, slotOf, slotOfChannel } from '../../../src/redis/shards.ts'
import { envelope, textOf } from '../../support/builders.ts'
import { eventually } from '../../support/cluster-instance.ts'
import { type KeptLogs, keepLogs } from '../../support/kept-logs.ts'
import { documentSection } from '../../support/readme.ts'
import { RedisCluster } from '../../support/redis-cluster.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const PREFIX = 'msg:'
const USERS = Array.from({ length: 200 }, (_, index) => `user${index}`)
const RIGHTS = ['redis-acl', 'cluster-acl'].flatMap((name) =>
  documentSection('src/deploy/README.md', name).replaceAll('```', '').trim().split(/\s+/),
)
let cluster: RedisCluster
const opened: { close(): Promise<void> }[] = []

beforeAll(async () => {
  cluster = await RedisCluster.start({ hasReplicas: false, nodeTimeoutMs: 15_000 })
  for (const node of cluster.nodes) {
    await node.run('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', ...RIGHTS)
  }
})
afterAll(async () => {
  await Promise.all(opened.map((instance) => instance.close()))
  await cluster?.stop()
})

/**
 * One instance's side of the cluster, by a user with the rights of the README alone. `isWhole`: none is missing, else what is published
 * may be refused before anybody looks.
 */
async function open(logs: KeptLogs, isWhole = true) {
  const env = { ...cluster.env, REDIS_ADDR: `redis://app:secret@${cluster.env.REDIS_ADDR}` }
  const { address, prefix } = loadConfig(env).redis
  if (!address) throw new Error('there is no address')
  const redis = openRedis({ address, prefix, clock: systemClock, logger: logs })
  redis.watchRights()
  const shared = { ...redis, instanceId: crypto.randomUUID(), prefix, clock: systemClock, logger: logs }
  const epoch = { current: 'one', look: () => Promise.resolve() }
  const broker = new RedisBroker({ ...shared, epoch, observer: { publishFailed: () => undefined } })
  const instanceLost = (): void => undefined
  const presence = new RedisPresence({ ...shared, prefix: redis.presencePrefix, leaseMs: 11_000, instanceLost })
  const watchers = { of: () => [] }
  const audience = new RedisAudience({ ...shared, watchers, isConnected: () => broker.isConnected })
  const got = new Set<string>()
  let gaps = 0
  broker.listen({
    received: (user, envelopes) => {
      for (const one of envelopes) got.add(`${user} ${textOf(one)}`)
    },
    told: (message) => void got.add(`told ${message.kind}`),
    gap: () => {
      gaps += 1
    },
  })
  const close = async (): Promise<void> => {
    await presence.close()
    await broker.close()
    redis.close()
  }
  opened.push({ close })
  await eventually(() => (broker.isConnected || !isWhole) && redis.commands.status === 'ready', 'a connection')
  return { broker, presence, audience, got, gaps: () => gaps }
}

/** As `messaging doctor` does. */
async function examineAs(user: string): Promise<void> {
  const { address, prefix } = loadConfig({
    ...cluster.env,
    REDIS_ADDR: `redis://${user}@${cluster.env.REDIS_ADDR}`,
  }).redis
  const health = new DependencyLog({ dependency: 'Redis', logger: silentLogger, clock: systemClock })
  if (address) await examine({ address, prefix, health })
}

function publishToAll({ broker }: Awaited<ReturnType<typeof open>>, text: string): void {
  for (const user of USERS) broker.add(user, envelope(text))
  broker.flush()
}

test('shards lie where Redis counts them, on every node', async () => {
  const shards = new Shards(PREFIX)
  const [node] = cluster.nodes
  for (const tag of ['presence', '0', 'ä', 'user:ann']) {
    expect(await node?.run('CLUSTER', 'KEYSLOT', tag), tag).toBe(slotOf(tag))
  }
  for (const name of ['msg:control', ...USERS.map((user) => `msg:user:${user}`)]) {
    const { channel, slot } = shards.placeOf(name)
    expect(await node?.run('CLUSTER', 'KEYSLOT', channel), channel).toBe(slot)
    expect(shards.nameOf(channel)).toBe(name)
    expect(shards.slots).toContain(slot)
  }
  const owners = await Promise.all(shards.slots.map((slot) => cluster.primaryOf(slot)))
  for (const one of cluster.nodes) expect(owners.filter((owner) => owner === one).length).toBeGreaterThanOrEqual(5)
})

test('messages, receivers and presence go through all nodes, also when slots have gone to another one', async () => {
  const logs = keepLogs()
  const [one, two] = [await open(logs), await open(logs)]
  await Promise.all(USERS.map((user) => two.broker.subscribe(user)))
  publishToAll(one, 'first')
  await eventually(() => two.got.size === USERS.length, 'a frame for each')
  one.broker.tell({ kind: 'revoked' })
  await eventually(() => two.got.has('told revoked'), 'what everybody is told')
  const asked = [...USERS, 'nobody']
  expect((await one.audience.of(asked)).map((attention) => attention === 'looking')).toEqual(
    asked.map((user) => user !== 'nobody'),
  )
  two.presence.connected('ann')
  await eventually(async () => (await one.presence.online(10)).users.includes('ann'), 'presence')
  const seen: string[] = []
  one.presence.listen({
    changed: ({ userId, status }) => void seen.push(`${userId} ${status}`),
    refresh: () => undefined,
  })
  await one.presence.watch('ann')
  two.presence.disconnected('ann')
  await eventually(() => seen.includes('ann offline'), 'the news')
  expect(logs.shown).toEqual([])

  const [slot = 0] = new Shards(PREFIX).slots
  const from = await cluster.primaryOf(slot)
  const to = cluster.nodes.find((node) => node !== from)
  const id = String(await to?.run('CLUSTER', 'MYID'))
  const gaps = two.gaps()
  for (const node of [to, from, ...cluster.nodes]) await node?.run('CLUSTER', 'SETSLOT', slot, 'NODE', id)
  await eventually(() => two.gaps() > gaps && one.broker.isConnected && two.broker.isConnected, 'the move')
  two.got.clear()
  publishToAll(one, 'second')
  await eventually(() => two.got.size >= USERS.length, 'a frame for each after the move')

  // There and back before anybody looks: the node has dropped its subscribers all the same.
  const back = async (node = from): Promise<void> => {
    const owner = String(await node.run('CLUSTER', 'MYID'))
    for (const one of [node, ...cluster.nodes]) await one.run('CLUSTER', 'SETSLOT', slot, 'NODE', owner)
  }
  await back()
  await back(to)
  await eventually(() => two.broker.isConnected, 'everything to be subscribed')
  two.got.clear()
  const isHeard = (): boolean => {
    publishToAll(one, 'third')
    return two.got.size >= USERS.length
  }
  await eventually(isHeard, 'a frame for each after the way there and back')
})

test('who is subscribed hears what is published while a slot is half moved', async () => {
  const logs = keepLogs()
  const [one, two] = [await open(logs), await open(logs)]
  await Promise.all(USERS.map((user) => two.broker.subscribe(user)))
  const { slot } = new Shards(PREFIX).placeOf(`${PREFIX}user:${USERS[0]}`)
  await cluster.reshard(slot, async () => {
    two.got.clear()
    publishToAll(one, 'half moved')
    await eventually(() => two.got.size === USERS.length, 'a frame for each', 20_000)
  })
  await eventually(() => one.broker.isConnected && two.broker.isConnected, 'the move')
})

test('what is published while a slot is half moved is repeated in that slot alone', async () => {
  const { address, prefix } = loadConfig(cluster.env).redis
  if (!address) throw new Error('there is no address')
  const redis = openRedis({ address, prefix, clock: systemClock, logger: keepLogs() })
  opened.push({ close: async () => redis.close() })
  await eventually(() => redis.commands.status === 'ready', 'a connection')
  // Not the one that another test has moved.
  const { slot } = new Shards(PREFIX).placeOf(`${PREFIX}user:${USERS[1]}`)
  const repeated = vi.spyOn(redis.commands, 'spublish')
  const pairs = USERS.flatMap((user) => [`${PREFIX}user:${user}`, 'half moved'])
  await redis.publisher.publishAll(pairs)
  expect(repeated).not.toHaveBeenCalled()
  await cluster.reshard(slot, async () => {
    repeated.mockClear()
    await redis.publisher.publishAll(pairs)
    expect(new Set(repeated.mock.calls.map(([channel]) => slotOfChannel(String(channel))))).toEqual(new Set([slot]))
  })
})

/** Looks at this user until told to end; what they were said to be. */
function lookAt({ presence }: Awaited<ReturnType<typeof open>>, user: string) {
  const seen = new Set<string>()
  let isOver = false
  const look = async (): Promise<boolean> => {
    for (const { status } of await presence.states([user])) seen.add(status)
    return isOver
  }
  const looking = eventually(look, 'the end of the look')
  const end = async (): Promise<Set<string>> => {
    isOver = true
    await looking
    return seen
  }
  return { end }
}

test('presence is unknown while its slot is half moved, and soon after it what it became meanwhile', async () => {
  const logs = keepLogs()
  const [one, two] = [await open(logs), await open(logs)]
  for (const user of ['here', 'leaves']) two.presence.connected(user)
  const asked = ['here', 'leaves', 'comes', 'nobody']
  const statuses = async (): Promise<string[]> => (await one.presence.states(asked)).map(({ status }) => status)
  await eventually(async () => String(await statuses()) === 'online,online,offline,offline', 'presence')
  const look = lookAt(one, 'here')
  let stages = 0
  await cluster.reshard(slotOf('presence'), async () => {
    stages += 1
    expect(await statuses()).toEqual(asked.map(() => 'unknown'))
    await expect(one.presence.online(10)).rejects.toThrow(PresenceUnknown)
    if (stages > 1) return
    two.presence.connected('comes')
    two.presence.disconnected('leaves')
    // What tells nobody that it failed has failed by then.
    await eventually(
      () => logs.shown.some((line) => line.includes('the slot of presence is half moved')),
      'the warning',
    )
  })
  expect(stages).toBe(3)
  await eventually(
    async () => String(await statuses()) === 'online,offline,online,offline',
    'presence after the move',
    10_000,
  )
  expect(await look.end()).toEqual(new Set(['online', 'unknown']))
})

test('who looks is known while a slot is half moved', async () => {
  const logs = keepLogs()
  const [one, two] = [await open(logs), await open(logs)]
  await Promise.all(USERS.map((user) => two.broker.subscribe(user)))
  const { slot } = new Shards(PREFIX).placeOf(`${PREFIX}user:${USERS[2]}`)
  const looking = async (): Promise<number> =>
    (await one.audience.of(USERS)).filter((attention) => attention === 'looking').length
  await cluster.reshard(slot, async () => expect(await looking()).toBe(USERS.length))
  await eventually(async () => (await looking()) === USERS.length, 'everybody to have followed')
})

test('a right that is missing on one node is named', async () => {
  await cluster.nodes[1]?.run('ACL', 'SETUSER', 'app', '-zadd', '-spublish', '-asking')
  const logs = keepLogs()
  await open(logs, false)
  const wanted = 'warn: Redis fails (its user lacks the rights +asking +spublish +zadd)'
  await eventually(() => logs.shown.includes(wanted), `the warning, of ${logs.shown}`)
  await expect(examineAs('app:secret')).rejects.toThrow('its user lacks the rights +asking +spublish +zadd')
  await cluster.nodes[1]?.run('ACL', 'SETUSER', 'app', '+zadd', '+spublish', '+asking', '-ssubscribe')
  await expect(examineAs('app:secret')).rejects.toThrow('its user lacks the rights +ssubscribe')
  await cluster.nodes[1]?.run('ACL', 'SETUSER', 'app', '+ssubscribe')
  await examineAs('app:secret')
})

test('what keeps a cluster from being used is told before it ever was', async () => {
  const told = async (reason: string): Promise<void> => {
    const logs = keepLogs()
    const { address, prefix } = loadConfig({
      ...cluster.env,
      REDIS_ADDR: `redis://app:secret@${cluster.env.REDIS_ADDR}`,
    }).redis
    if (!address) throw new Error('there is no address')
    const redis = openRedis({ address, prefix, clock: systemClock, logger: logs })
    await eventually(() => logs.shown.some((line) => line.includes(reason)), reason)
    redis.close()
    await expect(examineAs('app:secret')).rejects.toThrow(reason)
  }
  const onAll = (...args: string[]) => Promise.all(cluster.nodes.map((node) => node.run(...(args as [string]))))
  await onAll('ACL', 'SETUSER', 'app', '-cluster|info')
  await told("no permissions to run the 'cluster|info' command")
  await onAll('ACL', 'SETUSER', 'app', '+cluster|info')
  const slot = 1
  const owner = await cluster.primaryOf(slot)
  await onAll('CLUSTER', 'DELSLOTS', String(slot))
  await told('cluster_state:fail')
  await owner.run('CLUSTER', 'ADDSLOTS', slot)
  await eventually(() => examineAs('app:secret').then(() => true), 'a cluster that works')
})

test('a server of a cluster that is taken for a single one is named', async () => {
  const logs = keepLogs()
  const { address, prefix } = loadConfig({ REDIS_ADDR: cluster.env.REDIS_ADDR }).redis
  if (!address) throw new Error('there is no address')
  const redis = openRedis({ address, prefix, clock: systemClock, logger: logs })
  redis.watchRights()
  const advice = (): boolean => logs.shown.some((line) => line.includes('it is a Redis Cluster: set REDIS_CLUSTER=on'))
  await eventually(advice, 'the advice')
  redis.close()
})
