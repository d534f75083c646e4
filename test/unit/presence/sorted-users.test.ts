import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SortedUsers } from '../../../src/presence/sorted-users.ts'
import { countArrayMoves } from '../../support/array-moves.ts'

const MANY = 60_000
const nameOf = (index: number): string => `user-${String(index).padStart(6, '0')}`
/** Each index once, far from the one before: as a storm comes. */
const scattered = Array.from({ length: MANY }, (_, index) => (index * 7919) % MANY)

function allPages(users: SortedUsers, limit: number): string[] {
  const all: string[] = []
  for (let cursor: string | undefined; ; ) {
    const page = users.page(limit, cursor)
    all.push(...page.users)
    if (!page.hasMore) return all
    cursor = page.users.at(-1)
  }
}

test('60,000 come and go in any order at a cost that does not grow with their number', () => {
  const users = new SortedUsers()
  const moves = countArrayMoves()
  try {
    for (const index of scattered) users.add(nameOf(index))
    for (const index of scattered) if (index % 2 === 0) users.delete(nameOf(index))
  } finally {
    moves.stop()
  }
  expect(moves.count).toBeLessThan(1_000 * MANY)
  expect(users.size).toBe(MANY / 2)
  expect(allPages(users, 997)).toEqual(Array.from({ length: MANY / 2 }, (_, index) => nameOf(2 * index + 1)))
})

test('all may leave, and come again', () => {
  const users = new SortedUsers()
  for (let time = 0; time < 2; time += 1) {
    for (let index = 0; index < 2_000; index += 1) users.add(nameOf(index))
    expect(users.page(2, nameOf(999))).toEqual({ users: [nameOf(1000), nameOf(1001)], hasMore: true })
    for (let index = 0; index < 2_000; index += 1) users.delete(nameOf(index))
    expect([users.size, users.page(10)]).toEqual([0, { users: [], hasMore: false }])
  }
})

test('agrees with a sorted set over many blocks, for every page and cursor', () => {
  const step = fc.tuple(fc.boolean(), fc.nat({ max: 3_000 }))
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 300 }),
      fc.nat({ max: 3_100 }),
      fc.nat({ max: 700 }),
      (steps, at, limit) => {
        const users = new SortedUsers()
        const model = new Set<string>()
        for (let index = 0; index < 3_000; index += 3) {
          users.add(nameOf(index))
          model.add(nameOf(index))
        }
        for (const [comes, index] of steps) {
          if (comes) users.add(nameOf(index))
          else users.delete(nameOf(index))
          if (comes) model.add(nameOf(index))
          else model.delete(nameOf(index))
        }
        const after = [...model].sort().filter((name) => name > nameOf(at))
        expect(users.size).toBe(model.size)
        expect(users.page(limit, nameOf(at))).toEqual({ users: after.slice(0, limit), hasMore: after.length > limit })
      },
    ),
    { numRuns: 50 },
  )
})
