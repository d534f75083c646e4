// What is remembered of the store: the heads and the positions of conversations.
import { expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { type DoubtedHead, KnownHeads } from '../../../src/messages/known-heads.ts'
import { KnownPositions } from '../../../src/messages/known-positions.ts'
import { positionChange } from '../../support/builders.ts'

const PAIR = conversationBetween('ann', 'bob')

function heads() {
  const known = new KnownHeads()
  const told: string[] = []
  known.listen({ behind: () => void told.push('behind'), suspected: () => void told.push('suspected') })
  return { known, told }
}

/** The one head that is doubted. */
function doubtedOf(known: KnownHeads): DoubtedHead {
  const [doubted, ...more] = known.doubted(10)
  if (!doubted || more.length > 0) throw new Error('not one head is doubted')
  return doubted
}

test.each([5, 8])('a comparison ends no doubt that came while it was made (a head of 5, then of %i)', (next) => {
  const { known, told } = heads()
  known.saw(PAIR, 5)
  known.doubt()
  const compared = doubtedOf(known)
  // A second server is lost while the first is compared.
  known.saw(PAIR, next)
  known.doubt()
  known.compared(compared, 5)
  expect([doubtedOf(known).seq, known.of(PAIR)]).toEqual([next, 0])
  known.compared(doubtedOf(known), next)
  expect([known.doubted(10), told]).toEqual([[], []])
})

test.each([
  ['a comparison', (known: KnownHeads) => known.compared(doubtedOf(known), 20)],
  ['a lock', (known: KnownHeads) => expect(known.locked(PAIR, 20)).toBe(true)],
])('a head whose doubt %s has ended is known: a store that has less after that was set back', (_what, endDoubt) => {
  const { known, told } = heads()
  known.saw(PAIR, 20)
  known.doubt()
  endDoubt(known)
  expect([known.doubted(10), known.of(PAIR)]).toEqual([[], 20])
  expect(known.locked(PAIR, 10)).toBe(false)
  expect(told).toEqual(['behind'])
})

test('doubts add up: the highest head that was ever seen is what a store has to have', () => {
  const { known, told } = heads()
  known.saw(PAIR, 8)
  known.doubt()
  known.saw(PAIR, 3)
  known.doubt()
  expect(doubtedOf(known)).toMatchObject({ conversation: PAIR, seq: 8 })
  expect(known.locked(PAIR, 7)).toBe(false)
  expect(told).toEqual(['behind'])
})

test('a position is news when either of its two parts is', () => {
  const positions = new KnownPositions()
  positions.stored(positionChange('ann', 'bob', { delivered: 5, read: 3 }))
  const isNew = (delivered: number, read: number): boolean =>
    positions.isNew(positionChange('ann', 'bob', { delivered, read }))
  expect([isNew(5, 3), isNew(4, 2), isNew(6, 3), isNew(5, 4)]).toEqual([false, false, true, true])
  expect(positions.isNew(positionChange('bob', 'ann', { delivered: 1 }))).toBe(true)
  positions.forget()
  expect(isNew(5, 3)).toBe(true)
})
