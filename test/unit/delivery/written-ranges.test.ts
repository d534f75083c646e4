import fc from 'fast-check'
import { expect, test } from 'vitest'
import { WrittenRanges } from '../../../src/delivery/written-ranges.ts'

const seqs = Array.from({ length: 40 }, (_, index) => index + 1)
const held = (ranges: WrittenRanges, other = 'ann') => seqs.filter((seq) => ranges.has(other, seq))
const between = (from: number, to: number) => seqs.filter((seq) => from <= seq && seq <= to)

function rangesOf(...added: readonly (readonly [from: number, to: number])[]): WrittenRanges {
  const ranges = new WrittenRanges()
  for (const [from, to] of added) ranges.add('ann', from, to)
  return ranges
}

test.each([
  ['that touch below', [10, 20], [5, 9], between(5, 20)],
  ['that touch above', [10, 20], [21, 25], between(10, 25)],
  ['that overlap', [10, 20], [15, 25], between(10, 25)],
  ['of which one holds the other', [10, 20], [12, 13], between(10, 20)],
  ['with one seq between them are not one: the higher is kept, come last', [10, 20], [22, 25], between(22, 25)],
  ['with one seq between them are not one: the higher is kept, come first', [22, 25], [10, 20], between(22, 25)],
] as const)('two ranges %s', (_which, first, second, expected) => {
  expect(held(rangesOf(first, second))).toEqual(expected)
})

test('the first that is missing is the one behind the range, but below the range it is the one asked for', () => {
  const ranges = rangesOf([10, 20])
  expect([9, 10, 20, 21].map((seq) => ranges.firstMissing('ann', seq))).toEqual([9, 21, 21, 21])
  expect(ranges.firstMissing('cid', 10)).toBe(10)
})

test.each([
  [21, between(10, 20)],
  [15, between(10, 14)],
  [10, []],
  [5, []],
])('what is taken back at %j holds nothing from there on', (seq, expected) => {
  const ranges = rangesOf([10, 20])
  ranges.add('cid', 1, 3)
  ranges.forgetFrom('ann', seq)
  expect(held(ranges)).toEqual(expected)
  expect(held(ranges, 'cid')).toEqual([1, 2, 3])
})

test('what was told out of its order is held alone, is no part of the range, and is taken back with what precedes it', () => {
  const ranges = rangesOf([10, 20])
  for (const seq of [7, 23, 25]) ranges.addOutOfOrder('ann', seq)
  expect(held(ranges)).toEqual([7, ...between(10, 20), 23, 25])
  expect(held(ranges, 'cid')).toEqual([])
  expect([7, 20, 23].map((seq) => ranges.firstMissing('ann', seq))).toEqual([7, 21, 23])
  ranges.forgetFrom('ann', 24)
  expect(held(ranges)).toEqual([7, ...between(10, 20), 23])
  ranges.forgetFrom('ann', 10)
  expect([held(ranges), ranges.isEmpty]).toEqual([[7], false])
  ranges.clear()
  expect([held(ranges), ranges.isEmpty]).toEqual([[], true])
})

test('is empty when everything was taken back', () => {
  const ranges = rangesOf([10, 20])
  expect(ranges.isEmpty).toBe(false)
  ranges.forgetFrom('ann', 1)
  expect(ranges.isEmpty).toBe(true)
})

test('whatever is added and taken back, nothing is held that was not added since', () => {
  const seq = fc.integer({ min: 1, max: 40 })
  const step = fc.oneof(
    fc.record({ from: seq, length: fc.integer({ min: 0, max: 10 }) }),
    fc.record({ outOfOrder: seq }),
    fc.record({ takenBack: seq }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const ranges = new WrittenRanges()
      const written = new Set<number>()
      for (const each of steps) {
        if ('takenBack' in each) {
          ranges.forgetFrom('ann', each.takenBack)
          for (const seq of between(each.takenBack, 40)) written.delete(seq)
        } else if ('outOfOrder' in each) {
          ranges.addOutOfOrder('ann', each.outOfOrder)
          written.add(each.outOfOrder)
        } else {
          ranges.add('ann', each.from, each.from + each.length)
          for (const seq of between(each.from, each.from + each.length)) written.add(seq)
        }
        const missing = held(ranges).filter((seq) => !written.has(seq))
        expect(missing).toEqual([])
      }
    }),
  )
})
