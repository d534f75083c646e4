import { describe, expect, test } from 'vitest'
import { Guesses } from '../../../src/accounts/guesses.ts'
import { KnownSessions } from '../../../src/accounts/known-sessions.ts'
import type { Network } from '../../../src/accounts/network.ts'
import { OpenSessions } from '../../../src/accounts/open-sessions.ts'
import { newMacKey, refreshToken } from '../../../src/accounts/refresh-token.ts'
import { AccountRefusal } from '../../../src/accounts/refusal.ts'
import { hashOf } from '../../../src/accounts/secrets.ts'
import type { SessionStore } from '../../../src/accounts/session-store.ts'
import type { ErrorCode } from '../../../src/protocol/codes.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const from = (address: string, isNetworkShared = false): Network => ({ address, isNetworkShared })
const ASKER = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }
const ELSEWHERE = { ...ASKER, address: '192.0.2.2' }
const codeOf = (error: unknown): unknown => (error instanceof AccountRefusal ? error.code : error)

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

function bench(perSecond = 1) {
  const clock = new FakeClock()
  const faults: string[] = []
  const observer = { credentialRefused: (fault: string) => void faults.push(fault) }
  const guesses = new Guesses({ clock, perSecond, observer })
  /** How many of so many attempts are looked at. */
  const looks = async (network: Network, count: number, code: ErrorCode = 'unauthorized'): Promise<number> => {
    let looked = 0
    const look = (): Promise<never> => {
      looked += 1
      return Promise.reject(new AccountRefusal(code))
    }
    for (let at = 0; at < count; at += 1) await guesses.attempt('cookie', network, look).catch(codeOf)
    return looked
  }
  return { guesses, faults, looks, clock, later: (ms: number) => clock.advance(ms) }
}

describe('what a network gets wrong', () => {
  test('is looked at ten times its rate at once, and then at its rate; others go on', async () => {
    const { looks, later, guesses, faults } = bench()
    expect(await looks(from('192.0.2.1'), 30)).toBe(10)
    expect(faults).toEqual(Array(10).fill('cookie'))
    expect(await looks(from('192.0.2.2'), 30)).toBe(10)
    await later(2_000)
    expect(await looks(from('192.0.2.1'), 30)).toBe(2)
    const refused = guesses.attempt('cookie', from('192.0.2.1'), async () => 'right')
    await expect(refused).rejects.toMatchObject({ code: 'rate_limited', detail: { retryAfterMs: 1_000 } })
    expect(await guesses.attempt('cookie', undefined, async () => 'right')).toBe('right')
  })

  test('is told by what is wrong alone: an attempt that waits for its turn counts, and one that was right does not', async () => {
    const { looks, guesses, faults } = bench()
    expect(await looks(from('192.0.2.1'), 30, 'overloaded')).toBe(30)
    expect(await looks(from('192.0.2.1'), 30, 'refresh_in_progress')).toBe(30)
    for (let at = 0; at < 30; at += 1) await guesses.attempt('password', from('192.0.2.1'), async () => 'right')
    const away = (): Promise<never> => Promise.reject(new Error('away'))
    for (let at = 0; at < 30; at += 1) await guesses.attempt('link', from('192.0.2.1'), away).catch(codeOf)
    expect(await looks(from('192.0.2.1'), 30, 'rate_limited')).toBe(10)
    expect(faults).toEqual([])
  })

  test('counts while it is under way, so that many at once are no more', async () => {
    const { guesses } = bench()
    const ends: (() => void)[] = []
    const look = (): Promise<void> => new Promise((resolve) => void ends.push(resolve))
    const attempts = Array.from({ length: 30 }, () => guesses.attempt('link', from('192.0.2.1'), look).catch(codeOf))
    expect(ends).toHaveLength(10)
    for (const end of ends.splice(0)) end()
    expect((await Promise.all(attempts)).filter((one) => one === 'rate_limited')).toHaveLength(20)
    void guesses.attempt('link', from('192.0.2.1'), look)
    expect(ends).toHaveLength(1)
  })

  test('counts for its IPv6 /48, too, which has ten times as much, as has a network that many share', async () => {
    const { looks } = bench()
    let looked = 0
    for (let at = 0; at < 15; at += 1) looked += await looks(from(`2001:db8:1:${at}::/64`), 15)
    expect(looked).toBe(100)
    expect(await looks(from('2001:db8:2:1::/64'), 15)).toBe(10)
    expect(await looks(from('10.0.0.1', true), 150)).toBe(100)
  })

  test('is looked at without end where there is no limit', async () => {
    expect(await bench(0).looks(from('192.0.2.1'), 200)).toBe(200)
  })
})

