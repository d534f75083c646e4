import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import type { QueuedSend } from '../../../src/messages/send-queue.ts'
import { pendingMessage, positionChange } from '../../support/builders.ts'
import { settled } from '../../support/fake-clock.ts'
import type { Outcome } from '../../support/scripted-store.ts'
import { writerBench } from '../../support/writer.ts'

type Step =
  | { do: 'append'; to: string; bad: boolean }
  | { do: 'repeat'; index: number; changed: boolean }
  | { do: 'move'; delivered: number }
  | { do: 'outcomes'; outcomes: readonly Outcome[] }
  | { do: 'advance'; ms: number }
  | { do: 'turn' }
  | { do: 'close' }

const outcome = fc.constantFrom<Outcome>('ok', 'aborted', 'unknown-stored', 'unknown-lost', 'bug')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      to: fc.constantFrom('bob', 'cid'),
      bad: fc.nat(9).map((n) => n === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('repeat' as const), index: fc.nat(20), changed: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const), delivered: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('outcomes' as const), outcomes: fc.array(outcome, { maxLength: 8 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 3000 }) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'turn' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'close' as const }) },
)

const LIMITS = { maxQueueRows: 12, maxQueueBytes: 5000, maxBatchRows: 4, maxQueueAgeMs: 2000 }

/** Plays the steps, then lets the store recover and time pass. */
async function play(steps: readonly Step[]) {
  let luck = 0
  const bench = writerBench(LIMITS, undefined, () => luck++ % 2)
  const { store, writer, clock, append } = bench
  // Five messages that positions can speak of, in a conversation of their own.
  await store.commit(
    Array.from({ length: 5 }, () => pendingMessage('dan', 'eve')),
    [],
    'fast',
  )
  store.calls.length = 0
  const taken: QueuedSend[] = []
  const refused: QueuedSend[] = []
  let furthest = 0
  const closings: Promise<void>[] = []
  const add = ({ send, refusal }: ReturnType<typeof append>) => void (refusal ? refused : taken).push(send)
  for (const [index, one] of steps.entries()) {
    if (one.do === 'append') add(append(`${index}${one.bad ? ' bad' : ''}`, { to: one.to }))
    if (one.do === 'repeat') {
      const first = taken[one.index]
      if (first) add(append(one.changed ? `${index}` : first.content, { to: first.receiver_id, id: first.id }))
    }
    if (one.do === 'move' && !writer.advance(positionChange('eve', 'dan', { delivered: one.delivered }))) {
      furthest = Math.max(furthest, one.delivered)
    }
    if (one.do === 'outcomes') store.outcomes.push(...one.outcomes)
    if (one.do === 'advance') await clock.advance(one.ms)
    if (one.do === 'turn') await settled()
    if (one.do === 'close') closings.push(writer.close(600_000))
  }
  // Longer than the longest row of failures can last.
  await clock.advance(120_000)
  await Promise.all(closings)
  await writer.close(1000)
  return { ...bench, taken, refused, furthest }
}

test('whatever happens, every send settles once, truthfully and in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { store, taken, refused, settledSends, furthest } = await play(steps)

      // Exactly once, and never for a send that was not taken.
      expect(new Set(settledSends).size).toBe(settledSends.length)
      expect(new Set(settledSends)).toEqual(new Set(taken))
      for (const send of refused) expect(settledSends).not.toContain(send)

      for (const other of ['bob', 'cid']) {
        const { messages } = await store.page(conversationBetween('ann', other), { after: 0, limit: 1000 })
        const stored = new Map(messages.map((message) => [message.id, message]))
        expect(stored.size).toBe(messages.length)
        const sends = taken.filter(({ receiver_id }) => receiver_id === other)
        for (const send of sends) {
          const row = stored.get(send.id)
          const settledAs = send.refusal ?? send.fate
          if (settledAs === 'stored' || settledAs === 'duplicate') {
            expect(row).toMatchObject({ seq: send.seq, content: send.content, created_at: send.created_at })
          } else if (settledAs === 'conflict') {
            expect(row?.content).not.toBe(send.content)
          } else {
            // Refused: this text must not be there, unless another send of the same id and text put it there.
            const twins = sends.filter((one) => one.id === send.id && one.content === send.content && !one.refusal)
            if (twins.length === 0) expect(row?.content).not.toBe(send.content)
          }
          expect(send.content.includes('bad') ? ['invalid_text', 'unavailable', 'overloaded'] : [settledAs]).toContain(
            settledAs,
          )
        }
        // Rows are in the order in which the first send of each id arrived.
        const arrival = sends.filter((send) => !send.refusal && send.fate !== 'conflict').map(({ id }) => id)
        const places = messages.map(({ id }) => arrival.indexOf(id))
        expect(places).toEqual([...places].sort((a, b) => a - b))
        expect(places).not.toContain(-1)
      }

      for (const { contents } of store.calls) expect(contents.length).toBeLessThanOrEqual(LIMITS.maxBatchRows)
      const [position] = (await store.changes('eve')).found
      // A writer that closes does not try for ever.
      if (steps.some((one) => one.do === 'close')) expect(position?.delivered_seq).toBeLessThanOrEqual(furthest)
      else expect(position?.delivered_seq).toBe(furthest)
    }),
    { numRuns: 150 },
  )
})
