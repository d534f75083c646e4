import { expect, test } from 'vitest'
import { codeAttempt, strangerAttempt } from '../../../src/accounts/attempts.ts'

const keysFrom = (address: string, isNetworkShared = false): Set<string> => {
  const of = [strangerAttempt('ann', { address, isNetworkShared }), codeAttempt({ address, isNetworkShared })]
  const keys = of.flatMap(({ guesses, hashes }) => [...guesses, ...hashes])
  return new Set(keys.map(({ key, burst, seconds }) => `${key.toString('hex')} ${burst} ${seconds}`))
}
const shared = (one: string, other: string): number =>
  [...keysFrom(one)].filter((key) => keysFrom(other).has(key)).length

test('networks of one IPv6 site share what the site has, beside what everybody shares', () => {
  const ofAll = shared('192.0.2.1', '198.51.100.1')
  expect(shared('2001:db8:1:2::/64', '192.0.2.1')).toBe(ofAll)
  expect(shared('2001:db8:1:2::/64', '2001:db8:1:3::/64')).toBe(ofAll + 2)
  expect(shared('2001:db8:1:2::/64', '2001:db8:2:2::/64')).toBe(ofAll)
  expect(keysFrom('2001:db8:1:2::/64', true).size).toBe(4)
})
