import { expect, onTestFinished, test, vi } from 'vitest'
import { RestartPolicy } from '../../../src/lib/restart-policy.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function policyBench() {
  vi.spyOn(Math, 'random').mockReturnValue(1 - Number.EPSILON)
  onTestFinished(() => void vi.restoreAllMocks())
  const clock = new FakeClock()
  const policy = new RestartPolicy(clock)
  /** It ran for so long each time; the pause before each next start, which then follows at once. */
  return async (...durationsMs: readonly number[]): Promise<number[]> => {
    const pauses: number[] = []
    for (const ms of durationsMs) {
      await clock.advance(ms)
      pauses.push(policy.ended())
      policy.started()
    }
    return pauses
  }
}

test('the first restart is at once, each further one after twice the pause, up to ten seconds', async () => {
  const ran = policyBench()
  expect(await ran(0, 0, 0, 0)).toEqual([0, 100, 200, 400])
  expect((await ran(0, 0, 0, 0, 0, 0)).at(-1)).toBe(10_000)
})

test('what ran for more than half a minute is started again at once', async () => {
  const ran = policyBench()
  expect(await ran(0, 0, 30_000, 30_001, 0)).toEqual([0, 100, 200, 0, 100])
})

test('the time counts from the last start, not from the first', async () => {
  const ran = policyBench()
  expect(await ran(20_000, 20_000, 20_000)).toEqual([0, 100, 200])
})
