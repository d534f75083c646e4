import { expect, test } from 'vitest'
import { RecentSet } from '../../../src/lib/recent-set.ts'

const inside = (set: RecentSet<number>): number[] => [1, 2, 3, 4, 5].filter((entry) => set.has(entry))

test('of more than its size the last that were met stay', () => {
  const set = new RecentSet<number>(3)
  for (const entry of [1, 2, 3, 1, 4]) set.add(entry)
  expect(inside(set)).toEqual([1, 3, 4])
})

test('what was met before fills what room is left, the last of it first', () => {
  const set = new RecentSet<number>(3)
  set.add(4)
  set.addOlder([1, 2, 4, 3])
  expect(inside(set)).toEqual([2, 3, 4])
  set.add(5)
  expect(inside(set)).toEqual([3, 4, 5])
  set.addOlder([1, 2])
  expect(inside(set)).toEqual([3, 4, 5])
})
