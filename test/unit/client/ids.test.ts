import { expect, test } from 'vitest'
import { idMaker } from '../../../src/client/ids.ts'

const VERSION_7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('makes ids of version 7 that ascend, also within a millisecond and when the wall clock goes back', () => {
  let now = 1_800_000_000_000
  const make = idMaker(() => now)
  const ids = Array.from({ length: 20_000 }, (_, index) => {
    if (index === 5000) now -= 3_600_000
    if (index === 9000) now += 7_200_000
    return make()
  })
  expect(ids.every((id) => VERSION_7.test(id))).toBe(true)
  expect(ids).toEqual(ids.toSorted())
  expect(new Set(ids).size).toBe(ids.length)
  expect(Number.parseInt(ids[0]?.replaceAll('-', '').slice(0, 12) ?? '', 16)).toBe(1_800_000_000_000)
})

test('does without crypto.randomUUID, which a page that came over plain http has not', () => {
  const random = globalThis.crypto.randomUUID
  Object.defineProperty(globalThis.crypto, 'randomUUID', { value: undefined, configurable: true })
  try {
    expect(idMaker(() => 0)()).toMatch(VERSION_7)
  } finally {
    Object.defineProperty(globalThis.crypto, 'randomUUID', { value: random, configurable: true })
  }
})
