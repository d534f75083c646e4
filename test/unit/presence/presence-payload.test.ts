import { expect, test } from 'vitest'
import { heardState, timeIn } from '../../../src/presence/presence-payload.ts'

test('what the scripts publish is a state', () => {
  expect(heardState('bob', 'online')).toEqual({ userId: 'bob', status: 'online' })
  const lastSeenMs = 1_700_000_000_000
  expect(heardState('bob', `offline ${lastSeenMs}`)).toEqual({ userId: 'bob', status: 'offline', lastSeenMs })
})

test.each([
  '',
  'offline',
  'offline ',
  'offline soon',
  'offline -1',
  'offline 1e9',
  'offline 9999999999999999',
  'away 1',
])('of %j nobody is told', (payload) => {
  expect(heardState('bob', payload)).toBeUndefined()
})

test('a time is one that a date can have', () => {
  expect([null, undefined, 'x', '9999999999999999'].map(timeIn)).toEqual(new Array(4).fill(undefined))
  expect(new Date(timeIn('999999999999999') ?? Number.NaN).toISOString()).toMatch(/^\+0?\d+-/)
})
