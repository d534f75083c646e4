// What is remembered of the store: the heads and the positions of conversations.
import { expect, test } from 'vitest'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import { KnownPositions } from '../../../src/messages/known-positions.ts'
import { positionChange } from '../../support/builders.ts'

const PAIR = conversationBetween('ann', 'bob')

function heads() {
  const known = new KnownHeads()
  const told: string[] = []
  known.listen({ behind: () => void told.push('behind'), suspected: () => void told.push('suspected') })
  return { known, told }
}

test('a comparison ends the doubt that it was made for, and not one that came meanwhile', () => {
  const { known, told } = heads()
  known.saw(PAIR, 5)
  known.doubt()
  const [compared] = known.doubted(10)
  if (!compared) throw new Error('nothing is doubted')
  // A second server is lost while the first is compared.
  known.saw(PAIR, 8)
  known.doubt()
  known.compared(compared, 5)
  expect(known.doubted(10)).toEqual([{ conversation: PAIR, seq: 8 }])
  known.compared({ conversation: PAIR, seq: 8 }, 8)
  expect([known.doubted(10), told]).toEqual([[], []])
})

test('doubts add up: the highest head that was ever seen is what a store has to have', () => {
  const { known, told } = heads()
  known.saw(PAIR, 8)
  known.doubt()
  known.saw(PAIR, 3)
  known.doubt()
  expect(known.doubted(10)).toEqual([{ conversation: PAIR, seq: 8 }])
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
