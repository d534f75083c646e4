import { beforeEach, expect, test } from 'vitest'
import { ANSWER_LIMIT_MS } from '../../../src/telemetry/metrics-hub.ts'
import { ReadinessProbe } from '../../../src/telemetry/readiness.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const FULL = 'no space left'
let clock: FakeClock
let probe: ReadinessProbe
let isDraining: boolean
let checkFault: string | undefined
let checks: number
let hold: Promise<void> | undefined
let failed: { reason: string; atMs: number } | undefined
let trials: number
let trialFault: string | undefined
let degraded: string[]

beforeEach(() => {
  clock = new FakeClock()
  isDraining = false
  checkFault = undefined
  checks = 0
  hold = undefined
  failed = undefined
  trials = 0
  trialFault = undefined
  degraded = []
  const orReject = (fault: string | undefined): Promise<void> =>
    fault === undefined ? Promise.resolve() : Promise.reject(new Error(fault))
  probe = new ReadinessProbe({
    isDraining: () => isDraining,
    check: async () => {
      checks += 1
      await hold
      await orReject(checkFault)
    },
    failedCommit: () => failed,
    tryCommit: () => {
      trials += 1
      return orReject(trialFault)
    },
    authReasons: () => [],
    degradations: () => degraded,
    clock,
  })
})

const reasons = async (): Promise<readonly string[]> => (await probe.look()).reasons

function commitFails(): void {
  failed = { reason: FULL, atMs: clock.now() }
}

test('is ready when the database would store and nothing failed, without writing anything', async () => {
  expect(await probe.look()).toEqual({ reasons: [], degraded: [] })
  expect(trials).toBe(0)
})

test('is not ready while it drains, whatever else there is', async () => {
  isDraining = true
  checkFault = 'gone'
  expect(await reasons()).toEqual(['draining'])
})

test('is not ready when the database would not store, with its reason', async () => {
  checkFault = 'it is a standby'
  expect(await reasons()).toEqual(['database: it is a standby'])
})

test('is not ready right after a commit that failed, although the database answers, and is again after one success', async () => {
  commitFails()
  expect(await reasons()).toEqual([`database: ${FULL}`])
  expect(trials).toBe(0)
  failed = undefined
  expect(await reasons()).toEqual([])
})

test('stays so when nobody sends any more, until a commit of its own succeeds', async () => {
  commitFails()
  trialFault = FULL
  for (let time = 1; time <= 3; time += 1) {
    await clock.advance(1_000)
    expect(await reasons()).toEqual([`database: ${FULL}`])
    expect(trials).toBe(time)
  }
  trialFault = undefined
  await clock.advance(1_000)
  expect(await reasons()).toEqual([])
})

test('tries once a second at most, however many ask', async () => {
  commitFails()
  trialFault = FULL
  await clock.advance(1_000)
  expect(await Promise.all(Array.from({ length: 50 }, reasons))).toEqual(
    Array.from({ length: 50 }, () => [`database: ${FULL}`]),
  )
  await clock.advance(999)
  await reasons()
  expect(trials).toBe(1)
})

test('believes no commit of its own from before one that failed', async () => {
  commitFails()
  await clock.advance(1_000)
  expect(await reasons()).toEqual([])
  await clock.advance(1)
  commitFails()
  expect(await reasons()).toEqual([`database: ${FULL}`])
  trialFault = FULL
  await clock.advance(1_000)
  expect(await reasons()).toEqual([`database: ${FULL}`])
})

test('asks the database once for all who come together, and what is wrong anew a quarter of a second later', async () => {
  let answer: () => void = () => undefined
  hold = new Promise((resolve) => {
    answer = resolve
  })
  const together = [reasons(), reasons()]
  await clock.advance(1_000)
  together.push(reasons())
  answer()
  expect([await Promise.all(together), checks]).toEqual([[[], [], []], 1])
  checkFault = 'it is a standby'
  expect([await reasons(), checks]).toEqual([['database: it is a standby'], 2])
  checkFault = undefined
  await clock.advance(249)
  expect([await reasons(), checks]).toEqual([['database: it is a standby'], 2])
  await clock.advance(1)
  expect([await reasons(), checks]).toEqual([[], 3])
})

test('is ready without what it does not need, and says so', async () => {
  degraded = ['Redis: gone']
  expect(await probe.look()).toEqual({ reasons: [], degraded: ['Redis: gone'] })
})

test('tells a reader of metrics at once whether it is ready, also while the database does not answer', async () => {
  expect(await probe.isReady()).toBe(true)
  checkFault = 'away'
  expect(await probe.isReady()).toBe(false)
  const hanging = new ReadinessProbe({
    isDraining: () => false,
    check: () => new Promise(() => undefined),
    failedCommit: () => undefined,
    tryCommit: () => Promise.resolve(),
    authReasons: () => [],
    degradations: () => [],
    clock,
  })
  const told = hanging.isReady()
  await clock.advance(ANSWER_LIMIT_MS - 1)
  expect(await told).toBe(false)
  expect(clock.pending).toBe(0)
})
