import fc from 'fast-check'
import { expect, test } from 'vitest'
import { moved, NO_POSITIONS, tickOf } from '../../../src/client/ticks.ts'

const position = fc.integer({ min: 0, max: 20 })
const change = fc.record(
  { delivered_seq: position, read_seq: position, peer_delivered_seq: position, peer_read_seq: position },
  { requiredKeys: [] },
)

test('comes to the same positions in whatever order receipts come, and however often', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (changes, keys) => {
      const inOrder = changes.reduce(moved, NO_POSITIONS)
      const mixed = [...changes, ...changes]
        .map((one) => ({ one, key: keys.next().value }))
        .toSorted((a, b) => a.key - b.key)
        .map(({ one }) => one)
      expect(mixed.reduce(moved, NO_POSITIONS)).toEqual(inOrder)
    }),
    { seed: 19_061, numRuns: 500 },
  )
})

test('never takes a tick back', () => {
  const order = ['sent', 'delivered', 'read']
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), fc.integer({ min: 1, max: 20 }), (changes, seq) => {
      let positions = NO_POSITIONS
      let rank = 0
      for (const one of changes) {
        positions = moved(positions, one)
        expect(order.indexOf(tickOf(seq, positions))).toBeGreaterThanOrEqual(rank)
        rank = order.indexOf(tickOf(seq, positions))
      }
    }),
    { seed: 19_062, numRuns: 500 },
  )
})

test('what is read is delivered, and a receipt that says nothing new changes nothing', () => {
  const read = moved(NO_POSITIONS, { peer_read_seq: 4 })
  expect(read).toEqual({ delivered_seq: 0, read_seq: 0, peer_delivered_seq: 4, peer_read_seq: 4 })
  expect(moved(read, { peer_delivered_seq: 3 })).toBe(read)
  expect([3, 4, 5].map((seq) => tickOf(seq, read))).toEqual(['read', 'read', 'sent'])
})
