// A Redis that answers, and yet is not whole: keys are gone one by one, there is no room, a command is refused. Nobody who is
// connected may be called offline meanwhile, and afterwards all is right again without a hand.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PresenceUnknown } from '../../../src/presence/presence.ts'
import { BEHIND_MARKS, presenceScripts } from '../../../src/presence/scripts.redis.ts'
import { createLogger } from '../../../src/telemetry/logger.ts'
import {
  connectInstance,
  eventually,
  type InstanceOptions,
  type RedisInstance,
} from '../../support/cluster-instance.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { outputTo } from '../../support/log-lines.ts'
import { RedisServer } from '../../support/redis.ts'

const PREFIX = 'msg:'
/** Renewed every 205 ms, with so much time to spare that no lease runs out on a busy machine. */
const TIMING = { leaseMs: 15_000, hurry: 20 }
/** More than are compared at a time. */
const MANY = Array.from({ length: 1100 }, (_, index) => `user${String(index).padStart(4, '0')}`)

let server: RedisServer
let instances: RedisInstance[]
let warnings: string[]

beforeEach(async () => {
  server = await RedisServer.start()
  instances = []
  warnings = []
})
afterEach(async () => {
  await Promise.all(instances.map((instance) => instance.close()))
  await server.stop()
})

async function connect(timing: Partial<InstanceOptions> = TIMING): Promise<RedisInstance> {
  const number = instances.length
  const write = (line: string): void => {
    const { level, msg, reason = '' } = JSON.parse(line)
    if (level === 'warn') warnings.push(`${number} ${msg} ${reason}`.trim())
  }
  const logger = createLogger({ level: 'warn', output: outputTo(write) })
  const instance = await connectInstance({ url: server.url, prefix: PREFIX, ...timing, logger })
  instances.push(instance)
  return instance
}

const online = async ({ presence }: RedisInstance): Promise<readonly string[]> => (await presence.online(2000)).users

function allSay(users: readonly string[], from = instances): Promise<void> {
  const agree = async (): Promise<boolean> => {
    for (const instance of from) if (String(await online(instance)) !== String(users)) return false
    return true
  }
  return eventually(agree, `everywhere online: ${users}`)
}

