import { beforeEach, describe, expect, test } from 'vitest'
import { DependencyLog } from '../../../src/lib/dependency-log.ts'
import { Subscriptions } from '../../../src/redis/subscriptions.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { type KeptLogs, keepLogs } from '../../support/kept-logs.ts'
import { ScriptedRedis } from '../../support/scripted-redis.ts'

let redis: ScriptedRedis
let clock: FakeClock
let logs: KeptLogs
let subscriptions: Subscriptions
let gaps: number

async function start(): Promise<void> {
  clock = new FakeClock()
  logs = keepLogs()
  gaps = 0
  const health = new DependencyLog({ dependency: 'Redis', logger: logs, clock })
  subscriptions = new Subscriptions(redis.client, clock, health)
  subscriptions.onGap(() => {
    gaps += 1
  })
  await settled()
}

beforeEach(async () => {
  redis = new ScriptedRedis()
  await start()
})

/** Whether it has resolved when nothing more happens by itself. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  let done = false
  void promise.then(() => {
    done = true
  })
  await settled()
  return done
}

const hold = (): void => {
  redis.fate = () => 'held'
}
const refuse = (command: string, refused: string): void => {
  redis.fate = (call) => (call.command === command ? { refused } : 'done')
}

describe('a wait for a subscription', () => {
  test('ends with the answer to it', async () => {
    hold()
    const added = subscriptions.add('ann')
    expect(await isDone(added)).toBe(false)
    redis.answer()
    expect(await isDone(added)).toBe(true)
  })

  test('that comes second ends with the same answer, and not before', async () => {
    hold()
    const added = [subscriptions.add('ann')]
    await settled()
    added.push(subscriptions.add('ann'))
    for (const one of added) expect(await isDone(one)).toBe(false)
    redis.answer()
    for (const one of added) expect(await isDone(one)).toBe(true)
    expect(redis.argsOf('subscribe')).toEqual([['ann']])
  })

  test('that comes after the answer ends at once', async () => {
    await subscriptions.add('ann')
    hold()
    expect(await isDone(subscriptions.add('ann'))).toBe(true)
  })

  test('ends when the connection is lost before the answer', async () => {
    hold()
    const added = [subscriptions.add('ann'), subscriptions.add('bob')]
    await settled()
    added.push(subscriptions.add('cid'))
    redis.lose()
    for (const one of added) expect(await isDone(one)).toBe(true)
    expect(subscriptions.isConnected).toBe(false)
  })

  test('ends at once while there is no connection, and the channel is subscribed with the next one', async () => {
    redis.lose()
    expect(await isDone(subscriptions.add('ann'))).toBe(true)
    redis.connectAgain()
    await settled()
    expect([...redis.channels]).toEqual(['ann'])
  })

  test('ends when the channel is given up', async () => {
    hold()
    const added = subscriptions.add('ann')
    subscriptions.remove('ann')
    expect(await isDone(added)).toBe(true)
  })

  test('does not end with an answer from before the channel was given up', async () => {
    hold()
    for (let time = 0; time < 2; time += 1) {
      void subscriptions.add('ann')
      await settled()
      subscriptions.remove('ann')
      await settled()
    }
    redis.answer()
    await settled()
    const added = subscriptions.add('ann')
    // In the turn in which the channel is asked for again.
    for (let answer = 0; answer < 3; answer += 1) {
      redis.answer()
      await Promise.resolve()
    }
    expect(await isDone(added)).toBe(false)
    expect(redis.channels.has('ann')).toBe(true)
    redis.answer()
    expect(await isDone(added)).toBe(true)
  })
})

describe('what is asked of Redis', () => {
  test('in one turn goes in one command, up to 500 channels', async () => {
    const channels = Array.from({ length: 1200 }, (_, index) => `user${index}`)
    await Promise.all(channels.map((channel) => subscriptions.add(channel)))
    expect(redis.argsOf('subscribe').map(({ length }) => length)).toEqual([500, 500, 200])
    for (const channel of channels) subscriptions.remove(channel)
    await settled()
    expect(redis.argsOf('unsubscribe').map(({ length }) => length)).toEqual([500, 500, 200])
  })

  test('on a new connection is what is wanted then, and a gap is told once it is confirmed', async () => {
    await Promise.all(['ann', 'bob'].map((channel) => subscriptions.add(channel)))
    redis.lose()
    subscriptions.remove('ann')
    const before = gaps
    hold()
    redis.connectAgain()
    await settled()
    expect(redis.argsOf('subscribe').at(-1)).toEqual(['bob'])
    expect(gaps).toBe(before)
    redis.answer()
    await settled()
    expect(gaps).toBe(before + 1)
    expect(redis.argsOf('unsubscribe')).toEqual([])
  })

  test('is asked over another connection when its outcome is not known, and no gap is told before', async () => {
    hold()
    void subscriptions.add('ann')
    await settled()
    const before = gaps
    redis.lose()
    await settled()
    expect(redis.disconnects).toBe(1)
    expect(gaps).toBe(before)
  })

  test('a ping every second, only while there is a connection', async () => {
    await clock.advance(3_000)
    expect(redis.argsOf('ping')).toHaveLength(3)
    redis.lose()
    await clock.advance(3_000)
    expect(redis.argsOf('ping')).toHaveLength(3)
  })
})

describe('a channel that Redis refuses', () => {
  const refused = "NOPERM this user has no permissions to access the 'msg:user:ann' channel"

  test('makes it count as not connected, is asked for once a second on the same connection, and told once', async () => {
    refuse('subscribe', refused)
    expect(await isDone(subscriptions.add('ann'))).toBe(true)
    expect(subscriptions.isConnected).toBe(false)
    await clock.advance(10_000)
    expect(redis.argsOf('subscribe')).toHaveLength(11)
    expect(redis.disconnects).toBe(0)
    expect(logs.shown).toEqual([`warn: Redis fails (${refused})`])
  })

  test('is told again when the reason changes, and when it is over; then a gap is told', async () => {
    refuse('subscribe', refused)
    await subscriptions.add('ann')
    await settled()
    refuse('subscribe', 'NOPERM something else')
    await clock.advance(1_000)
    const before = gaps
    redis.fate = () => 'done'
    await clock.advance(1_000)
    expect(subscriptions.isConnected).toBe(true)
    expect(gaps).toBe(before + 1)
    expect([...redis.channels]).toEqual(['ann'])
    expect(logs.shown).toEqual([
      `warn: Redis fails (${refused})`,
      'warn: Redis fails (NOPERM something else)',
      'info: Redis works again',
    ])
    await clock.advance(10_000)
    expect(redis.argsOf('subscribe')).toHaveLength(3)
  })

  test('holds up nobody who comes meanwhile', async () => {
    refuse('subscribe', refused)
    await subscriptions.add('ann')
    await settled()
    expect(await isDone(subscriptions.add('bob'))).toBe(true)
    redis.fate = () => 'done'
    await clock.advance(1_000)
    expect([...redis.channels].sort()).toEqual(['ann', 'bob'])
  })

  test('to be given up goes on to be heard, which is told and nothing more', async () => {
    await subscriptions.add('ann')
    refuse('unsubscribe', "NOPERM this user has no permissions to run the 'unsubscribe' command")
    subscriptions.remove('ann')
    await clock.advance(5_000)
    expect(subscriptions.isConnected).toBe(true)
    expect(redis.disconnects).toBe(0)
    expect(logs.shown).toHaveLength(1)
    redis.fate = () => 'done'
    await subscriptions.add('bob')
    subscriptions.remove('bob')
    await settled()
    expect(logs.shown.at(-1)).toBe('info: Redis works again')
  })
})

test('a payload that cannot be handled is told of once, without what it holds, and those after it arrive', async () => {
  const heard: string[] = []
  subscriptions.onMessage('presence:', (_, payload) => {
    if (payload.startsWith('bad')) throw new SyntaxError(`Unexpected token in ${payload}`)
    heard.push(payload)
  })
  for (const payload of ['good 1', 'bad canary', 'bad canary', 'good 2']) redis.emit('message', 'presence:bob', payload)
  expect(heard).toEqual(['good 1', 'good 2'])
  const reason = 'what was published cannot be understood, and was dropped'
  expect(logs.shown).toEqual([`warn: Redis fails (${reason})`, 'info: Redis works again'])
  expect(logs.lines.join()).not.toContain('canary')
})