describe('a session', () => {
  const macKey = newMacKey()
  const ID = '0190a0a0-0000-7000-8000-000000000001'
  const open = { userId: 'ann', sessionId: ID, issuedAtSeconds: 1 }

  function sessionBench() {
    const { guesses, faults, clock } = bench()
    let asked = 0
    let underWay = 0
    let atOnce = 0
    let isOpen = true
    let gate: Promise<void> | undefined
    const noted = <T>(answer: () => T) => {
      return async (id: unknown): Promise<T | undefined> => {
        asked += 1
        underWay += 1
        atOnce = Math.max(atOnce, underWay)
        await gate
        underWay -= 1
        return isOpen && (id === ID || Buffer.isBuffer(id)) ? answer() : undefined
      }
    }
    const state = { ...open, macKey, counter: 0, lastAttempt: undefined, usedAgoMs: [] }
    const store = {
      byCookie: noted(() => open),
      refreshState: noted(() => state),
      rotate: noted(() => open),
      usedLast: async () => [ID, hashOf('secret')],
    }
    const sessions = new OpenSessions({
      store: store as unknown as SessionStore,
      tokens: { issue: () => ({ token: 'token', expiresAtMs: 0 }) },
      revocations: { added: async () => undefined },
      guesses,
      known: new KnownSessions(),
      clock,
    })
    const refresh = (text: string): Promise<unknown> =>
      sessions.refresh(text, 'attempt', ASKER).then(() => 'renewed', codeOf)
    const byCookie = (): Promise<unknown> => sessions.tokenByCookie('secret', ASKER).then(() => 'renewed', codeOf)
    return {
      ...{ refresh, byCookie, faults, sessions, clock },
      guesses,
      /** From now on, until the returned function is called. */
      hang: (): (() => void) => {
        const { promise, resolve } = withResolvers()
        gate = promise
        return resolve
      },
      asked: () => asked,
      atOnce: () => atOnce,
      end: () => {
        isOpen = false
      },
    }
  }
  const unknown = (at: number): string =>
    refreshToken(`0190a0a0-0000-7000-8000-1${String(at).padStart(11, '0')}`, 0, newMacKey())

  test('that nobody has is looked for ten times at once; one that went on of late goes on', async () => {
    const { refresh, byCookie, asked, faults } = sessionBench()
    expect([await refresh(refreshToken(ID, 0, macKey)), await byCookie()]).toEqual(['renewed', 'renewed'])
    const before = asked()
    const answers: unknown[] = []
    for (let at = 0; at < 30; at += 1) answers.push(await refresh(unknown(at)))
    expect(answers).toEqual([...Array(10).fill('unauthorized'), ...Array(20).fill('rate_limited')])
    expect(asked() - before).toBe(10)
    expect(faults).toEqual(Array(10).fill('refresh_token'))
    expect([await refresh(refreshToken(ID, 0, macKey)), await byCookie()]).toEqual(['renewed', 'renewed'])
  })

  test('that has ended is as any other from then on', async () => {
    const { refresh, byCookie, asked, end } = sessionBench()
    expect([await refresh(refreshToken(ID, 0, macKey)), await byCookie()]).toEqual(['renewed', 'renewed'])
    end()
    const before = asked()
    for (let at = 0; at < 30; at += 1) await byCookie()
    // Once as one that went on of late.
    expect(asked() - before).toBe(11)
    expect([await byCookie(), await refresh(refreshToken(ID, 0, macKey))]).toEqual(['rate_limited', 'unauthorized'])
    expect(await refresh(refreshToken(ID, 0, macKey))).toBe('rate_limited')
  })

  test('from before the process began goes on there, too, while somebody beside it is wrong', async () => {
    const { refresh, byCookie, sessions } = sessionBench()
    await sessions.remember()
    for (let at = 0; at < 30; at += 1) await refresh(unknown(at))
    expect(await refresh(unknown(30))).toBe('rate_limited')
    expect([await refresh(refreshToken(ID, 0, macKey)), await byCookie()]).toEqual(['renewed', 'renewed'])
  })

  test('that is not known there is left all the same, and what nobody has is looked for one at a time', async () => {
    const { refresh, byCookie, sessions, end, faults, atOnce } = sessionBench()
    for (let at = 0; at < 30; at += 1) await refresh(unknown(at))
    expect(await byCookie()).toBe('rate_limited')
    expect(await sessions.leaving('secret', ASKER)).toBe(open)
    end()
    const left = await Promise.allSettled(Array.from({ length: 5 }, (_, at) => sessions.leaving(`cookie ${at}`, ASKER)))
    for (const one of left) expect(one).toMatchObject({ reason: { code: 'unauthorized' } })
    expect([faults.slice(-5), atOnce()]).toEqual([Array(5).fill('cookie'), 1])
  })

  test('that is left is not refused when others of its network are wrong while it waits for its turn', async () => {
    const { refresh, sessions, hang, guesses } = sessionBench()
    const goOn = hang()
    const others = Array.from({ length: 8 }, (_, at) =>
      sessions.refresh(unknown(at), 'attempt', ELSEWHERE).catch(codeOf),
    )
    const left = sessions.leaving('secret', ASKER)
    const wrong = (): Promise<never> => Promise.reject(new AccountRefusal('unauthorized'))
    for (let at = 0; at < 30; at += 1) await guesses.attempt('cookie', ASKER, wrong).catch(codeOf)
    goOn()
    expect(await left).toBe(open)
    expect(new Set(await Promise.all(others))).toEqual(new Set(['unauthorized']))
    expect(await refresh(unknown(9))).toBe('rate_limited')
  })

  test.each([
    ['is renewed', 8, 0],
    ['is left, in a network that is wrong too often', 1, 30],
  ])(
    'that is not known and %s waits in a queue that has an end while the database hangs',
    async (what, atOnce, wrong) => {
      const { refresh, sessions, hang, asked, clock } = sessionBench()
      for (let at = 0; at < wrong; at += 1) await refresh(unknown(at))
      hang()
      const before = asked()
      const ask = (at: number): Promise<unknown> =>
        what === 'is renewed'
          ? sessions.refresh(unknown(at), 'attempt', ELSEWHERE)
          : sessions.leaving(`cookie ${at}`, ASKER)
      const ends: unknown[] = []
      for (let at = 0; at < 1_100; at += 1) ask(at).catch((error: unknown) => ends.push(codeOf(error)))
      await settled()
      expect([asked() - before, ends.length]).toEqual([atOnce, 1_100 - atOnce - 1_024])
      expect(new Set(ends)).toEqual(new Set(['overloaded']))
      await clock.advance(10_000)
      expect(ends).toHaveLength(1_100 - atOnce)
    },
  )
})
