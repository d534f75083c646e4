import { describe, expect, test } from 'vitest'
import { Guard, type GuardLimits } from '../../../src/gateway/guard.ts'
import { crossOriginHeaders, isOriginAllowed } from '../../../src/gateway/origin.ts'

const limits: GuardLimits = {
  userCommandsPerSecond: 10,
  addressRequestsPerSecond: 10,
  upgradesPerSecond: 10,
  maxConnections: 4,
  maxConnectionsPerAddress: 2,
}
const guard = (changed: Partial<GuardLimits> = {}) => new Guard({ ...limits, ...changed }, { now: () => 0 })

describe('the guard', () => {
  test('counts the commands of a user over all of their connections', () => {
    const all = guard()
    for (let count = 0; count < 20; count += 1) expect(all.command('ann')).toBe(0)
    expect(all.command('ann')).toBe(100)
    expect(all.command('bob')).toBe(0)
  })

  test('refuses a further socket of an address, and takes one again after one closed', () => {
    const all = guard()
    all.opened('192.0.2.1')
    all.opened('192.0.2.1')
    expect(all.refusal('192.0.2.1')).toBe('rate_limited')
    expect(all.refusal('192.0.2.2')).toBeUndefined()
    all.closed('192.0.2.1')
    expect(all.refusal('192.0.2.1')).toBeUndefined()
  })

  test('refuses everybody while as many sockets are open as may be', () => {
    const all = guard()
    for (let address = 0; address < 4; address += 1) all.opened(`192.0.2.${address}`)
    expect(all.refusal('192.0.2.9')).toBe('overloaded')
  })

  test('spreads a storm of upgrades', () => {
    const all = guard({ maxConnections: 1000 })
    const refused = Array.from({ length: 50 }, () => all.refusal('192.0.2.1')).filter((code) => code === 'overloaded')
    expect(refused.length).toBe(30)
  })
})

describe('the origin of an upgrade', () => {
  const listed = { any: false, allowed: ['https://app.example.com'] }
  const own = { any: false, allowed: [] }

  test.each([
    'https://app.example.com.evil.com',
    'https://evil-app.example.com',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://APP.example.com',
    'https://app.example.com.',
    'https://app.example.com/',
    'https://app.example.com, https://evil.com',
    'null',
    'file://',
    'https://',
    'app.example.com',
  ])('%s is foreign to a list that names another', (origin) => {
    expect(isOriginAllowed(origin, 'app.example.com', listed)).toBe(false)
  })

  test('is allowed when it is listed exactly, and when there is none', () => {
    expect(isOriginAllowed('https://app.example.com', 'chat.internal', listed)).toBe(true)
    expect(isOriginAllowed(undefined, 'chat.internal', listed)).toBe(true)
    expect(isOriginAllowed('', 'chat.internal', listed)).toBe(true)
  })

  test('is allowed without a list only when it is our own', () => {
    expect(isOriginAllowed('http://localhost:8080', 'localhost:8080', own)).toBe(true)
    expect(isOriginAllowed('http://localhost:3000', 'localhost:8080', own)).toBe(false)
    expect(isOriginAllowed('null', 'localhost:8080', own)).toBe(false)
  })

  test('may read answers only when it is listed', () => {
    expect(crossOriginHeaders('https://app.example.com', listed)).toMatchObject({
      'Access-Control-Allow-Origin': 'https://app.example.com',
      Vary: 'Origin',
    })
    expect(crossOriginHeaders('https://evil.com', listed)).toEqual({})
    expect(crossOriginHeaders('http://localhost:8080', own)).toEqual({})
  })
})
