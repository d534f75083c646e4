// Whom a search among loaded people finds.
import { expect, test } from 'vitest'
import { fitOf } from '../../../src/web/conversations/matching.ts'

test.each([
  ['Ann Example', 'ann', 0],
  ['Ann Example', 'EXA', 1],
  ['ann.example', 'exa', 1],
  ['Zoë Müller', 'zoe', 0],
  ['Zoë Müller', 'mull', 1],
  ['Ann Example', 'mpl', 2],
  ['Christopher', 'chirst', 3], // swapped
  ['Christopher', 'chrst', 3], // one missing
  ['Christopher', 'chriist', 3], // one too many
  ['Christopher', 'chrast', 3], // one wrong
  ['Christopher', 'chrxyt', undefined],
  ['Ann', 'anx', undefined], // too short for a slip
  ['Ann', 'bob', undefined],
])('%s by %s', (name, typed, fit) => {
  expect(fitOf(name, typed)).toBe(fit)
})

test('whoever begins with what was typed comes before whoever has it within', () => {
  expect(fitOf('Ben Ann', 'ann')).toBeGreaterThan(fitOf('Ann Ben', 'ann') ?? 9)
})