/** Asks everybody again and again about these people, who are connected; `stop` returns who was called offline. */
function neverOffline(users: readonly string[]): { stop(): Promise<string[]> } {
  const wrong = new Set<string>()
  let isOver = false
  const look = async ({ presence }: RedisInstance): Promise<void> => {
    while (!isOver) {
      for (const { userId, status } of await presence.states(users)) if (status === 'offline') wrong.add(userId)
      const listed = await presence.online(2000).catch((error: unknown) => {
        if (error instanceof PresenceUnknown) return undefined
        throw error
      })
      for (const user of users) if (listed && !listed.users.includes(user)) wrong.add(`${user} of the list`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const looks = instances.map(look)
  return {
    async stop() {
      isOver = true
      await Promise.all(looks)
      return [...wrong]
    },
  }
}

/** Until when each of them counts as living. */
function leasesOf(of: readonly RedisInstance[]): Promise<number[]> {
  return Promise.all(of.map(async ({ id }) => Number(await server.run('ZSCORE', `${PREFIX}instances`, id))))
}

/** So many times every instance has renewed its lease. */
async function renewals(count: number, of = instances): Promise<void> {
  for (let time = 0; time < count; time += 1) {
    const before = await leasesOf(of)
    await eventually(
      async () => (await leasesOf(of)).every((lease, index) => lease > (before[index] ?? 0)),
      'a renewal',
    )
  }
}

describe('a key that is gone', () => {
  test.each([
    { name: 'of all who are online', keys: () => [`${PREFIX}online`] },
    { name: 'of the leases', keys: () => [`${PREFIX}instances`] },
    { name: 'of the users of one instance', keys: (id: string) => [`${PREFIX}instance:${id}`] },
    { name: 'of where one user is', keys: () => [`${PREFIX}where:ann`, `${PREFIX}where:bob`] },
    {
      name: 'of each kind at once',
      keys: (id: string) => [`${PREFIX}online`, `${PREFIX}instance:${id}`, `${PREFIX}where:bob`],
    },
  ])('$name makes nobody offline who is connected, and is made again', async ({ keys }) => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    await renewals(2)
    const { stop } = neverOffline(['ann', 'bob'])
    const lost = keys(two.id)
    await server.run('DEL', ...lost)
    await eventually(async () => Number(await server.run('EXISTS', ...lost)) === lost.length, 'the keys')
    await renewals(2)
    await allSay(['ann', 'bob'])
    expect(await stop()).toEqual([])
    expect(await server.run('SMEMBERS', `${PREFIX}where:bob`)).toEqual([two.id])
    two.presence.disconnected('bob')
    await allSay(['ann'])
  })

  test('of all who are online is told to nobody by an instance that starts meanwhile', async () => {
    const one = await connect()
    one.presence.connected('ann')
    await allSay(['ann'])
    await renewals(1)
    await server.run('DEL', `${PREFIX}online`)
    const late = await connect()
    const { stop } = neverOffline(['ann'])
    await allSay(['ann'])
    expect(await stop()).toEqual([])
    expect(await online(late)).toEqual(['ann'])
  })

  test('of where somebody is does not make them offline when one of their two devices leaves', async () => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('ann')
    await allSay(['ann'])
    const { stop } = neverOffline(['ann'])
    await server.run('DEL', `${PREFIX}where:ann`)
    one.presence.disconnected('ann')
    await renewals(2)
    expect(await stop()).toEqual([])
    two.presence.disconnected('ann')
    await allSay([])
  })

  test('of the users of one instance makes nobody offline before that instance has listed them again', async () => {
    // None of them renews by itself in this test.
    const timing = { leaseMs: 60_000, hurry: 1 }
    const [one, two] = [await connect(timing), await connect(timing)]
    two.presence.connected('bob')
    await allSay(['bob'])
    await server.run('DEL', `${PREFIX}instance:${two.id}`)
    const scripts = presenceScripts(one.commands)
    await scripts.renew(PREFIX, two.id, timing.leaseMs, 1)
    await scripts.prune(PREFIX, one.id, BEHIND_MARKS, 500)
    expect(await online(one)).toEqual(['bob'])
    two.presence.disconnected('bob')
    await allSay([])
  })

  test('of all who are online says nothing before who renewed has listed its users too', async () => {
    // It does not renew by itself in this test.
    const timing = { leaseMs: 60_000, hurry: 1 }
    const one = await connect(timing)
    one.presence.connected('ann')
    await allSay(['ann'])
    await server.run('DEL', `${PREFIX}online`)
    const scripts = presenceScripts(one.commands)
    await scripts.renew(PREFIX, one.id, timing.leaseMs, 1)
    const late = await connect()
    await late.presence.joined
    expect(await late.presence.states(['ann'])).toEqual([{ userId: 'ann', status: 'unknown' }])
    await expect(online(late)).rejects.toThrow(PresenceUnknown)
    // Whoever is asked finds its mark missing, and lists them.
    await one.presence.states(['ann'])
    await allSay(['ann'], [late])
  })

  test('among more users than are compared at a time is found in turn', async () => {
    const one = await connect()
    for (const user of MANY) one.presence.connected(user)
    await allSay(MANY)
    const last = MANY.at(-1) ?? ''
    await server.run('ZREM', `${PREFIX}online`, last)
    await eventually(async () => (await online(one)).includes(last), 'the last user')
    expect(warnings.filter((text) => text.includes('Redis has lost some users'))).toHaveLength(1)
  })

  test('of a dead instance leaves no ghosts, however many they were, and takes nobody who lives', async () => {
    const [one, dead] = [await connect(), await connect()]
    one.presence.connected('user0007')
    for (const user of MANY) dead.presence.connected(user)
    await allSay(MANY)
    await renewals(1)
    await dead.close()
    await server.run('DEL', `${PREFIX}instance:${dead.id}`)
    const { stop } = neverOffline(['user0007'])
    await server.run('ZADD', `${PREFIX}instances`, 'XX', Date.now() - 1, dead.id)
    await allSay(['user0007'], [one])
    expect(await stop()).toEqual([])
    expect(await server.run('ZSCORE', `${PREFIX}instances`, dead.id)).toBe(null)
    expect(await server.run('SMEMBERS', `${PREFIX}where:user0007`)).toEqual([one.id])
  })

  test('of what an instance lists is not taken for a sign that its users are gone', async () => {
    const [one, two] = [await connect(), await connect()]
    two.presence.connected('bob')
    await allSay(['bob'])
    await renewals(1)
    // Also while it does not renew: a lease is what counts.
    await two.presence.close()
    await server.run('DEL', `${PREFIX}instance:${two.id}`)
    await renewals(2, [one])
    expect(await online(one)).toEqual(['bob'])
  })
})

describe('a Redis without room', () => {
  test('makes presence unknown, tells why once, and knows all when there is room again', async () => {
    // None may run out before nothing can be renewed any more.
    const short = { leaseMs: 6_000, hurry: 8 }
    const [one, two] = [await connect(short), await connect(short)]
    one.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    const { stop } = neverOffline(['ann', 'bob'])
    await server.run('CONFIG', 'SET', 'maxmemory', 1)
    // Somebody comes and somebody goes: neither can be listed.
    two.presence.connected('cid')
    two.presence.disconnected('cid')
    one.presence.connected('dan')
    const isUnknown = async ({ presence }: RedisInstance): Promise<boolean> =>
      (await presence.states(['bob', 'zoe'])).every(({ status }) => status === 'unknown')
    await eventually(async () => (await isUnknown(one)) && (await isUnknown(two)), 'presence to be unknown')
    await expect(one.presence.online(1)).rejects.toThrow(PresenceUnknown)
    await eventually(
      async () => (await leasesOf(instances)).every((lease) => lease < Date.now()),
      'the end of every lease',
    )
    await server.run('CONFIG', 'SET', 'maxmemory', 0)
    await allSay(['ann', 'bob', 'dan'])
    await renewals(2)
    expect(await stop()).toEqual([])
    // Each instance has a log of its own; which of its commands fails first, and so the reason, is chance.
    const full = warnings.filter((text) => /^\d Redis fails OOM/.test(text))
    expect(new Set(full.map((text) => text[0]))).toEqual(new Set('01'))
    expect(full).toHaveLength(new Set(full).size)
    expect(warnings.filter((text) => text.includes('clearing up'))).toEqual([])
  })
})

describe('a Redis that refuses a command', () => {
  test.each(['zadd', 'sadd', 'time', 'zscore', 'zrangebylex', 'zmscore'])(
    '%s makes presence unknown and nobody offline, until it is allowed again',
    async (command) => {
      const [one, two] = [await connect(), await connect()]
      one.presence.connected('ann')
      two.presence.connected('bob')
      await allSay(['ann', 'bob'])
      const { stop } = neverOffline(['ann', 'bob'])
      await server.run('ACL', 'SETUSER', 'default', `-${command}`)
      two.presence.connected('cid')
      const isUnknown = async (): Promise<boolean> => {
        const [state] = await one.presence.states(['bob'])
        const list = await one.presence.online(1).then(
          () => 'known',
          () => 'unknown',
        )
        return state?.status === 'unknown' || list === 'unknown'
      }
      await eventually(isUnknown, 'presence to be unknown')
      await server.run('ACL', 'SETUSER', 'default', `+${command}`)
      await allSay(['ann', 'bob', 'cid'])
      expect(await stop()).toEqual([])
    },
  )

  test('lets whoever is back first neither clear up after the others nor tell without them', async () => {
    const leaseMs = 60_000
    const renewalMs = (leaseMs * 3) / 11
    const clocks = [new FakeClock(), new FakeClock()] as const
    const [one, two] = [await connect({ leaseMs, clock: clocks[0] }), await connect({ leaseMs, clock: clocks[1] })]
    one.presence.connected('ann')
    await allSay(['ann'])
    await server.run('ACL', 'SETUSER', 'default', '-zscore', '-sadd')
    one.presence.connected('cid')
    const isRefused = (number: number): boolean => warnings.some((text) => text.startsWith(`${number} Redis fails`))
    await eventually(async () => {
      for (const [number, clock] of clocks.entries()) if (!isRefused(number)) await clock.advance(renewalMs)
      return isRefused(0) && isRefused(1)
    }, 'both to be refused')
    await server.run('ZADD', `${PREFIX}instances`, 'XX', Date.now() - 1, one.id)
    await server.run('ACL', 'SETUSER', 'default', '+zscore', '+sadd')
    const [before = 0] = await leasesOf([two])
    await clocks[1].advance(renewalMs + 1)
    await eventually(async () => ((await leasesOf([two]))[0] ?? 0) > before, 'a renewal')
    // Each look is a round trip, as is each step of what follows a renewal.
    for (let look = 0; look < 20; look += 1) {
      const states = await two.presence.states(['ann', 'cid'])
      expect(states.filter(({ status }) => status === 'offline')).toEqual([])
      const list = await online(two).catch(() => ['ann', 'cid'])
      expect(list).toEqual(['ann', 'cid'])
    }
    expect(await server.run('ZSCORE', `${PREFIX}online`, 'ann')).toBe('0')
    await eventually(async () => {
      for (const clock of clocks) await clock.advance(renewalMs / 8)
      return String([await online(one), await online(two)]) === 'ann,cid,ann,cid'
    }, 'all to be known')
    expect(warnings.filter((text) => text.includes('clearing up'))).toEqual([])
  })
})
