import { expect, test } from 'vitest'
import { type Answer, answersOf, indefinite, unseenAt } from './answers.ts'
import type { Entry, Event } from './history.ts'

/** A history of events, each with its time. */
const timed = (events: readonly (readonly [number, Event])[]): Entry[] => events.map(([t, event]) => ({ ...event, t }))
const send = (id: string): Event => ({ e: 'invoke', id, from: 'a', to: 'b', c: 'c1' })
const seenBy = (u: string, id: string): Event => {
  return { e: 'recv', d: `${u}/0`, u, w: u === 'a' ? 'b' : 'a', c: 'x', seq: 1, id, via: 'push' }
}
const ids = (answers: readonly Answer[]): string[] => answers.map(({ id }) => id)

const HISTORY = answersOf(
  timed([
    [0, send('quick')],
    [0, send('refused')],
    [0, send('late')],
    [0, send('lost')],
    [0, send('open')],
    [10, { e: 'ok', id: 'quick', seq: 1 }],
    [20, seenBy('a', 'quick')],
    [30, seenBy('b', 'quick')],
    [1900, { e: 'fail', id: 'refused', code: 'unavailable' }],
    [1950, { e: 'info', id: 'lost' }],
    [2400, { e: 'ok', id: 'late', seq: 2 }],
  ]),
)

test('an answer that is late, lost or missing is not a definite one in time', () => {
  expect(ids(indefinite(HISTORY, 2300))).toEqual(['late', 'lost', 'open'])
  expect(ids(indefinite(HISTORY, 2400))).toEqual(['lost', 'open'])
})

test('a message is seen when the person written to has it, not the writer', () => {
  expect(HISTORY[0]?.seenMs).toBe(30)
  expect(ids(unseenAt(HISTORY, 5000))).toEqual(['late'])
  expect(ids(unseenAt(HISTORY, 2400))).toEqual([])
})
