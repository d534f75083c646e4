import { describe, expect, test } from 'vitest'
import { isPublicAddress } from '../../../src/outbound/addresses.ts'

describe('an address is public', () => {
  test.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2a00:1450:4001:82b::200a', '2606:4700::1111'])(
    '%s',
    (address) => {
      expect(isPublicAddress(address)).toBe(true)
    },
  )
})

/** Of each network the first and the last address. */
const NETWORKS = [
  ['0.0.0.0', '0.255.255.255'],
  ['10.0.0.0', '10.255.255.255'],
  ['100.64.0.0', '100.127.255.255'],
  ['127.0.0.0', '127.255.255.255'],
  ['169.254.0.0', '169.254.255.255'],
  ['172.16.0.0', '172.31.255.255'],
  ['192.0.0.0', '192.0.0.255'],
  ['192.0.2.0', '192.0.2.255'],
  ['192.88.99.0', '192.88.99.255'],
  ['192.168.0.0', '192.168.255.255'],
  ['198.18.0.0', '198.19.255.255'],
  ['198.51.100.0', '198.51.100.255'],
  ['203.0.113.0', '203.0.113.255'],
  ['224.0.0.0', '255.255.255.255'],
] as const
const neighbour = (address: string, step: 1 | -1): string => {
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) + step
  return [24, 16, 8, 0].map((bits) => Math.floor(value / 2 ** bits) % 256).join('.')
}

test.each(NETWORKS)('from %s to %s none is public, and those beside them are', (first, last) => {
  expect([isPublicAddress(first), isPublicAddress(last)]).toEqual([false, false])
  const beside = [first === '0.0.0.0' ? '1.0.0.0' : neighbour(first, -1), neighbour(last, 1)]
  // What comes after the last of all does not exist.
  expect(beside.filter((address) => !isPublicAddress(address))).toEqual(last === '255.255.255.255' ? ['0.0.0.0'] : [])
})

test.each([
  ['2001:1ff:ffff::1', '2001:200::1'],
  ['2001:db8:ffff::1', '2001:db9::1'],
  ['2002:ffff::1', '2003::1'],
  ['3fff:fff::1', '3fff:1000::1'],
  ['1fff:ffff::1', '2000::1'],
  ['4000::1', '3ffe::1'],
])('%s is not public, and %s is', (inner, outer) => {
  expect([isPublicAddress(inner), isPublicAddress(outer)]).toEqual([false, true])
})

test.each([
  ['64:ff9b::808:808', true],
  ['64:ff9b::8.8.8.8', true],
  ['0064:FF9B:0:0:0:0:0808:0808', true],
  ['64:ff9b::1:0', false],
  ['64:ff9b::', false],
  ['64:ff9b::a00:1', false],
  ['64:ff9b::10.0.0.1', false],
  ['64:ff9b::a9fe:a9fe', false],
  ['64:ff9b::c0a8:101', false],
  ['64:ff9b::e000:1', false],
  ['64:ff9b:0:0:0:1:808:808', false],
  ['64:ff9b:1::808:808', false],
])('%s, through NAT64, is as public as the IPv4 address in it: %s', (address, isPublic) => {
  expect(isPublicAddress(address)).toBe(isPublic)
})

describe('an address is not public', () => {
  test.each([
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.170',
    '192.0.2.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::ffff:0:127.0.0.1',
    '64:ff9b::7f00:1',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '3fff::1',
    '5f00::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fe80::1%eth0',
    '64:ff9b::808:808%eth0',
    'fec0::1',
    'ff02::1',
    'localhost',
    '',
  ])('%s', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })
})
