import { expect, test } from 'vitest'
import type { Row } from './history.ts'
import { checkSdk } from './sdk-checker.ts'
import type { SdkEntry } from './sdk-journal.ts'

const typed = (id: string, n: number): SdkEntry => ({ e: 'typed', d: 'a/0', w: 'b', id, n })
const settled = (id: string, seq: number, outcome = 'ok'): SdkEntry => ({ e: 'settled', d: 'a/0', id, outcome, seq })
const told = (id: string, seq: number): SdkEntry => ({ e: 'told', d: 'b/1', w: 'a', id, seq })
const start: SdkEntry = { e: 'start' }
const stored = (...ids: string[]): Map<string, readonly Row[]> =>
  new Map([['a b', ids.map((id, index): Row => [index + 1, id, 'a', '?'])]])

const sound = [start, typed('x', 1), typed('y', 2), settled('x', 1), settled('y', 2), told('x', 1), told('y', 2)]
const found = (entries: readonly SdkEntry[], rows = stored('x', 'y'), head = 2): string[] =>
  checkSdk([entries], rows, { standing: [{ user: 'b', heads: [['a', head]] }] }).wrong.map(
    (line) => line.split(' ×')[0] ?? '',
  )

test('finds nothing where nothing is wrong, also when a killed device is shown again what it had not kept', () => {
  expect(found(sound)).toEqual([])
  expect(found([...sound, start, told('y', 2)])).toEqual([])
  expect(found([...sound, { e: 'unkept', d: 'a/0', w: 'b', seq: 2, missing: [1] }])).toEqual([])
})

test.each<[string, string, readonly string[]]>([
  ['a text that is not stored', 'lost', found(sound, stored('x'), 1)],
  ['an order that is not the one of typing', 'out of order', found(sound, stored('y', 'x'))],
  ['a text that is stored twice', 'doubled', found(sound, stored('x', 'y', 'x'), 3)],
  ['an acknowledgement of another place', 'acked but not kept', found([...sound, settled('y', 1)])],
  ['a refusal', 'refused', found([...sound, settled('z', 0, 'failed')])],
  ['a number that was shown twice', 'shown twice', found([...sound, told('y', 2)])],
  ['a number that was left out', 'skipped', found([start, told('x', 1), told('z', 3)], stored('x', 'y', 'z'), 3)],
  ['another text than the one that is stored', 'phantom', found([start, told('z', 1)])],
  ['a device that is behind', 'stuck', found(sound, stored('x', 'y'), 1)],
  ['a conversation that was dropped', 'reset', found([...sound, { e: 'reset', d: 'b/1', w: 'a' }])],
  [
    'an acknowledgement of what no disk has',
    'acked but not on disk',
    found([...sound, { e: 'unkept', d: 'b/0', w: 'a', seq: 2, missing: [1] }]),
  ],
])('finds %s', (_, kind, kinds) => {
  expect(kinds).toContain(kind)
})
