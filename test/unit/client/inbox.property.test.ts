import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  emptyInbox,
  headOf,
  type Inbox,
  MAX_HELD,
  pageReceived,
  type Question,
  questionOf,
  reachesTo,
  received,
} from '../../../src/client/inbox.ts'
import { highestGap } from '../../../src/client/ranges.ts'

interface Entry {
  readonly seq: number
}

/** The whole conversation, as the server keeps it. */
class Log {
  readonly length: number
  constructor(length: number) {
    this.length = length
  }
  page({ after, before, limit }: Question) {
    const all = Array.from({ length: this.length }, (_, index) => ({ seq: index + 1 }))
    const within = all.filter(({ seq }) => seq > (after ?? 0) && seq < (before ?? Number.POSITIVE_INFINITY))
    const messages = after === undefined ? within.slice(-limit) : within.slice(0, limit)
    return { messages, hasMore: messages.length < within.length }
  }
}

type Act = { kind: 'frame'; seq: number } | { kind: 'page' } | { kind: 'head'; seq: number }

const LENGTH = 60
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('frame' as const), seq: fc.integer({ min: 1, max: LENGTH }) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('page' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('head' as const), seq: fc.integer({ min: 1, max: LENGTH }) }) },
)

class Reader {
  inbox: Inbox<Entry> = emptyInbox()
  readonly applied: number[] = []

  run(log: Log, one: Act): void {
    if (one.kind === 'frame') this.take(received(this.inbox, { seq: one.seq }))
    else if (one.kind === 'head') this.inbox = reachesTo(this.inbox, one.seq)
    else this.ask(log)
  }

  ask(log: Log): void {
    const question = questionOf(this.inbox)
    if (question) this.take(pageReceived(this.inbox, question, log.page(question)))
  }

  take({ inbox, applied }: { inbox: Inbox<Entry>; applied: readonly Entry[] }): void {
    this.inbox = inbox
    this.applied.push(...applied.map(({ seq }) => seq))
  }

  /** Everything that a client does by itself until it lacks nothing from the first message it saw on. */
  heal(log: Log): void {
    this.inbox = reachesTo(this.inbox, log.length)
    for (let turn = 0; turn < 100 && headOf(this.inbox) < log.length; turn += 1) this.ask(log)
    for (let gap = highestGap(this.inbox.ranges, 0); gap; gap = highestGap(this.inbox.ranges, 0)) {
      const question = { before: gap[1] + 1, limit: 500 }
      this.take(pageReceived(this.inbox, question, log.page(question)))
    }
  }
}

test('ends in the whole conversation, each message applied once, whatever is lost, doubled or out of order', () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const log = new Log(LENGTH)
      const reader = new Reader()
      for (const one of acts) {
        reader.run(log, one)
        const [lowest] = reader.inbox.ranges
        expect(reader.applied.length).toBe(new Set(reader.applied).size)
        expect(reader.inbox.held.every(({ seq }) => seq > headOf(reader.inbox) + 1)).toBe(true)
        // Whatever is known to be missing is asked for.
        if (lowest && reader.inbox.top > headOf(reader.inbox)) expect(questionOf(reader.inbox)).toBeDefined()
      }
      reader.heal(log)
      expect(reader.inbox.ranges).toEqual([[1, LENGTH]])
      expect(reader.inbox.held).toEqual([])
      expect(reader.applied.toSorted((a, b) => a - b)).toEqual(Array.from({ length: LENGTH }, (_, i) => i + 1))
    }),
    { seed: 19_031, numRuns: 500 },
  )
})

test('applies in ascending order what comes live, however it is mixed up within the conversation', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(Array.from({ length: 40 }, (_, index) => index + 2)), (order) => {
      const log = new Log(41)
      const reader = new Reader()
      for (const seq of [1, ...order]) reader.run(log, { kind: 'frame', seq })
      reader.heal(log)
      expect(reader.applied).toEqual(Array.from({ length: 41 }, (_, index) => index + 1))
    }),
    { seed: 19_032, numRuns: 500 },
  )
})

test('asks for what is missing from the head on', () => {
  const reader = new Reader()
  reader.run(new Log(5), { kind: 'frame', seq: 1 })
  expect(questionOf(reader.inbox)).toBeUndefined()
  reader.run(new Log(5), { kind: 'frame', seq: 3 })
  expect(questionOf(reader.inbox)).toEqual({ after: 1, limit: 500 })
})

test('remembers of a jump over more than it holds only how far it goes, and shows the newest first', () => {
  const log = new Log(2000)
  const reader = new Reader()
  reader.run(log, { kind: 'frame', seq: 1 })
  for (let seq = 3; seq <= 1200; seq += 1) reader.run(log, { kind: 'frame', seq })
  expect(reader.inbox.held).toHaveLength(MAX_HELD)
  expect(questionOf(reader.inbox)).toEqual({ limit: 50 })
  reader.ask(log)
  expect(headOf(reader.inbox)).toBe(2000)
  expect(highestGap(reader.inbox.ranges)).toEqual([2, 1950])
  reader.heal(log)
  expect(reader.inbox.ranges).toEqual([[1, 2000]])
})
