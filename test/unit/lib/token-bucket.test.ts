import { describe, expect, test } from 'vitest'
import { TokenBuckets } from '../../../src/lib/token-bucket.ts'

/** How many of `count` attempts at one moment succeed. */
const successes = (buckets: TokenBuckets<string>, key: string, count: number, nowMs: number) =>
  Array.from({ length: count }, () => buckets.take(key, nowMs)).filter((waitMs) => waitMs === 0).length

describe('token buckets', () => {
  test('allow twice the rate at once and the rate from then on', () => {
    const buckets = new TokenBuckets<string>(10)
    expect(successes(buckets, 'ann', 100, 0)).toBe(20)
    expect(successes(buckets, 'ann', 100, 500)).toBe(5)
    expect(successes(buckets, 'ann', 100, 1500)).toBe(10)
  })

  test('say after how long there will be a token', () => {
    const buckets = new TokenBuckets<string>(10)
    successes(buckets, 'ann', 20, 0)
    expect(buckets.take('ann', 40)).toBe(60)
    expect(buckets.take('ann', 100)).toBe(0)
  })

  test('say so without taking one, and take back what was taken, up to the burst', () => {
    const buckets = new TokenBuckets<string>(10)
    expect(buckets.waitMs('ann', 0)).toBe(0)
    successes(buckets, 'ann', 20, 0)
    expect([buckets.waitMs('ann', 40), buckets.waitMs('ann', 40), buckets.waitMs('ann', 100)]).toEqual([60, 60, 0])
    buckets.giveBack('ann')
    buckets.giveBack('bob')
    expect(successes(buckets, 'ann', 5, 0)).toBe(1)
    for (let times = 0; times < 30; times += 1) buckets.giveBack('ann')
    expect([successes(buckets, 'ann', 30, 0), successes(buckets, 'bob', 30, 0)]).toEqual([20, 20])
    expect(new TokenBuckets<string>(0).waitMs('ann', 0)).toBe(0)
  })

  test('are one for each key', () => {
    const buckets = new TokenBuckets<string>(1)
    expect(successes(buckets, 'ann', 5, 0)).toBe(2)
    expect(successes(buckets, 'bob', 5, 0)).toBe(2)
  })

  test('never hold more than the burst, and never less because a clock went back', () => {
    const buckets = new TokenBuckets<string>(10)
    successes(buckets, 'ann', 20, 1_000_000)
    expect(successes(buckets, 'ann', 5, 0)).toBe(0)
    expect(successes(buckets, 'ann', 100, 9_000_000)).toBe(20)
  })

  test('give what costs more than the burst, and then wait until that is paid', () => {
    const buckets = new TokenBuckets<string>(10)
    expect(buckets.take('ann', 0, 50)).toBe(0)
    expect(buckets.take('ann', 0)).toBe(3100)
    expect(successes(buckets, 'ann', 100, 3099)).toBe(0)
    expect(successes(buckets, 'ann', 100, 3100)).toBe(1)
  })

  test('without a limit let everything pass', () => {
    expect(successes(new TokenBuckets<string>(0), 'ann', 1000, 0)).toBe(1000)
  })

  test('forget those that have filled up before those in use', () => {
    const buckets = new TokenBuckets<number>(1)
    buckets.take(-1, 100_000)
    buckets.take(-1, 100_000)
    for (let key = 0; key <= 100_000; key += 1) buckets.take(key, key < 50_000 ? 0 : 100_000)
    expect(buckets.take(-1, 100_000)).toBeGreaterThan(0)
  })
})
