// Who takes jobs, how many are under way, and what is reported of them when.
import { expect, test } from 'vitest'
import { Dispatcher } from '../../../src/push/dispatcher.ts'
import type { EndedJob, HeldJob } from '../../../src/push/job.ts'
import type { RanJob } from '../../../src/push/job-run.ts'
import type { Verdict } from '../../../src/push/subscription.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { heldJob } from '../../support/push-jobs.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const SENT: RanJob = {
  end: { end: 'done', isPushed: true },
  verdicts: [{ id: 'a', kind: 'sent' }],
  outcome: 'sent',
}

const BROKEN: RanJob = {
  end: { end: 'again', isPushed: false, afterSeconds: 5, isFailure: true, sentTo: [] },
  verdicts: [],
  outcome: 'waits',
}

interface Scene {
  readonly due?: number
  /** How long a push takes, and a report; milliseconds. */
  readonly pushMs?: number
  readonly settleMs?: number
  /** How long it takes until jobs that were taken are here. */
  readonly claimMs?: number
  readonly ran?: (job: HeldJob) => RanJob
}

function bench({ due = 0, pushMs = 0, settleMs = 0, claimMs = 0, ran = () => SENT }: Scene = {}) {
  const clock = new FakeClock()
  const state = { isAway: false, pushMs, underWay: 0, mostUnderWay: 0, claims: 0 }
  const waiting = Array.from({ length: due }, (_, index) => heldJob({ conversationId: index + 1 }))
  const begun: number[] = []
  const broken: number[] = []
  const received: number[] = []
  const settles: (readonly EndedJob[])[] = []
  const verdicts: Verdict[] = []
  const failures = new Set<string>()
  const counts = { cancelled: 0, givenUp: 0, lags: 0 }
  const lags: number[] = []
  const pause = (ms: number): Promise<void> | undefined =>
    ms === 0 ? undefined : new Promise((resolve) => clock.after(ms, resolve))
  const answer = <T>(value: T): T => {
    if (state.isAway) throw new Error('the database is away')
    return value
  }
  const dispatcher = new Dispatcher({
    jobs: {
      claim: async (limit) => {
        state.claims += 1
        const claimed = answer(waiting.splice(0, limit))
        await pause(claimMs)
        return claimed
      },
      settle: async (ended) => {
        await pause(settleMs)
        answer(undefined)
        settles.push(ended)
        state.underWay -= ended.filter(({ job }) => begun.includes(job.conversationId)).length
      },
    },
    subscriptions: { note: async (some) => void verdicts.push(...answer(some)) },
    run: async (job) => {
      begun.push(job.conversationId)
      state.underWay += 1
      state.mostUnderWay = Math.max(state.mostUnderWay, state.underWay)
      await pause(state.pushMs)
      return ran(job)
    },
    received: ({ conversationId }) => void received.push(conversationId),
    broken: (job) => {
      broken.push(job.conversationId)
      return BROKEN
    },
    clock,
    logger: silentLogger,
    health: { failed: (part) => void failures.add(part), works: (part) => void failures.delete(part) },
    observer: {
      pushesCancelled: (count) => (counts.cancelled += count),
      pushesGivenUp: (count) => (counts.givenUp += count),
      pushLag: (seconds) => {
        counts.lags += 1
        lags.push(seconds)
      },
    },
  })
  const told = (): number => settles.flat().length
  /** Past the start, at which little is under way. */
  const warm = async (): Promise<void> => {
    const later = waiting.splice(0)
    for (let count = 0; count < 64; count += 1) {
      for (let job = 0; job < 20; job += 1) waiting.push(heldJob())
      dispatcher.wake()
      await clock.advance(20 * (pushMs + settleMs + 1))
    }
    waiting.push(...later)
    for (const list of [begun, settles, verdicts]) list.length = 0
    state.mostUnderWay = 0
  }
  return {
    clock,
    state,
    waiting,
    begun,
    broken,
    received,
    settles,
    verdicts,
    failures,
    counts,
    lags,
    dispatcher,
    told,
    warm,
  }
}

