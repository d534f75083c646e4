import { beforeEach, describe, expect, test } from 'vitest'
import { RedisBroker } from '../../../src/delivery/broker.redis.ts'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { ServerPublisher } from '../../../src/redis/publisher.ts'
import { Subscriptions } from '../../../src/redis/subscriptions.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { type KeptLogs, keepLogs } from '../../support/kept-logs.ts'
import { ScriptedRedis } from '../../support/scripted-redis.ts'

const MIB = 1024 * 1024
let commands: ScriptedRedis
let subscriber: ScriptedRedis
let clock: FakeClock
let logs: KeptLogs
let broker: RedisBroker
let gaps: number
let failures: number
let epoch: { current: string; looks: number; look(): Promise<void> }
let received: unknown[]

beforeEach(async () => {
  commands = new ScriptedRedis()
  subscriber = new ScriptedRedis()
  clock = new FakeClock()
  logs = keepLogs()
  gaps = 0
  failures = 0
  received = []
  epoch = {
    current: 'now',
    looks: 0,
    look: async () => {
      epoch.looks += 1
    },
  }
  const health = new DependencyLog({ dependency: 'Redis', logger: logs, clock })
  broker = new RedisBroker({
    commands: commands.client,
    publisher: new ServerPublisher(commands.client),
    subscriptions: new Subscriptions(subscriber.client, clock, health),
    instanceId: 'me',
    prefix: 'msg:',
    epoch,
    clock,
    logger: logs,
    health,
    observer: {
      publishFailed: () => {
        failures += 1
      },
    },
  })
  broker.listen({
    received: (_user, envelopes) => void received.push(...envelopes),
    told: () => undefined,
    gap: () => {
      gaps += 1
    },
  })
  await settled()
  gaps = 0
  commands.calls.length = 0
})

function publish(text = 'x'): void {
  broker.add('ann', { json: text })
  broker.flush()
}

/** Payloads that went to ann, as far as Redis was asked to carry them. */
const published = () => commands.argsOf('publishAll').filter(([channel]) => channel === 'msg:user:ann').length
/** Gaps that the others were told of. */
const told = () =>
  commands.argsOf('publishAll').filter((args) => args[2] === 'msg:control' && args[3]?.includes('"kind":"gap"')).length
const refuse = (refused: string): void => {
  commands.fate = () => ({ refused })
}

describe('bytes on their way', () => {
  test('of publishes that failed count no more: after 40 MiB of failures the next one goes out', async () => {
    refuse('OOM command not allowed')
    for (let index = 0; index < 40; index += 1) {
      publish('x'.repeat(MIB))
      await settled()
    }
    expect(published()).toBe(40)
    commands.fate = () => 'done'
    publish()
    expect(published()).toBe(41)
  })

  test('of publishes that went through count no more', async () => {
    for (let index = 0; index < 40; index += 1) {
      publish('x'.repeat(MIB))
      await settled()
    }
    expect(published()).toBe(40)
    expect(failures).toBe(0)
  })

  test('without an answer are 32 MiB at most: beyond that a publish fails, and when there is room it works', async () => {
    commands.fate = () => 'held'
    for (let index = 0; index < 40; index += 1) publish('x'.repeat(MIB))
    expect(published()).toBe(31)
    expect(failures).toBe(9)
    for (let index = 0; index < 31; index += 1) commands.answer()
    await settled()
    publish()
    expect(published()).toBe(32)
  })
})

describe('what may be lost', () => {
  const offer = (): void => broker.offer('ann', { json: '{}' })
  const offered = () => commands.argsOf('publish').filter(([channel]) => channel === 'msg:user:ann').length

  test('is shed while messages wait for Redis, long before one of them is', async () => {
    commands.fate = () => 'held'
    offer()
    expect(offered()).toBe(1)
    for (let index = 0; index < 3; index += 1) publish('x'.repeat(MIB / 2))
    offer()
    expect(offered()).toBe(1)
    publish('x'.repeat(MIB))
    expect([published(), failures]).toEqual([4, 0])
    for (let index = 0; index < 5; index += 1) commands.answer()
    await settled()
    offer()
    expect(offered()).toBe(2)
  })

  test('counts while it waits itself', () => {
    commands.fate = () => 'held'
    for (let index = 0; index < 3; index += 1) broker.offer('ann', { json: 'x'.repeat(MIB) })
    expect(offered()).toBe(1)
  })

  test('is no gap when it is lost, and nothing fails by it', async () => {
    refuse('OOM command not allowed')
    offer()
    await settled()
    commands.fate = () => 'held'
    offer()
    commands.lose()
    offer()
    commands.connectAgain()
    commands.fate = () => 'done'
    await clock.advance(60_000)
    expect([told(), failures, broker.isConnected]).toEqual([0, 0, true])
    expect(logs.shown).toEqual([])
  })
})

