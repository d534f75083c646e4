// Whose turn it is in the queue of what is to be sent, and what a lost connection says of it.
import { expect, test } from 'vitest'
import {
  type Entry,
  isSuspect,
  nextToWrite,
  type Queue,
  queueAfter,
  queued,
  SUSPECT_WITHIN_MS,
} from '../../../src/client/outbox.ts'

const entry = (n: number, more: Partial<Entry> = {}): Entry => ({
  ...queued(`id-${n}`, 'bob', `text ${n}`, { n, at: 0, owner: 'tab' }),
  state: 'queued',
  ...more,
})
const next = (queue: Queue, window: number, now = 0): string | undefined => nextToWrite(queue, 'tab', window, now)?.id

test('nothing overtakes what is being saved', () => {
  expect(next([entry(1, { state: 'saving' }), entry(2)], 8)).toBeUndefined()
  expect(next([entry(1), entry(2, { state: 'saving' })], 8)).toBe('id-1')
})

test('what waits after a refusal is overtaken where speed was asked for, and not in order', () => {
  const queue = [entry(1, { retryAt: 500 }), entry(2)]
  expect([next(queue, 1), next(queue, 8)]).toEqual([undefined, 'id-2'])
  expect([next(queue, 1, 500), next(queue, 8, 500)]).toEqual(['id-1', 'id-1'])
})

test('what is on its way takes up room, what is set aside or of another tab does not', () => {
  const sending = entry(1, { state: 'sending' })
  expect([next([sending, entry(2)], 1), next([sending, entry(2)], 2)]).toEqual([undefined, 'id-2'])
  const aside = [entry(1, { state: 'failed' }), entry(2, { state: 'held' }), entry(3, { owner: 'other' }), entry(4)]
  expect(next(aside, 1)).toBe('id-4')
})

test('a message is suspected when connections end at once after it, one after the other', () => {
  const after = (queue: Queue, waitMs: number, code = 1006): Queue =>
    queueAfter(queueAfter(queue, { type: 'written', id: 'id-1', now: 1_000 }), {
      type: 'lost',
      code,
      now: 1_000 + waitMs,
    })
  let queue: Queue = [entry(1)]
  for (const suspected of [1, 2]) {
    queue = after(queue, SUSPECT_WITHIN_MS)
    expect(queue[0]).toMatchObject({ state: 'queued', suspected })
  }
  expect(queue.map(isSuspect)).toEqual([true])
  // A connection that lasted longer, or was closed with a reason, clears it.
  expect(after(queue, SUSPECT_WITHIN_MS + 1)[0]).toMatchObject({ state: 'queued', suspected: 0 })
  expect(after(queue, 1, 1001)[0]).toMatchObject({ state: 'queued', suspected: 0 })
})
