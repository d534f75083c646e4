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

  describe('of requests', () => {
    function requests(addressRequestsPerSecond: number) {
      const clock = { nowMs: 0, now: () => clock.nowMs }
      const one = new Guard({ ...limits, addressRequestsPerSecond }, clock)
      /** How many of so many at this moment are let through, and how many had to say who they are. */
      const ask = (address: string, count: number) => {
        let passed = 0
        let asked = 0
        const who = (): string => {
          asked += 1
          return address
        }
        for (let request = 0; request < count; request += 1) if (one.request(who) === 0) passed += 1
        return { passed, asked }
      }
      return { clock, ask }
    }

    test('asks nobody who they are while all together keep to what one may', () => {
      const { clock, ask } = requests(1000)
      for (let turn = 0; turn < 100; turn += 1, clock.nowMs += 100) {
        expect(ask(`192.0.2.${turn}`, 100)).toEqual({ passed: 100, asked: 0 })
      }
    })

    test('refuses who asks for too much, and nobody else', () => {
      const { clock, ask } = requests(1000)
      expect(ask('192.0.2.1', 5000)).toEqual({ passed: 2000, asked: 4900 })
      expect(ask('192.0.2.2', 1900).passed).toBe(1900)
      clock.nowMs += 500
      expect(ask('192.0.2.1', 5000).passed).toBe(500)
    })

    // Just below the rate between two waves; one burst for each time that nobody was counted any more.
    test.each([
      ['short', 1_000, 4_000, 1],
      ['long', 10_000, 80_000, 9],
    ])('lets nobody have more than their rate by asking in %s waves', (_length, waveMs, everyMs, bursts) => {
      const { clock, ask } = requests(1000)
      let passed = 0
      for (; clock.nowMs < 700_000; clock.nowMs += 100) {
        passed += ask('192.0.2.1', clock.nowMs % everyMs < waveMs ? 300 : 99).passed
      }
      expect(passed).toBeGreaterThan(0.99 * 700_000)
      expect(passed).toBeLessThanOrEqual(700_000 + bursts * 2000)
    })

    test('counts exactly where one may ask for little', () => {
      const { ask } = requests(5)
      expect(ask('192.0.2.1', 100).passed).toBe(10)
      expect(ask('192.0.2.2', 100).passed).toBe(10)
    })

    test('without a limit asks nobody', () => {
      expect(requests(0).ask('192.0.2.1', 1000)).toEqual({ passed: 1000, asked: 0 })
    })
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