describe('a gap', () => {
  test('is told once for all publishes that failed, when Redis publishes again', async () => {
    refuse('OOM command not allowed')
    for (let index = 0; index < 3; index += 1) {
      publish()
      await clock.advance(20_000)
    }
    commands.calls.length = 0
    commands.fate = () => 'done'
    await clock.advance(60_000)
    expect(told()).toBe(1)
    expect(failures).toBe(3)
  })

  test('is told with the next connection when the last one was lost, and not while there is none', async () => {
    commands.lose()
    publish()
    await clock.advance(10_000)
    expect(commands.calls).toEqual([])
    commands.connectAgain()
    await settled()
    expect(told()).toBe(1)
    await clock.advance(10_000)
    expect(told()).toBe(1)
  })

  test('is owed again when it could not be told', async () => {
    commands.lose()
    publish()
    refuse('NOPERM this user has no permissions')
    commands.connectAgain()
    await clock.advance(3_000)
    commands.calls.length = 0
    commands.fate = () => 'done'
    await clock.advance(1_000)
    expect(told()).toBe(1)
  })

  test('is told no more than once a second, however publishes fail and work by turns', async () => {
    for (let index = 0; index < 100; index += 1) {
      commands.fate = () => (index % 2 === 0 ? { refused: 'OOM command not allowed' } : 'done')
      publish()
      await clock.advance(100)
    }
    expect(told()).toBeLessThanOrEqual(10)
  })

  test('is not told when nothing failed', async () => {
    publish()
    commands.lose()
    commands.connectAgain()
    await clock.advance(60_000)
    expect(told()).toBe(0)
  })
})

describe('what another instance published', () => {
  const arrives = (publisher: string, line: string): void => {
    subscriber.emit('message', 'msg:user:ann', `${publisher}\n${line}`)
  }
  const MESSAGE = '21 bob ann {"seq":21}'

  test.each(['other now', 'other'])('in the same epoch or without one is passed on (%s)', async (publisher) => {
    arrives(publisher, MESSAGE)
    await settled()
    expect(received).toEqual([{ message: { seq: 21, sender_id: 'bob', receiver_id: 'ann' }, json: '{"seq":21}' }])
    expect([epoch.looks, gaps]).toEqual([0, 0])
  })

  test('in another epoch is not: this instance looks at the epoch, then for what was lost, once for all of it', async () => {
    for (let index = 0; index < 3; index += 1) arrives('other next', MESSAGE)
    expect(gaps).toBe(0)
    await settled()
    expect(received).toEqual([])
    expect([epoch.looks, gaps]).toEqual([1, 1])
    arrives('other after-next', MESSAGE)
    await settled()
    expect([epoch.looks, gaps]).toEqual([2, 2])
  })

  test('in another epoch is no loss when it is no message', async () => {
    arrives('other next', '= {"type":"typing"}')
    await settled()
    expect(received).toEqual([])
    expect([epoch.looks, gaps]).toEqual([0, 0])
  })

  test('is told the epoch of this one', () => {
    epoch.current = 'next'
    publish('{}')
    expect(commands.argsOf('publishAll').at(-1)).toEqual(['msg:user:ann', 'me next\n= {}'])
  })
})

describe('a Redis that refuses what is published', () => {
  const noRight = "NOPERM this user has no permissions to run the 'evalsha' command"

  test('counts as not connected, so that the database is polled, and is told once with its reason', async () => {
    refuse(noRight)
    for (let index = 0; index < 5; index += 1) {
      publish()
      await clock.advance(1_000)
    }
    expect(broker.isConnected).toBe(false)
    expect(logs.shown).toEqual([`warn: Redis fails (${noRight})`])
    refuse('OOM command not allowed')
    await clock.advance(1_000)
    commands.fate = () => 'done'
    await clock.advance(1_000)
    expect(broker.isConnected).toBe(true)
    expect(logs.shown).toEqual([
      `warn: Redis fails (${noRight})`,
      'warn: Redis fails (OOM command not allowed)',
      'info: Redis works again',
    ])
  })

  test('is noticed with the connection, also by an instance that has nothing to publish', async () => {
    commands.lose()
    refuse(noRight)
    commands.connectAgain()
    await settled()
    expect(broker.isConnected).toBe(false)
  })

  test('is not one that hangs or is lost: of those the subscriber’s connection tells', async () => {
    commands.fate = () => 'held'
    publish()
    commands.lose()
    await settled()
    expect(broker.isConnected).toBe(true)
    expect(failures).toBe(1)
  })

  test('is asked no more when the broker is closed', async () => {
    refuse(noRight)
    publish()
    await settled()
    await broker.close()
    commands.calls.length = 0
    await clock.advance(10_000)
    expect(commands.calls).toEqual([])
  })
})

describe('what others tell', () => {
  const say = (payload: string): void => void subscriber.emit('message', 'msg:control', payload)

  test('of a gap is heard, and what is unknown or one’s own is not', () => {
    for (const payload of ['', 'other x', '{"v":1,"from":"other","kind":"moved"}', '{"v":1,"from":"me","kind":"gap"}'])
      say(payload)
    expect(gaps).toBe(0)
    say('{"v":1,"from":"other","kind":"gap"}')
    expect(gaps).toBe(1)
  })
})