test('what is due is taken when somebody wakes it, sent, reported, and noted', async () => {
  const { clock, settles, verdicts, counts, dispatcher } = bench({ due: 3 })
  dispatcher.wake()
  for (let step = 0; step < 5; step += 1) await clock.advance(10)
  expect(settles.flat().map(({ job, end }) => [job.conversationId, end.end])).toEqual([
    [1, 'done'],
    [2, 'done'],
    [3, 'done'],
  ])
  expect(verdicts).toEqual([])
  await clock.advance(100)
  expect(verdicts).toHaveLength(3)
  expect(counts).toEqual({ cancelled: 0, givenUp: 0, lags: 3 })
})

test('nobody has to wake it: it looks once a second', async () => {
  const { clock, state, waiting, dispatcher, told } = bench()
  dispatcher.wake()
  await settled()
  waiting.push(heldJob())
  await clock.advance(900)
  expect([told(), state.claims]).toEqual([0, 1])
  await clock.advance(200)
  expect(told()).toBe(1)
})

test('what is under way counts until it is reported: one at first, ten at most, for so many a kill repeats', async () => {
  const { clock, state, waiting, dispatcher, told } = bench({ due: 200, pushMs: 3, settleMs: 20 })
  dispatcher.wake()
  await settled()
  // The others are not to wait for its lease.
  expect(waiting).toHaveLength(196)
  await clock.advance(400)
  expect(state.mostUnderWay).toBe(1)
  await clock.advance(5_000)
  expect([told(), state.mostUnderWay]).toEqual([200, 10])
})

test('where the way is longer more are under way, up to all that it may hold', async () => {
  for (const [pushMs, expected] of [
    [40, 32],
    [400, 64],
  ] as const) {
    const { clock, state, dispatcher, warm } = bench({ due: 100, pushMs })
    await warm()
    dispatcher.wake()
    await clock.advance(3_000)
    // Little more: what was measured a moment ago counts a little more than it was.
    expect(Math.floor(state.mostUnderWay / 1.1)).toBeLessThanOrEqual(expected)
    expect(state.mostUnderWay).toBeGreaterThanOrEqual(expected)
  }
})

test('a push service that becomes slow under a load does not get more of it at once', async () => {
  const { clock, state, dispatcher, warm } = bench({ due: 900, pushMs: 10 })
  await warm()
  state.pushMs = 1_000
  dispatcher.wake()
  await clock.advance(15_000)
  expect(state.mostUnderWay).toBeLessThan(13)
  // Minutes later it is believed that the way has become longer.
  await clock.advance(60_000)
  expect(state.mostUnderWay).toBeGreaterThan(15)
})

test('what ends in one turn of the loop is reported by one statement', async () => {
  const { clock, settles, dispatcher, warm } = bench({ due: 10, settleMs: 20 })
  await warm()
  dispatcher.wake()
  await clock.advance(100)
  expect(settles.map(({ length }) => length)).toEqual([10])
})

test('reports gather while the one before is written', async () => {
  const { clock, settles, dispatcher, warm } = bench({ due: 10, pushMs: 5, settleMs: 20 })
  await warm()
  dispatcher.wake()
  await clock.advance(100)
  expect(settles.map(({ length }) => length)).toEqual([1, 9])
})

test('while nothing can be reported nothing more is sent, and then everything is reported', async () => {
  const { clock, state, begun, failures, dispatcher, told, warm } = bench({ due: 30, pushMs: 5 })
  await warm()
  dispatcher.wake()
  await settled()
  state.isAway = true
  await clock.advance(3_000)
  expect([begun.length, told()]).toEqual([10, 0])
  expect(failures).toContain('ends of notifications')
  state.isAway = false
  await clock.advance(1_500)
  expect(told()).toBe(30)
  expect(failures.size).toBe(0)
})

test('what was not begun in time is left to its lease', async () => {
  const { clock, begun, dispatcher, told } = bench({ due: 30, pushMs: 4_500 })
  dispatcher.wake()
  await clock.advance(20_000)
  // The first of each four that were taken.
  expect(begun).toEqual([1, 5, 9, 13, 17])
  expect(told()).toBe(4)
})

