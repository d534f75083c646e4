import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { backoffMs } from '../../../src/lib/backoff.ts'
import { chunks } from '../../../src/lib/chunks.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { reasonOf } from '../../../src/lib/errors.ts'
import { Semaphore } from '../../../src/lib/semaphore.ts'
import { uuidv7 } from '../../../src/lib/uuid.ts'
import { settled } from '../../support/fake-clock.ts'

describe('the clock of the system', () => {
  test('runs nothing before its time, also where that is no whole millisecond', async () => {
    const askedMs = systemClock.now()
    const wait = (delayMs: number): Promise<number> =>
      new Promise((resolve) => systemClock.after(delayMs, () => resolve(systemClock.now() - askedMs - delayMs)))
    const lateMs = await Promise.all(Array.from({ length: 40 }, (_, index) => wait(index + 0.9)))
    expect(lateMs.filter((ms) => ms < 0)).toEqual([])
  })

  test('runs nothing that was taken back', async () => {
    const done: string[] = []
    const takeBack = systemClock.after(0, () => done.push('taken back'))
    takeBack()
    await new Promise<void>((resolve) => systemClock.after(2, resolve))
    expect(done).toEqual([])
  })
})

describe('a semaphore', () => {
  test('runs no more tasks at a time than it has places, in order of arrival', async () => {
    const semaphore = new Semaphore(2)
    const started: number[] = []
    const release: (() => void)[] = []
    const tasks = [0, 1, 2, 3, 4].map((task) =>
      semaphore.run(() => {
        started.push(task)
        return new Promise<number>((resolve) => release.push(() => resolve(task)))
      }),
    )
    await settled()
    expect(started).toEqual([0, 1])
    release[1]?.()
    await settled()
    expect(started).toEqual([0, 1, 2])
    for (let task = 0; task < 5; task += 1) {
      release[task]?.()
      await settled()
    }
    expect(await Promise.all(tasks)).toEqual([0, 1, 2, 3, 4])
  })

  test('gives the place of a task that failed to the next', async () => {
    const semaphore = new Semaphore(1)
    const failing = semaphore.run(() => Promise.reject(new Error('no')))
    const throwing = semaphore.run(() => {
      throw new Error('thrown')
    })
    const next = semaphore.run(async () => 'next')
    await expect(failing).rejects.toThrow('no')
    await expect(throwing).rejects.toThrow('thrown')
    expect(await next).toBe('next')
    expect(await semaphore.run(async () => 'later')).toBe('later')
  })

  test('never exceeds its places, whoever comes when', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 8 }),
        async (scheduler, places, count) => {
          const semaphore = new Semaphore(places)
          let running = 0
          const task = async () => {
            running += 1
            expect(running).toBeLessThanOrEqual(places)
            await scheduler.schedule(Promise.resolve())
            running -= 1
          }
          const come = async () => {
            await scheduler.schedule(Promise.resolve())
            await semaphore.run(task)
          }
          await scheduler.waitFor(Promise.all(Array.from({ length: count }, come)))
          expect(running).toBe(0)
        },
      ),
    )
  })
})

describe('back-off', () => {
  const limits = { firstMs: 10, maxMs: 500 }

  test('doubles from attempt to attempt up to its maximum', () => {
    const longest = [0, 1, 2, 3, 4, 5, 6, 7, 1000].map((attempt) => backoffMs(attempt, limits, 0.999_999))
    expect(longest).toEqual([10, 20, 40, 80, 160, 320, 500, 500, 500])
  })

  test('spreads over everything from nothing to that', () => {
    expect(backoffMs(3, limits, 0)).toBe(0)
    expect(backoffMs(3, limits, 0.5)).toBe(40)
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
        const ms = backoffMs(attempt, limits, random)
        return Number.isInteger(ms) && ms >= 0 && ms <= 500
      }),
    )
  })
})

describe('a UUID of version 7', () => {
  const PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

  test('has its time also when it is the first of the process and the time is zero', async () => {
    vi.resetModules()
    const fresh = await import('../../../src/lib/uuid.ts')
    expect(fresh.uuidv7(0)).toMatch(/^00000000-0000-7/)
  })

  test('has its form and its time, and sorts by it', () => {
    const times = fc.integer({ min: 0, max: 2 ** 48 - 1 })
    fc.assert(
      fc.property(times, times, (a, b) => {
        const [one, other] = [uuidv7(a), uuidv7(b)]
        expect(one).toMatch(PATTERN)
        expect(Number.parseInt(one.slice(0, 13).replace('-', ''), 16)).toBe(a)
        if (a !== b) expect(one < other).toBe(a < b)
      }),
    )
  })

  test('is never given twice', () => {
    expect(new Set(Array.from({ length: 10_000 }, () => uuidv7(1))).size).toBe(10_000)
  })
})

test('the reason of an error is its message, and of anything else its text', () => {
  expect([reasonOf(new Error('no')), reasonOf('text'), reasonOf(undefined), reasonOf({})]).toEqual([
    'no',
    'text',
    'undefined',
    '[object Object]',
  ])
})

describe('chunks', () => {
  test('hold all items in order, as few chunks as there can be', () => {
    expect(chunks([], 2)).toEqual([])
    expect(chunks([1, 2], 2)).toEqual([[1, 2]])
    expect(chunks([1, 2, 3, 4, 5], 2)).toEqual([[1, 2], [3, 4], [5]])
  })
})
