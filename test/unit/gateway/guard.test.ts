import { describe, expect, test } from 'vitest'
import { costOf } from '../../../src/gateway/command-table.ts'
import { Guard, type GuardLimits } from '../../../src/gateway/guard.ts'

const limits: GuardLimits = {
  userCommandsPerSecond: 10,
  addressRequestsPerSecond: 10,
  upgradesPerSecond: 10,
  addressRefusalsPerSecond: 10,
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

  test('answers ten wrong credentials of an address in a second, and then tells it to wait, and nobody else', () => {
    const clock = { nowMs: 0, now: () => clock.nowMs }
    const one = new Guard(limits, clock)
    for (let count = 0; count < 10; count += 1) expect(one.credentialRefused('192.0.2.1')).toBe(0)
    expect(one.credentialRefused('192.0.2.1')).toBe(100)
    expect(one.credentialRefused('192.0.2.2')).toBe(0)
    clock.nowMs = 100
    expect([one.credentialRefused('192.0.2.1'), one.credentialRefused('192.0.2.1')]).toEqual([0, 100])
  })

  test('counts ten users of a watch as a command', () => {
    const all = guard()
    const user_ids = Array.from({ length: 101 }, (_, index) => `user${index}`)
    expect(costOf({ type: 'ping' })).toBe(1)
    expect(costOf({ type: 'watch', user_ids: [] })).toBe(1)
    expect(costOf({ type: 'unwatch', user_ids })).toBe(11)
    expect(all.command('ann', costOf({ type: 'watch', user_ids }))).toBe(0)
    for (let count = 11; count < 20; count += 1) expect(all.command('ann')).toBe(0)
    expect(all.command('ann')).toBe(100)
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

  test('refuses a further socket of an address, and takes one again after one was given back', () => {
    const all = guard()
    const places = [all.reserve('192.0.2.1'), all.reserve('192.0.2.1')]
    expect(all.reserve('192.0.2.1')).toBe('rate_limited')
    expect(all.reserve('192.0.2.2')).toBeTypeOf('object')
    const [first] = places
    if (typeof first === 'object') first.release()
    expect(all.reserve('192.0.2.1')).toBeTypeOf('object')
    // The same place given back twice is one.
    if (typeof first === 'object') first.release()
    expect(all.reserve('192.0.2.1')).toBe('rate_limited')
  })

  test('refuses everybody while as many places are taken as may be', () => {
    const all = guard()
    for (let address = 0; address < 4; address += 1) all.reserve(`192.0.2.${address}`)
    expect(all.reserve('192.0.2.9')).toBe('overloaded')
  })

  test('spreads a storm of upgrades', () => {
    const all = guard({ maxConnections: 1000, maxConnectionsPerAddress: 1000 })
    const refused = Array.from({ length: 50 }, () => all.reserve('192.0.2.1')).filter((code) => code === 'overloaded')
    expect(refused.length).toBe(30)
  })
})
