import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TimerWheel } from '../../../src/lib/timer-wheel.ts'
import { FakeClock } from '../../support/fake-clock.ts'

describe('a timer wheel', () => {
  test('runs each task at its time or up to a second later, in order, and never before', async () => {
    const run = fc.asyncProperty(fc.array(fc.nat(20_000), { maxLength: 40 }), async (delays) => {
      const clock = new FakeClock()
      const wheel = new TimerWheel(clock, clock)
      const startMs = clock.now()
      const ran: { delay: number; atMs: number }[] = []
      for (const delay of delays) wheel.at(startMs + delay, () => ran.push({ delay, atMs: clock.now() - startMs }))
      await clock.advance(22_000)
      expect(ran.map(({ delay }) => delay).sort()).toEqual([...delays].sort())
      for (const { delay, atMs } of ran) {
        expect(atMs).toBeGreaterThanOrEqual(delay)
        expect(atMs).toBeLessThanOrEqual(delay + 1_000)
      }
      expect(ran.map(({ atMs }) => atMs)).toEqual(ran.map(({ atMs }) => atMs).sort((a, b) => a - b))
    })
    await fc.assert(run, { seed: 18, numRuns: 20 })
  })

  test('holds one timer, and none once nothing waits', async () => {
    const clock = new FakeClock()
    const wheel = new TimerWheel(clock, clock)
    for (let task = 0; task < 100; task += 1) wheel.at(clock.now() + 5_000, () => undefined)
    expect(clock.pending).toBe(1)
    await clock.advance(6_000)
    expect(clock.pending).toBe(0)
  })

  test('does not run what was cancelled, also by a task of the same moment', async () => {
    const clock = new FakeClock()
    const wheel = new TimerWheel(clock, clock)
    const ran: string[] = []
    const atMs = clock.now() + 2_000
    wheel.at(atMs, () => {
      ran.push('first')
      cancelSecond()
    })
    const cancelSecond = wheel.at(atMs, () => ran.push('second'))
    wheel.at(atMs, () => ran.push('third'))()
    await clock.advance(4_000)
    expect(ran).toEqual(['first'])
  })

  test('follows a time that is set back: a task is no later than a second after it', async () => {
    const clock = new FakeClock()
    let setMs = 0
    const time = { epochMs: () => clock.now() + setMs }
    const wheel = new TimerWheel(clock, time)
    const ran: number[] = []
    wheel.at(time.epochMs() + 5_000, () => ran.push(time.epochMs()))
    setMs = -3_600_000
    await clock.advance(1_000)
    const atMs = time.epochMs() + 2_000
    wheel.at(atMs, () => ran.push(time.epochMs()))
    await clock.advance(3_000)
    expect(ran).toHaveLength(1)
    expect(ran[0]).toBeLessThanOrEqual(atMs + 1_000)
  })

  test('runs everything that fell due while the process stood still', () => {
    let nowMs = 0
    const timers: (() => void)[] = []
    const after = (_: number, task: () => void) => {
      timers.push(task)
      return () => undefined
    }
    const wheel = new TimerWheel({ after }, { epochMs: () => nowMs })
    const ran: number[] = []
    for (const delay of [86_400_000, 3_000, 3_600_000]) wheel.at(delay, () => ran.push(delay))
    nowMs = 100_000_000
    timers[0]?.()
    expect(ran).toEqual([3_000, 3_600_000, 86_400_000])
  })
})
