import { expect, test } from 'vitest'
import { clientAddress } from '../../../src/transport/address.ts'

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

test('nonsense in the header is left out', () => {
  expect(behindProxies('10.1.2.3', '')).toBe('10.1.2.3')
  expect(behindProxies('10.1.2.3', 'unknown, "x", 198.51.100.1, ')).toBe('198.51.100.1')
})

test('an IPv4 peer of a dual-stack socket is written as IPv4', () => {
  expect(clientAddress([])('0000:0000:0000:0000:0000:ffff:7f00:0001', '')).toBe('127.0.0.1')
})
