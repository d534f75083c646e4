// What becomes of subscriptions, publishes and presence when Redis is cut, wiped, frozen, killed or never there.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config.ts'
import { type PresenceState, PresenceUnknown } from '../../../src/presence/presence.ts'
import { presenceScripts } from '../../../src/presence/scripts.redis.ts'
import { envelope, textOf } from '../../support/builders.ts'
import { connectInstance, eventually, openInstance, type RedisInstance } from '../../support/cluster-instance.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { RedisServer } from '../../support/redis.ts'
import { Relay } from '../../support/relay.ts'

const PREFIX = 'msg:'
/** Renewed every 205 ms: nothing here is about how long a lease is, and none may run out because the machine is busy. */
const TIMING = { leaseMs: 15_000, hurry: 20 }
/** More than is published before Redis has answered. */
const TOO_LONG = 'x'.repeat(33 * 1024 * 1024)
let server: RedisServer
let instances: RedisInstance[]

beforeEach(async () => {
  server = await RedisServer.start()
  instances = []
})
afterEach(async () => {
  await Promise.all(instances.map((instance) => instance.close()))
  await server.stop()
})

async function connect(url = server.url, prefix = PREFIX): Promise<RedisInstance> {
  const instance = await connectInstance({ url, prefix, ...TIMING })
  instances.push(instance)
  return instance
}

/** As a deployment whose REDIS_ADDR names this database, and that sets no REDIS_PREFIX. */
function connectTo(database: number): Promise<RedisInstance> {
  const { address, prefix } = loadConfig({ REDIS_ADDR: `${server.url}/${database}` }).redis
  return connect(address?.url, prefix)
}

interface Listener {
  readonly got: string[]
  gaps: number
}

function listen({ broker }: RedisInstance): Listener {
  const listener: Listener = { got: [], gaps: 0 }
  broker.listen({
    received: (user, envelopes) => void listener.got.push(...envelopes.map((one) => `${user} ${textOf(one)}`)),
    told: () => undefined,
    gap: () => {
      listener.gaps += 1
    },
  })
  return listener
}

function watchStates({ presence }: RedisInstance): string[] {
  const seen: string[] = []
  presence.listen({ changed: ({ userId, status }) => void seen.push(`${userId} ${status}`), refresh: () => undefined })
  return seen
}

function publish({ broker }: RedisInstance, user: string, text: string): void {
  broker.add(user, envelope(text))
  broker.flush()
}

const online = async ({ presence }: RedisInstance): Promise<readonly string[]> => (await presence.online(500)).users

/** Waits until all of them say so. */
function allSay(users: readonly string[], limitMs?: number, from = instances): Promise<void> {
  const agree = async (): Promise<boolean> => {
    for (const instance of from) if (String(await online(instance)) !== String(users)) return false
    return true
  }
  return eventually(agree, `everywhere online: ${users}`, limitMs)
}