test('at the end what is under way is reported, and what was not begun is given back at once', async () => {
  const { clock, state, begun, settles, verdicts, dispatcher, warm } = bench({ due: 30, pushMs: 5 })
  await warm()
  dispatcher.wake()
  await settled()
  const closed = dispatcher.close()
  await clock.advance(200)
  await closed
  const ends = settles.flat().map(({ end }) => end)
  expect(ends.filter(({ end }) => end === 'done')).toHaveLength(10)
  expect(ends.filter(({ end }) => end === 'again')).toHaveLength(20)
  expect(ends.find(({ end }) => end === 'again')).toMatchObject({ afterSeconds: 0, isFailure: false, sentTo: [] })
  expect([begun.length, verdicts.length]).toEqual([10, 10])
  const { claims } = state
  dispatcher.wake()
  await clock.advance(5_000)
  expect([state.claims, clock.pending]).toEqual([claims, 0])
})

test('the end does not wait for a database that is away', async () => {
  const { clock, state, dispatcher, told } = bench({ due: 5, pushMs: 5 })
  dispatcher.wake()
  await settled()
  state.isAway = true
  let isClosed = false
  const closed = dispatcher.close().then(() => {
    isClosed = true
  })
  await clock.advance(1_500)
  await closed
  expect([isClosed, told()]).toEqual([true, 0])
})

test('what was taken from another history and not begun is forgotten', async () => {
  const { clock, begun, dispatcher, warm } = bench({ due: 30, pushMs: 5 })
  await warm()
  dispatcher.wake()
  await settled()
  dispatcher.historyChanged()
  await clock.advance(500)
  expect(begun).toHaveLength(10)
})

test('what was being taken when the history became another one is forgotten, and more is asked for', async () => {
  const { clock, state, begun, dispatcher } = bench({ due: 1, claimMs: 20 })
  dispatcher.wake()
  await clock.advance(10)
  dispatcher.historyChanged()
  await clock.advance(15)
  expect([begun, state.claims]).toEqual([[], 2])
})

test('cancelled and given up are counted, and one that breaks is reported as a failure', async () => {
  const { clock, broken, settles, counts, dispatcher, told } = bench({
    due: 3,
    ran: ({ conversationId }) => {
      if (conversationId === 2) throw new Error('broken')
      return { ...SENT, outcome: conversationId === 1 ? 'cancelled' : 'given_up' }
    },
  })
  dispatcher.wake()
  await clock.advance(500)
  expect([told(), counts]).toEqual([3, { cancelled: 1, givenUp: 1, lags: 0 }])
  expect(broken).toEqual([2])
  expect(settles.flat().find(({ job }) => job.conversationId === 2)?.end).toBe(BROKEN.end)
})

test('one that never ends is reported as a failure, and holds up neither the others nor the end', async () => {
  const never = 1e9
  const { clock, state, broken, dispatcher, told } = bench({ due: 1, pushMs: never })
  dispatcher.wake()
  await settled()
  state.pushMs = 0
  const closed = dispatcher.close()
  await clock.advance(12_000)
  await closed
  expect([broken, told()]).toEqual([[1], 1])
})

test('one that was called off by a receipt is handed back, unless all was read', async () => {
  const { clock, waiting, received, dispatcher } = bench({
    ran: () => ({ end: { end: 'kept' }, verdicts: [], outcome: 'cancelled' }),
  })
  waiting.push(
    heldJob({ conversationId: 1, isNeeded: false }),
    heldJob({ conversationId: 2, isNeeded: false, isUnread: false }),
    heldJob({ conversationId: 3, isNeeded: false, kind: 'clear' }),
    heldJob({ conversationId: 4, targets: [] }),
  )
  dispatcher.wake()
  await clock.advance(500)
  expect(received).toEqual([1])
})

test('the lag is that of the answer of the push service', async () => {
  const { clock, lags, dispatcher } = bench({ due: 1, claimMs: 500, pushMs: 2_000 })
  dispatcher.wake()
  await clock.advance(3_000)
  // A second old when it was taken.
  expect(lags).toEqual([3.5])
})

test('a job that took long to be taken has so much less time to be begun', async () => {
  const { clock, begun, dispatcher } = bench({ due: 1, claimMs: 4_500 })
  dispatcher.wake()
  await clock.advance(5_000)
  expect(begun).toEqual([])
})
