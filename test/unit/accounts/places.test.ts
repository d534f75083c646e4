import { expect, test } from 'vitest'
import {
  type Lane,
  type Place,
  Places,
  placeOfPerson,
  placeOfStranger,
  placeToLook,
} from '../../../src/accounts/places.ts'
import { AccountRefusal } from '../../../src/accounts/refusal.ts'

const from = (address: string, isNetworkShared = false) => ({ address, isNetworkShared })
const stay = (): Promise<never> => new Promise(() => undefined)
const codeOf = (error: unknown): unknown => (error instanceof AccountRefusal ? error.code : error)
/** What becomes of one more: `in` where there is a place. */
const one = (places: Places, place: Place): Promise<unknown> => places.admit(place, async () => 'in').catch(codeOf)

/** Takes places until there is none; how many there were. */
function fill(places: Places, placeAt: (at: number) => Place, lane: Lane): number {
  const before = places.taken(lane)
  for (let at = 0; at < 60; at += 1) void places.admit(placeAt(at), stay).catch(() => undefined)
  return places.taken(lane) - before
}

test.each([
  ['strangers', 'stranger', placeOfStranger, 26, 39],
  ['who is looked up', 'look', placeToLook, 25, 37],
] as const)(
  'one network has half of the places of %s, and an IPv6 /48 three quarters',
  async (_, lane, placeOf, half, most) => {
    const places = new Places()
    expect(fill(places, () => placeOf(from('192.0.2.1')), lane)).toBe(half)
    expect(await one(places, placeOf(from('192.0.2.1')))).toBe('rate_limited')
    expect(await one(places, placeOf(from('192.0.2.2')))).toBe('in')
    const site = new Places()
    expect(fill(site, (at) => placeOf(from(`2001:db8:1:${at}::/64`)), lane)).toBe(most)
    expect(await one(site, placeOf(from('2001:db8:1:ff::/64')))).toBe('rate_limited')
    expect(await one(site, placeOf(from('2001:db8:2:1::/64')))).toBe('in')
  },
)

test('a network that many share has three quarters of the places, and is not the address by itself', async () => {
  const places = new Places()
  expect(fill(places, () => placeOfStranger(from('10.0.0.1', true)), 'stranger')).toBe(39)
  expect(await one(places, placeOfStranger(from('10.0.0.1', true)))).toBe('rate_limited')
  expect(await one(places, placeOfStranger(from('10.0.0.1')))).toBe('in')
})

test('a person has a fifth of the places of those who are known, and a network half, whatever names are used there', async () => {
  const places = new Places()
  expect(fill(places, (at) => placeOfPerson('ann', from(`192.0.2.${at}`)), 'known')).toBe(10)
  expect(await one(places, placeOfPerson('ann', from('198.51.100.1')))).toBe('rate_limited')
  const crowd = new Places()
  expect(fill(crowd, (at) => placeOfPerson(`user${at}`, from('192.0.2.1')), 'known')).toBe(25)
  expect(await one(crowd, placeOfPerson('ann', from('192.0.2.1')))).toBe('rate_limited')
  expect(await one(crowd, placeOfPerson('ann', from('198.51.100.1')))).toBe('in')
})

test('places of all networks together are as many as there are, and come free with what was done in them', async () => {
  const places = new Places()
  const ends: (() => void)[] = []
  const until = (): Promise<void> => new Promise((resolve) => void ends.push(resolve))
  const stays = Array.from({ length: 52 }, (_, at) => places.admit(placeOfStranger(from(`192.0.2.${at % 26}`)), until))
  expect(await one(places, placeOfStranger(from('198.51.100.1')))).toBe('overloaded')
  for (const end of ends) end()
  await Promise.all(stays)
  expect(places.taken('stranger')).toBe(0)
  expect(fill(places, () => placeOfStranger(from('192.0.2.1')), 'stranger')).toBe(26)
})

test('a place is given back also by what fails', async () => {
  const places = new Places()
  const failing = Array.from({ length: 26 }, () =>
    places.admit(placeOfStranger(from('192.0.2.1')), () => Promise.reject(new Error('away'))).catch(() => undefined),
  )
  expect(await one(places, placeOfStranger(from('192.0.2.1')))).toBe('rate_limited')
  await Promise.all(failing)
  expect(await one(places, placeOfStranger(from('192.0.2.1')))).toBe('in')
})