describe('subscriptions', () => {
  test('all of 3,000 come back after CLIENT KILL TYPE pubsub, and the gap is told once they have', async () => {
    const [one, two] = [await connect(), await connect()]
    const heard = listen(two)
    const users = Array.from({ length: 3000 }, (_, index) => `user${index}`)
    await Promise.all(users.map((user) => two.broker.subscribe(user)))
    const gapsBefore = heard.gaps
    await server.run('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await eventually(() => heard.gaps > gapsBefore, 'the gap')
    for (const user of users) one.broker.add(user, envelope('1'))
    one.broker.flush()
    await eventually(() => heard.got.length === 3000, 'a frame for each')
  })

  test('changes asked for while Redis is away are in force when it is back', async () => {
    const [one, two] = [await connect(), await connect()]
    const heard = listen(two)
    await Promise.all([two.broker.subscribe('ann'), two.broker.subscribe('bob')])
    await server.kill()
    await eventually(() => !two.broker.isConnected, 'the loss')
    two.broker.unsubscribe('ann')
    await two.broker.subscribe('cid')
    await server.startAgain()
    await eventually(() => two.broker.isConnected && one.commands.status === 'ready', 'the return')
    await two.broker.subscribe('dan')
    for (const user of ['ann', 'bob', 'cid', 'dan']) publish(one, user, 'x')
    await eventually(() => heard.got.some((text) => text.startsWith('dan')), 'the last')
    expect(heard.got).toEqual(['bob x', 'cid x', 'dan x'])
  })

  test('a frozen Redis is noticed, and after the thaw everything is subscribed and the gap told', async () => {
    const [one, two] = [await connect(), await connect()]
    const heard = listen(two)
    await two.broker.subscribe('ann')
    server.freeze()
    await eventually(() => !two.broker.isConnected, 'the loss')
    await two.broker.subscribe('bob')
    const { gaps } = heard
    server.thaw()
    await eventually(() => heard.gaps > gaps && one.commands.status === 'ready', 'the gap')
    publish(one, 'ann', '1')
    publish(one, 'bob', '2')
    await eventually(() => heard.got.length >= 2, 'both')
  })

  test('everything starts without Redis and connects when it comes', async () => {
    await server.kill()
    const lonely = openInstance({ url: server.url, prefix: PREFIX, ...TIMING })
    instances.push(lonely)
    const heard = listen(lonely)
    await lonely.broker.subscribe('ann')
    expect(lonely.broker.isConnected).toBe(false)
    lonely.presence.connected('ann')
    await expect(lonely.presence.online(10)).rejects.toThrow(PresenceUnknown)
    expect(await lonely.presence.states(['ann'])).toEqual([{ userId: 'ann', status: 'unknown' }])
    await server.startAgain()
    await eventually(() => lonely.broker.isConnected, 'the connection')
    const other = await connect()
    publish(other, 'ann', '1')
    await eventually(() => heard.got.length === 1, 'the frame')
    await allSay(['ann'])
  })
})

describe('a publish that fails', () => {
  test('is counted, fails at once, and is told to the others as a gap when Redis is back', async () => {
    const [one, two] = [await connect(), await connect()]
    const heard = listen(two)
    await server.kill()
    await eventually(() => one.commands.status !== 'ready', 'the loss')
    publish(one, 'ann', '1')
    expect(one.failedPublishes).toBe(1)
    const { gaps } = heard
    await server.startAgain()
    // That which it is told of, or its own: it was cut off as well, and looks once it can hear again.
    await eventually(() => heard.gaps > gaps, 'the gap')
  })

  test('while only its publisher is cut off is told to the others when it is back, and not to itself', async () => {
    const [one, two] = [await connect(), await connect()]
    const [own, heard] = [listen(one), listen(two)]
    await one.broker.subscribe('ann')
    const [ownBefore, before] = [own.gaps, heard.gaps]
    await server.run('CLIENT', 'KILL', 'ID', await clientIdOf(one))
    publish(one, 'ann', '1')
    await eventually(() => one.failedPublishes > 0, 'the failure')
    await eventually(() => heard.gaps > before, 'the gap')
    publish(two, 'ann', '2')
    await eventually(() => own.got.length === 1, 'what was published behind it')
    expect(own.gaps).toBe(ownBefore)
  })
})

async function clientIdOf({ commands }: RedisInstance): Promise<number> {
  return Number(await commands.client('ID'))
}

describe('presence', () => {
  test('is one over all instances, and a connection count is kept by instance', async () => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    one.presence.disconnected('ann')
    await allSay(['ann', 'bob'])
    two.presence.disconnected('ann')
    await allSay(['bob'])
  })

  test('of an instance whose lease ran out is cleared up by another, who reports it lost', async () => {
    const [one, two, dead] = [await connect(), await connect(), await connect()]
    one.presence.connected('ann')
    dead.presence.connected('ann')
    for (let index = 0; index < 1200; index += 1) dead.presence.connected(`ghost${index}`)
    await eventually(async () => (await one.presence.online(1)).count === 1201, 'all 1,201')
    // After one round of renewals everybody has seen everybody.
    const leaseOf = async ({ id }: RedisInstance): Promise<number> =>
      Number(await server.run('ZSCORE', `${PREFIX}instances`, id))
    const first = [await leaseOf(one), await leaseOf(two)]
    const areRenewed = async (): Promise<boolean> =>
      (await leaseOf(one)) > (first[0] ?? 0) && (await leaseOf(two)) > (first[1] ?? 0)
    await eventually(areRenewed, 'a renewal of both')
    await dead.close()
    await eventually(async () => (await one.presence.online(1)).count === 1201, 'still all')
    await server.run('ZADD', `${PREFIX}instances`, Date.now() - 1, dead.id)
    await allSay(['ann'], 60_000, [one, two])
    expect(await one.presence.states(['ghost7'])).toMatchObject([{ status: 'offline', lastSeenMs: expect.any(Number) }])
    await eventually(() => one.lost.length > 0 && two.lost.length > 0, 'the loss')
    expect(await server.run('ZSCORE', `${PREFIX}instances`, dead.id)).toBe(null)
    expect(await server.run('EXISTS', `${PREFIX}instance:${dead.id}`)).toBe(0)
  })

  test('of an instance that died is cleared up where its lease was taken by a clock that was an hour ahead', async () => {
    const [one, dead] = [await connect(), await connect()]
    dead.presence.connected('ghost')
    one.presence.connected('ann')
    await eventually(async () => (await one.presence.online(1)).count === 2, 'both')
    await dead.close()
    // As it stands at the node that takes over; whoever lives takes another lease there.
    for (const { id } of [one, dead]) await server.run('ZADD', `${PREFIX}instances`, Date.now() + 3_600_000, id)
    await allSay(['ann'], 60_000, [one])
    expect(await server.run('ZSCORE', `${PREFIX}instances`, dead.id)).toBe(null)
  })

  test('of an instance that died before it had a lease, as right after a wipe, is cleared up', async () => {
    const one = await connect()
    await allSay([])
    expect(await presenceScripts(one.commands).join(PREFIX, 'dead', 500, 'ghost')).toBe(3)
    await allSay([])
    expect(await server.run('ZSCORE', `${PREFIX}instances`, 'dead')).toBe(null)
  })

  test('of an instance that has no lease yet, as its first renewal failed, is not cleared up for as long as one', async () => {
    const one = await connect()
    await allSay([])
    await presenceScripts(one.commands).join(PREFIX, 'new', 600_000, 'ann')
    const leaseMs = async (): Promise<number> => Number(await server.run('ZSCORE', `${PREFIX}instances`, one.id))
    for (let renewal = 1; renewal <= 4; renewal += 1) {
      const before = await leaseMs()
      await eventually(async () => (await leaseMs()) > before, 'a renewal')
    }
    expect(await online(one)).toEqual(['ann'])
    await server.run('ZADD', `${PREFIX}instances`, -1, 'new')
    await allSay([])
  })

  test('is unknown, not offline, to an instance that lists a new user in a Redis that was wiped', async () => {
    const [one, two] = [await connect(), await connect()]
    two.presence.connected('bob')
    await allSay(['bob'])
    await server.run('FLUSHALL')
    one.presence.connected('ann')
    expect(await one.presence.states(['bob'])).toEqual([{ userId: 'bob', status: 'unknown' }])
    await allSay(['ann', 'bob'], 60_000)
  })

  test('of those whom a drain has closed stays, also when the link to Redis breaks meanwhile', async () => {
    const [, two] = [await connect(), await connect()]
    two.presence.connected('ann')
    await allSay(['ann'])
    two.presence.drain()
    two.presence.disconnected('ann')
    await server.run('CLIENT', 'KILL', 'ID', await clientIdOf(two))
    // Listed on the new link, after those would have been taken off who are gone.
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
  })

  test('of a living instance whose lease ran out, as after a freeze, is registered again when it was cleared up', async () => {
    const [one, two] = [await connect(), await connect()]
    two.presence.connected('bob')
    await allSay(['bob'])
    const { sweep } = presenceScripts(one.commands)
    // Its own renewal may come between the two steps; then it was no freeze, and is played again.
    const isSwept = async (): Promise<boolean> => {
      await server.run('ZADD', `${PREFIX}instances`, Date.now() - 1, two.id)
      return Number(await sweep(PREFIX, two.id, 500)) > 0
    }
    await eventually(isSwept, 'a sweep of an instance that lives')
    await allSay(['bob'])
    two.presence.disconnected('bob')
    await allSay([])
  })

  test('of a living instance is not cleared up while its lease stands', async () => {
    const [one, two] = [await connect(), await connect()]
    two.presence.connected('bob')
    await allSay(['bob'])
    const { sweep } = presenceScripts(one.commands)
    expect(await sweep(PREFIX, two.id, 500)).toBe(0)
    expect(await server.run('SISMEMBER', `${PREFIX}instance:${two.id}`, 'bob')).toBe(1)
    expect(await online(one)).toEqual(['bob'])
  })

  test('is made again after FLUSHALL, within 10 s', async () => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    await server.run('FLUSHALL')
    await allSay(['ann', 'bob'], 60_000)
  })

  test('that was lost is looked at by those who watch only when all have had the time to list it again', async () => {
    const clock = new FakeClock()
    const one = await connectInstance({ url: server.url, prefix: PREFIX, leaseMs: 11_000, clock })
    instances.push(one)
    one.presence.connected('ann')
    await allSay(['ann'])
    const looks: Promise<PresenceState[]>[] = []
    const refresh = (): void => void looks.push(one.presence.states(['ann']))
    one.presence.listen({ changed: () => undefined, refresh })
    await clock.advance(0)
    const idle = clock.pending
    const renew = async (ms: number, pending: number): Promise<void> => {
      await clock.advance(ms)
      await eventually(() => clock.pending === pending, 'the renewal')
    }
    // Each tenth renewal asks for a look: once it is the one that finds the loss, once the one behind it.
    for (let round = 0; round < 10; round += 1) {
      await server.run('FLUSHALL')
      await renew(3_000, idle + 1)
      await renew(3_000, idle + 1)
      await renew(3_000, idle)
    }
    expect(looks.length).toBeGreaterThanOrEqual(10)
    expect((await Promise.all(looks)).flat().filter(({ status }) => status !== 'online')).toEqual([])
  })

  test('is never called offline by an instance that can see that Redis was wiped', async () => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    await server.run('FLUSHALL')
    const said = new Set<string>()
    const bobIsBack = async (): Promise<boolean> => {
      const [bob] = await one.presence.states(['bob'])
      said.add(bob?.status ?? 'none')
      const listed = await online(one).catch((error) => (error instanceof PresenceUnknown ? ['bob'] : []))
      if (!listed.includes('bob')) said.add('not listed')
      return bob?.status === 'online'
    }
    await eventually(bobIsBack, 'bob online')
    expect([...said].filter((status) => status !== 'online' && status !== 'unknown')).toEqual([])
  })

  test('is unknown while Redis is away, and made again by all when it comes back empty', async () => {
    const [one, two] = [await connect(), await connect()]
    one.presence.connected('ann')
    two.presence.connected('bob')
    two.presence.connected('cid')
    await allSay(['ann', 'bob', 'cid'])
    await server.kill()
    await eventually(() => one.commands.status !== 'ready', 'the loss')
    await expect(one.presence.online(10)).rejects.toThrow(PresenceUnknown)
    expect(await one.presence.states(['ann', 'bob'])).toEqual([
      { userId: 'ann', status: 'unknown' },
      { userId: 'bob', status: 'unknown' },
    ])
    // Both change while nobody can be told.
    two.presence.disconnected('cid')
    one.presence.connected('dan')
    await server.startAgain()
    const said = new Set<string>()
    await eventually(async () => {
      const [bob] = await one.presence.states(['bob'])
      said.add(bob?.status ?? '')
      return bob?.status === 'online'
    }, 'bob')
    await allSay(['ann', 'bob', 'dan'], 60_000)
    expect([...said].filter((status) => status !== 'online' && status !== 'unknown')).toEqual([])
  })

  test('is unknown while Redis is frozen, to those who watch too, and right after the thaw', async () => {
    const [one, two] = [await connect(), await connect()]
    let refreshed = 0
    const refresh = (): void => {
      refreshed += 1
    }
    one.presence.listen({ changed: () => undefined, refresh })
    two.presence.connected('bob')
    two.presence.connected('cid')
    await allSay(['bob', 'cid'])
    const before = refreshed
    server.freeze()
    await eventually(async () => (await one.presence.states(['bob']))[0]?.status === 'unknown', 'unknown')
    await eventually(() => refreshed > before, 'the watchers to be asked to look again')
    two.presence.disconnected('cid')
    server.thaw()
    await allSay(['bob'], 60_000)
  })

  test('is looked at again by those who watch after a single look that failed', async () => {
    const one = await connect()
    one.presence.connected('ann')
    await allSay(['ann'])
    // As watchers do whenever they are asked to.
    const looks: unknown[] = []
    const refresh = (): void => {
      void one.presence.states(['ann']).then(([state]) => looks.push(state))
    }
    one.presence.listen({ changed: () => undefined, refresh })
    await server.run('RENAME', `${PREFIX}online`, `${PREFIX}kept`)
    await server.run('SET', `${PREFIX}online`, 'no sorted set')
    expect(await one.presence.states(['ann'])).toEqual([{ userId: 'ann', status: 'unknown' }])
    await server.run('RENAME', `${PREFIX}kept`, `${PREFIX}online`)
    const isKnown = (): boolean => String(Object(looks.at(-1)).status) === 'online'
    await eventually(isKnown, 'the watchers to be asked to look again, and to see them')
  })

  test('forgets after an outage who left during it, when Redis kept everything', async () => {
    const [, two] = [await connect(), await connect()]
    two.presence.connected('ann')
    two.presence.connected('bob')
    await allSay(['ann', 'bob'])
    server.freeze()
    await eventually(async () => (await two.presence.states(['bob']))[0]?.status === 'unknown', 'unknown')
    two.presence.disconnected('ann')
    two.presence.connected('cid')
    server.thaw()
    await allSay(['bob', 'cid'], 60_000)
  })
})

