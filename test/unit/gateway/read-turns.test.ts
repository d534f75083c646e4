import { expect, test } from 'vitest'
import { ReadTurns } from '../../../src/gateway/read-turns.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

/** As the turns have it. */
const AT_ONCE = 64
const WAITING = 1_024

function readsOf() {
  const clock = new FakeClock()
  const turns = new ReadTurns(clock)
  const open: (() => void)[] = []
  const read = (): Promise<string> => new Promise((resolve) => open.push(() => resolve('read')))
  const outcomes: string[] = []
  const ask = (user: string): void => {
    turns.run(user, read).then(
      (outcome) => outcomes.push(outcome),
      (error: unknown) => outcomes.push(error instanceof Error && 'code' in error ? String(error.code) : String(error)),
    )
  }
  return { clock, turns, open, outcomes, ask }
}

test('one user reads so much at a time and no more waits than may; everybody else goes on', async () => {
  const { turns, open, outcomes, ask } = readsOf()
  for (let asked = 0; asked < AT_ONCE + WAITING + 3; asked += 1) ask('ann')
  ask('bob')
  await settled()
  expect(open.length).toBe(AT_ONCE + 1)
  expect(outcomes).toEqual(['rate_limited', 'rate_limited', 'rate_limited'])
  while (open.length > 0) {
    open.shift()?.()
    await settled()
  }
  expect(outcomes.filter((outcome) => outcome === 'read')).toHaveLength(AT_ONCE + WAITING + 1)
  expect(turns.users).toBe(0)
})

test('a read that waits too long is given up, and nothing of it stays', async () => {
  const { clock, turns, open, outcomes, ask } = readsOf()
  for (let asked = 0; asked < AT_ONCE + 1; asked += 1) ask('ann')
  await settled()
  await clock.advance(2_000)
  expect(outcomes).toEqual(['WaitedTooLong: nothing became free within 2000 ms'])
  for (const answer of open) answer()
  await settled()
  expect(turns.users).toBe(0)
})
