// How much of what may be under way a push service gets that takes seconds for an answer.
import { expect, test } from 'vitest'
import { Dispatcher } from '../../../src/push/dispatcher.ts'
import { HostLoad } from '../../../src/push/host-load.ts'
import type { HeldJob } from '../../../src/push/job.ts'
import { brokenJob, runJob } from '../../../src/push/job-run.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { heldJob, PUSH_KEYS, target } from '../../support/push-jobs.ts'
import { silentLogger } from '../../support/silent-logger.ts'

/** Milliseconds until these answer. */
const ANSWER_MS: Readonly<Record<string, number>> = { 'slow.example.com': 4_000, 'fcm.googleapis.com': 5 }

/** Jobs that were taken and not begun come back then. */
const LEASE_MS = 16_000
/** The same numbers each time. */
let state = 1
const random = (): number => {
  state = (state * 16_807) % 2_147_483_647
  return state / 2_147_483_647
}

/** A dispatcher with these jobs, and when each was told. */
function bench(hosts: readonly string[]) {
  const clock = new FakeClock()
  const due = hosts.map((host, index) => heldJob({ conversationId: index, targets: [target('a', { host })] }))
  const leases = new Map<HeldJob, () => void>()
  const told = new Map<string, number[]>()
  const pause = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const options = {
    delivery: {
      push: async ({ host }: { readonly host: string }) => {
        await pause(ANSWER_MS[host] ?? 0)
        told.set(host, [...(told.get(host) ?? []), clock.now()])
        return 'sent' as const
      },
    },
    breaker: { closedSeconds: () => 0, isTrusted: () => true },
    ...{ keys: { current: PUSH_KEYS }, pageUrl: '', ttlSeconds: 86_400, random },
  }
  const dispatcher = new Dispatcher({
    jobs: {
      claim: async (limit) => {
        const taken = due.splice(0, limit)
        for (const job of taken)
          leases.set(
            job,
            clock.after(LEASE_MS, () => due.push(job)),
          )
        return taken
      },
      settle: async (ended) => {
        for (const { job, end } of ended) {
          leases.get(job)?.()
          if (end.end === 'again') clock.after(end.afterSeconds * 1000, () => due.push(job))
        }
      },
    },
    subscriptions: { note: async () => undefined },
    run: (job: HeldJob, load: HostLoad) => runJob(job, { ...options, load }),
    broken: (job) => brokenJob(job, options),
    received: () => undefined,
    clock,
    logger: silentLogger,
    health: { failed: () => undefined, works: () => undefined },
    observer: { pushesCancelled: () => undefined, pushesGivenUp: () => undefined, pushLag: () => undefined },
  })
  return { clock, due, told, dispatcher }
}

test('browsers of another push service do not wait for one that is slow, and all are told in the end', async () => {
  const start = Array.from({ length: 400 }, () => 'fcm.googleapis.com')
  const { clock, due, told, dispatcher } = bench(start)
  dispatcher.wake()
  await clock.advance(5_000)
  expect(told.get('fcm.googleapis.com')).toHaveLength(400)
  for (const host of [...Array(150).fill('slow.example.com'), ...Array(20).fill('fcm.googleapis.com')]) {
    due.push(heldJob({ targets: [target('a', { host })] }))
  }
  await clock.advance(15_000)
  expect(told.get('fcm.googleapis.com')).toHaveLength(420)
  expect(told.get('slow.example.com')?.length).toBeLessThan(40)
  await clock.advance(180_000)
  expect(told.get('slow.example.com')).toHaveLength(150)
})

test('one that is quick gets all there is, and a slow one half of it until a minute has gone by', async () => {
  const clock = new FakeClock()
  const load = new HostLoad(clock, () => 4)
  const ends = Array.from({ length: 4 }, () => load.begin('a', {}))
  expect(load.isFull('a', {})).toBe(false)
  await clock.advance(1_000)
  expect([load.isFull('a', {}), load.isFull('b', {})]).toEqual([true, false])
  for (const end of ends) end()
  expect(load.isFull('a', {})).toBe(false)
  const [one, two] = [load.begin('a', {}), load.begin('a', {})]
  expect(load.isFull('a', {})).toBe(true)
  one()
  expect(load.isFull('a', {})).toBe(false)
  two()
  await clock.advance(60_000)
  for (let count = 0; count < 4; count += 1) load.begin('a', {})
  expect(load.isFull('a', {})).toBe(false)
})

test('all browsers of a person are told at once, also where a slow push service gets one at a time', async () => {
  const { clock, due, told, dispatcher } = bench(['slow.example.com'])
  dispatcher.wake()
  await clock.advance(5_000)
  const targets = ['a', 'b', 'c'].map((id) => target(id, { host: 'slow.example.com' }))
  due.push(heldJob({ targets }), heldJob({ targets: targets.slice(1) }))
  dispatcher.wake()
  await clock.advance(4_500)
  expect(told.get('slow.example.com')).toHaveLength(1 + 3)
})

test('what is under way counts on when another push of the host has ended', async () => {
  const clock = new FakeClock()
  const load = new HostLoad(clock, () => 4)
  const [ended] = [load.begin('h', {}), load.begin('h', {}), load.begin('h', {})]
  ended()
  await clock.advance(999)
  expect(load.isFull('h', {})).toBe(false)
  await clock.advance(1)
  expect(load.isFull('h', {})).toBe(true)
})
