import { expect, test } from 'vitest'
import { fateOf, type PushFate } from '../../../src/push/answer.ts'
import { Breaker } from '../../../src/push/breaker.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function bench() {
  const clock = new FakeClock()
  const closed: [string, number][] = []
  const breaker = new Breaker(clock, (host, seconds) => closed.push([host, seconds]))
  const answer = (fate: PushFate, times = 1, userOf = (time: number) => `user ${time}`): void => {
    for (let time = 0; time < times; time += 1) breaker.answered('h', userOf(time), fate)
  }
  return { clock, closed, breaker, answer }
}

test.each<[number, number | undefined, PushFate]>([
  [200, undefined, 'sent'],
  [201, undefined, 'sent'],
  [301, undefined, 'failed'],
  [307, undefined, 'failed'],
  [400, undefined, 'bad'],
  [401, undefined, 'refused'],
  [403, undefined, 'refused'],
  [404, undefined, 'gone'],
  [408, undefined, 'failed'],
  [410, undefined, 'gone'],
  [413, undefined, 'too_large'],
  [429, undefined, 'busy'],
  [429, 30, 'busy'],
  [500, undefined, 'failed'],
  [503, undefined, 'failed'],
  [503, 30, 'busy'],
  [0, undefined, 'failed'],
])('status %i with Retry-After %s is %s', (status, retryAfter, fate) => {
  expect(fateOf(status, retryAfter)).toBe(fate)
})

test('ten failures in a row close a host, longer each time, and one success ends that', async () => {
  const { clock, closed, breaker, answer } = bench()
  answer('failed', 9)
  answer('sent')
  answer('failed', 9)
  expect(closed).toEqual([])
  answer('failed', 5)
  expect(closed).toEqual([['h', 5]])
  for (const seconds of [10, 20, 40]) {
    await clock.advance(breaker.closedSeconds('h') * 1000)
    answer('failed', 3)
    expect(closed.at(-1)).toEqual(['h', seconds])
  }
  await clock.advance(40_000)
  answer('sent')
  answer('failed', 9)
  expect(breaker.closedSeconds('h')).toBe(0)
})

test('a host may close itself for an hour at most', () => {
  const { closed, breaker } = bench()
  breaker.answered('h', 'ann', 'busy', 30)
  breaker.answered('h', 'ann', 'busy', 1e9)
  breaker.answered('other', 'ann', 'busy')
  expect(closed).toEqual([
    ['h', 30],
    ['h', 3_600],
    ['other', 60],
  ])
})

test('a refusal says something about a subscription only where the host takes nearly everything else', async () => {
  const { clock, closed, breaker, answer } = bench()
  answer('refused')
  expect(breaker.isTrusted('h')).toBe(false)
  answer('sent', 20)
  expect(breaker.isTrusted('h')).toBe(true)
  answer('refused', 10)
  expect([breaker.isTrusted('h'), closed]).toEqual([false, [['h', 300]]])
  await clock.advance(300_000)
  answer('sent')
  expect(breaker.isTrusted('h')).toBe(true)
  answer('refused')
  expect(breaker.isTrusted('h')).toBe(false)
  await clock.advance(60_000)
  answer('sent')
  expect(breaker.isTrusted('h')).toBe(true)
  await clock.advance(600_001)
  expect(breaker.isTrusted('h')).toBe(false)
})

test('no two people close a host to the others, however often it refuses them', () => {
  const { closed, answer } = bench()
  answer('sent', 5)
  answer('refused', 100, (time) => `user ${time % 2}`)
  expect(closed).toEqual([])
  answer('refused', 1, () => 'a third')
  expect(closed).toEqual([['h', 300]])
})

test.each(['gone', 'too_large', 'bad', 'refused', 'busy'] as const)(
  'an answer that is %s ends the row of failures',
  async (fate) => {
    const { clock, breaker, answer } = bench()
    answer('failed', 9)
    answer(fate)
    // Busy closes for a time of its own.
    await clock.advance(breaker.closedSeconds('h') * 1000)
    answer('failed', 9)
    expect(breaker.closedSeconds('h')).toBe(0)
    answer('failed')
    expect(breaker.closedSeconds('h')).toBe(5)
  },
)

test('a host that asks for no pause gets one of a second', () => {
  const { closed, breaker } = bench()
  breaker.answered('h', 'ann', 'busy', 0)
  expect(closed).toEqual([['h', 1]])
})