describe('the connection', () => {
  test('takes a password, and a user and a database from the URL', async () => {
    const guarded = await RedisServer.start(['--requirepass', 'pa ss'])
    try {
      const url = `redis://default:${encodeURIComponent('pa ss')}@127.0.0.1:${guarded.port}/2`
      const [one, two] = [await connect(url), await connect(url)]
      const heard = listen(two)
      await two.broker.subscribe('ann')
      publish(one, 'ann', '1')
      await eventually(() => heard.got.length === 1, 'the frame')
      one.presence.connected('ann')
      await allSay(['ann'])
      const wrong = openInstance({ url: `redis://:wrong@127.0.0.1:${guarded.port}`, prefix: PREFIX })
      instances.push(wrong)
      await expect(wrong.presence.online(1)).rejects.toThrow(PresenceUnknown)
      expect(wrong.broker.isConnected).toBe(false)
    } finally {
      await guarded.stop()
    }
  })

  test('is given up while half open, and so is a new one that gets no further', async () => {
    const relay = await Relay.before(server.port)
    try {
      const [one, two] = [await connect(`redis://127.0.0.1:${relay.port}`), await connect()]
      const heard = listen(one)
      await one.broker.subscribe('ann')
      const clients = [one.commands, one.subscriber]
      relay.pause()
      await eventually(() => clients.every(({ status }) => status === 'connect'), 'new connections, not ready')
      relay.lose()
      const isBack = () => one.subscriptions.isConnected && one.commands.status === 'ready'
      await eventually(isBack, 'both to be ready')
      publish(two, 'ann', '1')
      await eventually(() => heard.got.length === 1, 'the frame')
    } finally {
      await relay.close()
    }
  })

  test('is kept, and nothing has failed, when this process was busy while the answers came', async () => {
    const one = await connect()
    const heard = listen(one)
    await one.broker.subscribe('ann')
    const { gaps } = heard
    const ping = one.subscriber.ping.bind(one.subscriber)
    const wasBusy = new Promise<void>((resolve) => {
      one.subscriber.ping = async () => {
        one.subscriber.ping = ping
        // What is due by the clock runs right after it, and only then what has arrived is read.
        await new Promise((check) => setImmediate(check))
        const answer = ping()
        publish(one, 'bob', '1')
        const endMs = performance.now() + 2_000
        while (performance.now() < endMs);
        void answer.then(() => resolve(), resolve)
        return answer
      }
    })
    await wasBusy
    await one.commands.ping()
    expect(one.failedPublishes).toBe(0)
    expect(one.broker.isConnected).toBe(true)
    expect(heard.gaps).toBe(gaps)
  })

  test('keeps two prefixes on one Redis apart', async () => {
    const [one, two, stranger] = [await connect(), await connect(), await connect(server.url, 'other:')]
    const [heard, strange] = [listen(two), listen(stranger)]
    await Promise.all([two.broker.subscribe('ann'), stranger.broker.subscribe('ann')])
    stranger.presence.connected('zoe')
    one.presence.connected('ann')
    await allSay(['ann'], undefined, [one, two])
    await allSay(['zoe'], undefined, [stranger])
    const [gaps, strangeGaps] = [heard.gaps, strange.gaps]
    publish(one, 'ann', TOO_LONG)
    publish(one, 'ann', '1')
    publish(stranger, 'ann', 'none')
    await eventually(() => heard.got.length === 1 && heard.gaps > gaps, 'the frame and the gap')
    expect(strange.got).toEqual([])
    expect(strange.gaps).toBe(strangeGaps)
  })

  test('keeps two databases of one Redis apart, and the instances of each together', async () => {
    const [one, two] = [await connectTo(1), await connectTo(1)]
    const [three, four] = [await connectTo(2), await connectTo(2)]
    const [heard, strange] = [listen(two), listen(four)]
    const [seen, strangeSeen] = [watchStates(two), watchStates(four)]
    const watching = [two, four].flatMap(({ broker, presence }) => [broker.subscribe('ann'), presence.watch('ann')])
    await Promise.all(watching)
    // A channel that is not kept apart would carry what the other database says before its own.
    one.presence.connected('ann')
    publish(one, 'ann', 'first')
    await eventually(() => heard.got.length > 0 && seen.length > 0, 'the frame and the state in database 1')
    publish(three, 'ann', 'other')
    await eventually(() => strange.got.includes('ann other'), 'the frame in database 2')
    publish(one, 'ann', 'last')
    await eventually(() => heard.got.includes('ann last'), 'the last frame in database 1')
    expect(heard.got).toEqual(['ann first', 'ann last'])
    expect(strange.got).toEqual(['ann other'])
    expect([seen, strangeSeen]).toEqual([['ann online'], []])
  })
})
