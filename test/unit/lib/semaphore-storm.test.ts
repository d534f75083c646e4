// A storm of connections waits at a semaphore: what that costs must grow with how many they are, not with their square.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Clock } from '../../../src/lib/clock.ts'
import { Semaphore, WaitedTooLong } from '../../../src/lib/semaphore.ts'
import { type ArrayMoves, countArrayMoves } from '../../support/array-moves.ts'

const WAITERS = 60_000
let moves: ArrayMoves

beforeEach(() => {
  moves = countArrayMoves()
})
afterEach(() => moves.stop())

/** Takes the only place; the returned function gives it back. */
function occupied(semaphore: Semaphore): () => void {
  let release = (): void => undefined
  void semaphore.run(
    () =>
      new Promise<void>((resolve) => {
        release = resolve
      }),
  )
  return () => release()
}

test('60,000 waiters have their turns in order, at a cost that does not grow with their number', async () => {
  const semaphore = new Semaphore(1)
  const release = occupied(semaphore)
  let next = 0
  let outOfOrder = 0
  const all = Array.from({ length: WAITERS }, (_, index) =>
    semaphore.run(async () => {
      if (index !== next) outOfOrder += 1
      next += 1
    }),
  )
  expect(semaphore.waiting).toBe(WAITERS)
  const before = moves.count
  release()
  await Promise.all(all)
  expect([next, outOfOrder, semaphore.waiting]).toEqual([WAITERS, 0, 0])
  expect(moves.count - before).toBeLessThan(100 * WAITERS)
})

test('60,000 waiters give up, the last first, at a cost that does not grow with their number', async () => {
  const semaphore = new Semaphore(1)
  const release = occupied(semaphore)
  const timers: (() => void)[] = []
  const clock: Clock = {
    now: () => 0,
    after(_delayMs, task) {
      timers.push(task)
      return () => undefined
    },
  }
  let reached = 0
  const reach = async (): Promise<void> => {
    reached += 1
  }
  const all = Array.from({ length: WAITERS }, () =>
    semaphore.run(reach, { clock, ms: 1 }).catch((error: unknown) => error),
  )
  const before = moves.count
  for (let index = WAITERS - 1; index >= 0; index -= 1) timers[index]?.()
  expect(semaphore.waiting).toBe(0)
  release()
  const outcomes = await Promise.all(all)
  expect(outcomes.every((outcome) => outcome instanceof WaitedTooLong)).toBe(true)
  expect(reached).toBe(0)
  expect(moves.count - before).toBeLessThan(100 * WAITERS)
})
