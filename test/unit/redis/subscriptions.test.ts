import { EventEmitter } from 'node:events'
import { beforeEach, expect, test } from 'vitest'
import type { Redis } from '../../../src/redis/client.ts'
import { Subscriptions } from '../../../src/redis/subscriptions.ts'
import { silentLogger } from '../../support/databases.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

/** A Redis that does what it is told at once, in order, and answers when the test says so. */
class SlowRedis extends EventEmitter {
  readonly status = 'ready'
  readonly channels = new Set<string>()
  readonly #answers: (() => void)[] = []

  subscribe(...channels: string[]): Promise<void> {
    for (const channel of channels) this.channels.add(channel)
    return this.#answered()
  }

  unsubscribe(...channels: string[]): Promise<void> {
    for (const channel of channels) this.channels.delete(channel)
    return this.#answered()
  }

  /** Gives the earliest answer that is due. */
  answer(): void {
    this.#answers.shift()?.()
  }

  #answered(): Promise<void> {
    return new Promise((resolve) => this.#answers.push(resolve))
  }
}

let redis: SlowRedis
let subscriptions: Subscriptions

beforeEach(async () => {
  redis = new SlowRedis()
  subscriptions = new Subscriptions(redis as unknown as Redis, new FakeClock(), silentLogger)
  await settled()
})

test('an answer from before a channel was given up confirms nothing', async () => {
  for (let time = 0; time < 2; time += 1) {
    void subscriptions.add('ann')
    await settled()
    subscriptions.remove('ann')
    await settled()
  }
  redis.answer()
  await settled()
  let isConfirmed = false
  const added = subscriptions.add('ann').then(() => {
    isConfirmed = true
  })
  // In the turn in which the channel is asked for again.
  for (let answer = 0; answer < 3; answer += 1) {
    redis.answer()
    await Promise.resolve()
  }
  await settled()
  expect(redis.channels.has('ann')).toBe(true)
  expect(isConfirmed).toBe(false)
  redis.answer()
  await added
})
