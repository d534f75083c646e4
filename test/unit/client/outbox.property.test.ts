import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Entry,
  HELD_AFTER_MS,
  nextRetryAt,
  nextToWrite,
  type Queue,
  queueAfter,
  queued,
} from '../../../src/client/outbox.ts'

const ME = 'tab'
const entry = (n: number): Entry => queued(`id-${n}`, 'bob', `text ${n}`, { n, at: 0, owner: ME })
const savedQueue = (count: number): Queue =>
  Array.from({ length: count }, (_, n) => entry(n)).flatMap((one) => queueAfter([one], { type: 'saved', id: one.id }))

type Fault = 'none' | 'before' | 'after' | 'overloaded' | 'rate_limited'
const fault = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fault>('none') },
  { weight: 3, arbitrary: fc.constantFrom<Fault>('before', 'after', 'overloaded', 'rate_limited') },
)

/** Stores each id once and gives it a number. */
class Server {
  readonly log: string[] = []
  store(id: string): number {
    if (!this.log.includes(id)) this.log.push(id)
    return this.log.indexOf(id) + 1
  }
}

test('stores every message once and in the order of typing, whatever replies are lost and whatever is refused', () => {
  fc.assert(
    fc.property(fc.array(fault, { maxLength: 200 }), fc.integer({ min: 1, max: 40 }), (faults, count) => {
      const server = new Server()
      const plan = [...faults]
      let queue = savedQueue(count)
      let now = 0
      let lastWritten = ''
      const writtenHere: string[] = []
      while (queue.length > 0) {
        const next = nextToWrite(queue, ME, 1, now)
        if (!next) {
          now = nextRetryAt(queue, ME, now)
          continue
        }
        expect(queue.some(({ state }) => state === 'sending')).toBe(false)
        queue = queueAfter(queue, { type: 'written', id: next.id, now })
        writtenHere.push(next.id)
        lastWritten = next.id
        now += 5000
        const what = plan.shift() ?? 'none'
        if (what === 'overloaded' || what === 'rate_limited') {
          queue = queueAfter(queue, { type: 'refused', id: next.id, now, random: 0.5, code: what, isTemporary: true })
          continue
        }
        if (what !== 'before') server.store(next.id)
        if (what === 'none') queue = queue.filter(({ id }) => id !== next.id)
        else queue = queueAfter(queue, { type: 'lost', code: 1006, now, oldest: lastWritten })
      }
      expect(server.log).toEqual(Array.from({ length: count }, (_, n) => `id-${n}`))
    }),
    { seed: 19_051, numRuns: 500 },
  )
})

test('writes a message once to a connection, however long its reply takes', () => {
  let queue = savedQueue(3)
  queue = queueAfter(queue, { type: 'written', id: 'id-0', now: 0 })
  for (let now = 0; now < 3_600_000; now += 10_000) expect(nextToWrite(queue, ME, 1, now)).toBeUndefined()
})

describe('what a refusal means', () => {
  test.each([1, 3])('a later message does not overtake one that was refused for now, with a window of %i', (window) => {
    let queue = queueAfter(savedQueue(3), { type: 'written', id: 'id-0', now: 0 })
    const refused = { type: 'refused', id: 'id-0', now: 0, random: 0, code: 'overloaded', isTemporary: true } as const
    queue = queueAfter(queue, { ...refused, retryAfterMs: 1000 })
    expect(nextToWrite(queue, ME, window, 0)?.id).toBe(window === 1 ? undefined : 'id-1')
    expect(nextToWrite(queue, ME, window, 1000)?.id).toBe('id-0')
    expect(nextRetryAt(queue, ME, 0)).toBe(1000)
  })

  test('waits as long as the server said, and up to a fifth longer', () => {
    const queue = queueAfter(savedQueue(1), { type: 'written', id: 'id-0', now: 0 })
    const refused = { type: 'refused', id: 'id-0', now: 0, code: 'rate_limited', isTemporary: true } as const
    const waits = [0, 0.5].map((random) => queueAfter(queue, { ...refused, random, retryAfterMs: 9000 })[0]?.retryAt)
    expect(waits).toEqual([9000, 9900])
  })

  test('what is refused for good stays until the person decides, and the rest goes on', () => {
    let queue = queueAfter(savedQueue(2), { type: 'written', id: 'id-0', now: 0 })
    const refused = { type: 'refused', id: 'id-0', now: 0, random: 0, code: 'id_conflict', isTemporary: false } as const
    queue = queueAfter(queue, refused)
    expect(queue[0]).toMatchObject({ state: 'failed', code: 'id_conflict' })
    expect(nextToWrite(queue, ME, 1, 0)?.id).toBe('id-1')
    queue = queueAfter(queue, { type: 'retry', id: 'id-0' })
    expect(nextToWrite(queue, ME, 1, 0)).toMatchObject({ id: 'id-0', state: 'queued' })
  })
})

