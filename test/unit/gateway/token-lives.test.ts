import { describe, expect, test } from 'vitest'
import type { Authenticator, Verification } from '../../../src/auth/authenticator.ts'
import type { TokenIdentity } from '../../../src/auth/claims.ts'
import { TokenLives } from '../../../src/gateway/token-lives.ts'
import { TimerWheel } from '../../../src/lib/timer-wheel.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

/** Connections of `ann`, whose tokens are named; `auth` with a name proves that token. */
function setUp() {
  const clock = new FakeClock()
  const set = { byMs: 0 }
  const time = { epochMs: () => clock.now() + set.byMs }
  const revoked = new Set<string | undefined>()
  const asked: (string | undefined)[] = []
  const later = new Map<string, Promise<void>>()
  const identityOf = (tokenId: string, lifeMs = 600_000): TokenIdentity => ({
    userId: tokenId.startsWith('eve') ? 'eve' : 'ann',
    expiresAtMs: clock.now() + lifeMs,
    issuedAtSeconds: undefined,
    sessionId: `session of ${tokenId}`,
    tokenId,
  })
  const authenticator: Authenticator = {
    verify: (token): Verification => {
      const awaited = later.get(token)
      later.delete(token)
      if (awaited !== undefined) return { fault: 'unknown_key', later: awaited }
      if (token === 'away') return { fault: 'unavailable' }
      return token === 'forged' || revoked.has(token) ? { fault: 'revoked' } : { identity: identityOf(token) }
    },
    isRevoked: ({ tokenId }) => {
      asked.push(tokenId)
      return revoked.has(tokenId)
    },
    isSuspended: ({ tokenId }) => tokenId === 'suspended',
    redeem: async () => ({ fault: 'ticket' }),
    verifyKey: async () => ({ fault: 'key' }),
  }
  const lives = new TokenLives({ authenticator, wheel: new TimerWheel(clock, time), clock, time, leewaySeconds: 30 })
  const connect = (tokenId: string, lifeMs?: number) => {
    const told: unknown[] = []
    const identity = identityOf(tokenId, lifeMs)
    const holder = {
      identity: { ...identity, connectionId: tokenId } as never,
      isOpen: true,
      reply: (event: { type: string }) => void told.push(event.type),
      refuse: ({ code }: { code: string }) => void told.push(code),
      close: (name: string, reason?: string) => {
        told.push(`closed ${reason ?? name}`)
        lives.ended(holder)
      },
    }
    lives.started(holder, identity)
    return { told, renew: (token: string) => lives.renew(holder, token, undefined) }
  }
  return { asked, clock, set, lives, revoked, later, connect }
}

describe('the token of an open connection', () => {
  test('that was revoked between its verification and the connection ends it at once', () => {
    const { revoked, connect } = setUp()
    revoked.add('first')
    expect(connect('first').told).toEqual(['closed session_revoked'])
  })

  test('ends it in another way when the account is suspended', () => {
    const { revoked, connect } = setUp()
    revoked.add('suspended')
    expect(connect('suspended').told).toEqual(['closed account_suspended'])
  })

  test('ends it when it is revoked, and no connection of another token', () => {
    const { revoked, connect, lives } = setUp()
    const [one, other] = [connect('first'), connect('second')]
    revoked.add('first')
    lives.revoked([{ jti: 'first' }])
    expect([one.told, other.told]).toEqual([['closed session_revoked'], []])
  })

  test.each([{ user_id: 'eve' }, { session_id: 'session of eve’s' }, { jti: 'eve’s' }])(
    'is looked at when it may be the one that is revoked, and no other: %j',
    (target) => {
      const { asked, connect, lives, revoked } = setUp()
      const told = ['first', 'second', 'eve’s'].map((tokenId) => connect(tokenId).told)
      revoked.add('eve’s')
      asked.length = 0
      lives.revoked([target, target])
      expect([asked, told]).toEqual([['eve’s'], [[], [], ['closed session_revoked']]])
      lives.revoked([target, { key_id: 'key' }])
      expect(asked).toHaveLength(1)
    },
  )

  test('is told of a minute before its end, and ends it after the leeway', async () => {
    const { clock, connect } = setUp()
    const { told } = connect('first', 600_000)
    await clock.advance(538_000)
    expect(told).toEqual([])
    await clock.advance(4_000)
    expect(told).toEqual(['auth_expiring'])
    await clock.advance(86_000)
    expect(told).toEqual(['auth_expiring'])
    await clock.advance(4_000)
    expect(told).toEqual(['auth_expiring', 'closed token_expired'])
  })

  test('ends it within a second when the time is set, as after the machine was suspended', async () => {
    const { clock, set, connect } = setUp()
    const { told } = connect('first', 600_000)
    set.byMs = 640_000
    await clock.advance(1_000)
    expect(told).toEqual(['auth_expiring'])
    await clock.advance(1_000)
    expect(told).toEqual(['auth_expiring', 'closed token_expired'])
  })

  test('is replaced by one of the same user, whose end then counts, and by nobody else’s', async () => {
    const { clock, connect } = setUp()
    const { told, renew } = connect('first', 100_000)
    renew('eve’s')
    expect(told).toEqual(['forbidden'])
    await clock.advance(6_000)
    renew('second')
    await clock.advance(150_000)
    expect(told).toEqual(['forbidden', 'authenticated'])
  })

  test('once replaced ends nothing when it is revoked; the one after it does', async () => {
    const { connect, lives, revoked } = setUp()
    const { told, renew } = connect('first')
    renew('second')
    revoked.add('first')
    lives.revoked([{ jti: 'first' }])
    expect(told).toEqual(['authenticated'])
    revoked.add('second')
    lives.revoked([{ jti: 'second' }])
    expect(told).toEqual(['authenticated', 'closed session_revoked'])
  })

  test('is not replaced by one that is revoked while its key is looked for', async () => {
    const { connect, later, revoked } = setUp()
    const { told, renew } = connect('first')
    later.set('second', Promise.resolve())
    renew('second')
    revoked.add('second')
    await settled()
    expect(told).toEqual(['unauthorized', 'closed unauthorized'])
  })

  test('stays when the trouble is ours, and is renewed no more than once in five seconds', () => {
    const { connect } = setUp()
    const { told, renew } = connect('first')
    renew('away')
    renew('second')
    expect(told).toEqual(['unavailable', 'rate_limited'])
  })
})
