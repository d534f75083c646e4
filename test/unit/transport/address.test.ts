import { expect, test } from 'vitest'
import { addressText, clientAddress, countedAddress } from '../../../src/transport/address.ts'

const behindProxies = clientAddress(['10.0.0.0/8', '2001:db8::1'])

test('an untrusted peer is who it is, whatever it claims', () => {
  expect(clientAddress([])('192.0.2.7', '198.51.100.1')).toBe('192.0.2.7')
  expect(behindProxies('192.0.2.7', '198.51.100.1')).toBe('192.0.2.7')
})

test('a trusted proxy is believed about its client, and the client about nobody', () => {
  expect(behindProxies('10.1.2.3', '198.51.100.1')).toBe('198.51.100.1')
  expect(behindProxies('10.1.2.3', '203.0.113.9, 198.51.100.1')).toBe('198.51.100.1')
})

test('a chain of trusted proxies is followed to the first that is not trusted', () => {
  expect(behindProxies('10.1.2.3', '203.0.113.9, 198.51.100.1, 10.9.9.9')).toBe('198.51.100.1')
  expect(behindProxies('2001:db8::1', '198.51.100.1, 10.9.9.9')).toBe('198.51.100.1')
})

test.each([
  ['203.0.113.9:51234', '203.0.113.9'],
  ['[2001:db8::7]:51234', '2001:db8::7'],
  ['[2001:db8::7]', '2001:db8::7'],
])('a proxy may write %s', (hop, client) => {
  expect(behindProxies('10.1.2.3', `198.51.100.66, ${hop}`)).toBe(client)
  expect(behindProxies('10.1.2.3', `198.51.100.66, ${hop}, 10.9.9.9:443`)).toBe(client)
})

test.each(['', 'unix:', 'unknown', '_hidden', '"x"', '[::1', '203.0.113.9:x', '256.1.1.1:80'])(
  'a proxy that wrote "%s" is the client, not what stands before that',
  (hop) => {
    expect(behindProxies('10.1.2.3', hop)).toBe('10.1.2.3')
    expect(behindProxies('10.1.2.3', `198.51.100.66, ${hop}`)).toBe('10.1.2.3')
    expect(behindProxies('10.1.2.3', `198.51.100.66, ${hop}, 10.9.9.9`)).toBe('10.9.9.9')
  },
)

test('nonsense before the client is not read', () => {
  expect(behindProxies('10.1.2.3', 'unknown, "x", , 198.51.100.1')).toBe('198.51.100.1')
})

test('a peer without an address is no proxy', () => {
  expect(behindProxies('', '198.51.100.1')).toBe('')
})

test.each([
  ['7f000001', '127.0.0.1'],
  ['00000000000000000000ffff7f000001', '127.0.0.1'],
  ['00000000000000000000000000000001', '0000:0000:0000:0000:0000:0000:0000:0001'],
  ['0000000000000000000000007f000001', '0000:0000:0000:0000:0000:0000:7f00:0001'],
  ['20010db8000000000000000000c0ffee', '2001:0db8:0000:0000:0000:0000:00c0:ffee'],
])('the peer %s is written as %s', (bytes, text) => {
  expect(addressText(Buffer.from(bytes, 'hex'))).toBe(text)
  expect(behindProxies(text, '')).toBe(text)
})

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:c000:207', '192.0.2.7'],
  ['2001:0db8:0001:0002:0000:0000:00c0:ffee', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2:ffff::1', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
  ['2001:db8::2:1:2:3:4', '2001:db8:0:2::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['0000:0000:0000:0000:0000:0000:0000:0001', '0:0:0:0::/64'],
  ['64:ff9b::192.0.2.7', '192.0.2.7'],
  ['0064:FF9B:0000:0000:0000:0000:c000:0208', '192.0.2.8'],
  ['64:ff9b::7', '0.0.0.7'],
  ['64:ff9b::1:c000:207', '64:ff9b:0:0::/64'],
  ['64:ff9b:1::192.0.2.7', '64:ff9b:1:0::/64'],
  ['::192.0.2.7', '0:0:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', ''],
])('%s counts as %s', (address, counted) => {
  expect(countedAddress(address)).toBe(counted)
})