describe('what is set aside', () => {
  const cut = (queue: Queue, code: number, now: number): Queue => {
    const next = nextToWrite(queue, ME, 1, now)
    if (!next) return queue
    const written = queueAfter(queue, { type: 'written', id: next.id, now })
    return queueAfter(written, { type: 'lost', code, now, oldest: next.id })
  }

  test.each([1003, 1007, 1008, 1009])(
    'a message that was the first without an answer at two closes with %i',
    (code) => {
      let queue = cut(savedQueue(3), code, 0)
      expect(queue[0]?.state).toBe('queued')
      queue = cut(queue, code, 0)
      expect(queue[0]).toMatchObject({ state: 'failed', code: 'rejected_by_transport' })
      expect(nextToWrite(queue, ME, 1, 0)?.id).toBe('id-1')
    },
  )

  test('a message right after which the connection ends five times, and not one that met a bad network', () => {
    let queue = savedQueue(1)
    for (let turn = 0; turn < 4; turn += 1) queue = cut(queue, 1006, turn)
    expect(queue[0]).toMatchObject({ state: 'queued', suspected: 4 })
    expect(cut(queue, 1012, 4)[0]).toMatchObject({ state: 'queued', suspected: 0 })
    expect(cut(queue, 1006, 4)[0]).toMatchObject({ state: 'failed', code: 'rejected_by_transport' })
  })

  test('and none that the server has refused for now, since it came through', () => {
    let queue = savedQueue(1)
    for (let turn = 0; turn < 4; turn += 1) queue = cut(queue, 1006, turn)
    const refusal = {
      type: 'refused',
      id: 'id-0',
      code: 'rate_limited',
      isTemporary: true,
      now: 4,
      random: 0.5,
    } as const
    queue = queueAfter(queueAfter(queue, { type: 'written', id: 'id-0', now: 4 }), refusal)
    expect(cut(queue, 1006, 100_000)[0]).toMatchObject({ state: 'queued', suspected: 1 })
  })

  test('a message older than a day, until the person says so', () => {
    const day = savedQueue(1)
    expect(queueAfter(day, { type: 'aged', wallMs: HELD_AFTER_MS })).toBe(day)
    const held = queueAfter(day, { type: 'aged', wallMs: HELD_AFTER_MS + 1 })
    expect(held[0]?.state).toBe('held')
    expect(nextToWrite(held, ME, 1, 0)).toBeUndefined()
    expect(nextToWrite(queueAfter(held, { type: 'retry', id: 'id-0' }), ME, 1, 0)?.id).toBe('id-0')
  })
})

test('leaves alone what another tab sends', () => {
  const queue = savedQueue(2).map((one, index) => (index === 0 ? { ...one, owner: 'other tab' } : one))
  expect(nextToWrite(queue, ME, 1, 0)?.id).toBe('id-1')
  expect(nextRetryAt(queue, 'a third', -1)).toBe(Number.POSITIVE_INFINITY)
})

test('sends nothing that is not yet in the storage, nor what was typed after it', () => {
  expect(nextToWrite([entry(0), ...savedQueue(2).slice(1)], ME, 1, 0)).toBeUndefined()
})
