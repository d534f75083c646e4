import { describe, expect, test } from 'vitest'
import type { Revocation, RevocationStore, RevocationTarget } from '../../../src/auth/revocation-store.ts'
import { Revocations } from '../../../src/auth/revocations.ts'
import { sleep } from '../../../src/lib/clock.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'

const LIFETIME_SECONDS = 3600

/** One database with a clock of its own, and any number of instances that look at it. */
function database() {
  const clock = new FakeClock()
  const rows: { atMs: number; revocation: Revocation }[] = []
  const state = {
    ...{ isAway: false, aheadMs: 0, takesMs: 0, cleanUps: 0 },
    looks: [] as (number | undefined)[],
    waitingSinceMs: undefined as number | undefined,
  }
  const nowMs = () => clock.now() + state.aheadMs
  const store: RevocationStore = {
    add: async (target, { lifetimeSeconds }) => {
      if (state.isAway) throw new Error('away')
      const revocation = {
        target,
        notBeforeSeconds: Math.floor(nowMs() / 1000),
        expiresAtMs: nowMs() + lifetimeSeconds * 1000,
      }
      rows.push({ atMs: nowMs(), revocation })
      return revocation
    },
    since: async (sinceMs) => {
      if (state.isAway) throw new Error('away')
      state.looks.push(sinceMs)
      if (state.takesMs > 0) await sleep(clock, state.takesMs)
      const { waitingSinceMs } = state
      const found = rows.filter(({ atMs }) => sinceMs === undefined || atMs >= sinceMs)
      return { revocations: found.map(({ revocation }) => revocation), serverTimeMs: nowMs(), waitingSinceMs }
    },
    issuedAt: async () => Math.floor(nowMs() / 1000),
    removeExpired: async () => {
      state.cleanUps += 1
      if (state.isAway) throw new Error('away')
    },
  }
  const insert = (target: RevocationTarget, agoMs = 0, isSuspension = false, sparesLogins = false): void => {
    const atMs = nowMs() - agoMs
    rows.push({
      atMs,
      revocation: {
        target,
        notBeforeSeconds: Math.floor(atMs / 1000),
        expiresAtMs: atMs + 3_600_000,
        isSuspension,
        sparesLogins,
      },
    })
  }
  const instance = (announce: () => void = () => undefined) => {
    const told: RevocationTarget[] = []
    const lines: string[] = []
    const log = (_: object, text: string) => lines.push(text)
    const revocations = new Revocations({
      store,
      clock,
      logger: { debug: log, info: log, warn: log, error: log },
      lifetimeSeconds: LIFETIME_SECONDS,
    })
    revocations.whenRevokedHere(announce)
    revocations.whenRevoked((targets) => told.push(...targets))
    return { revocations, told, lines }
  }
  const ann = (more: object = {}) => ({
    userId: 'ann',
    issuedAtSeconds: Math.floor(nowMs() / 1000),
    sessionId: 'session 1',
    tokenId: 'token 1',
    ...more,
  })
  return { clock, state, insert, instance, ann }
}

test('the time is that of the database, whatever has passed here', async () => {
  const { clock, state, instance } = database()
  const { revocations } = instance()
  await revocations.start()
  expect(revocations.epochMs()).toBe(clock.now())
  await clock.advance(400)
  expect(revocations.epochMs()).toBe(clock.now())
  // As if the machine had been suspended for so long.
  state.aheadMs = 600_000
  await clock.advance(1_000)
  expect(revocations.epochMs()).toBe(clock.now() + 600_000)
  // A look whose answer is long in coming puts nothing forward.
  state.takesMs = 800
  await clock.advance(3_000)
  expect(revocations.epochMs()).toBe(clock.now() + 600_000)
  state.isAway = true
  await clock.advance(3_600_000)
  expect(revocations.epochMs()).toBe(clock.now() + 600_000)
})

describe('a revocation', () => {
  test.each<[string, RevocationTarget]>([
    ['a user', { user_id: 'ann' }],
    ['a session', { session_id: 'session 1' }],
    ['a token', { jti: 'token 1' }],
  ])('of %s refuses it here at once and elsewhere within a second, and nobody else', async (_, target) => {
    const { clock, instance, ann } = database()
    const [here, there] = [instance(), instance()]
    await here.revocations.start()
    await there.revocations.start()
    const identity = ann()
    await here.revocations.revoke(target, { actor: 'key 1' })
    expect(here.revocations.isRevoked(identity)).toBe(true)
    expect(here.told).toEqual([target])
    await clock.advance(1_000)
    expect(there.revocations.isRevoked(identity)).toBe(true)
    expect(there.told).toEqual([target])
    const bob = { userId: 'bob', issuedAtSeconds: undefined, sessionId: 'session 2', tokenId: 'token 2' }
    expect(there.revocations.isRevoked(bob)).toBe(false)
    expect(there.revocations.isRevoked({ ...bob, sessionId: undefined, tokenId: undefined })).toBe(false)
  })

  test('of a user spares the login of a later second, and not one of the same', async () => {
    const { clock, instance, ann } = database()
    const { revocations } = instance()
    await revocations.revoke({ user_id: 'ann' }, { actor: 'key 1' })
    expect(revocations.isRevoked(ann())).toBe(true)
    await clock.advance(1_000)
    expect(revocations.isRevoked(ann())).toBe(false)
    expect(revocations.isRevoked(ann({ issuedAtSeconds: undefined }))).toBe(true)
  })

  test('of a user again moves the second forward, never back', async () => {
    const { clock, instance, insert, ann } = database()
    const { revocations } = instance()
    await revocations.revoke({ user_id: 'ann' }, { actor: 'key 1' })
    await clock.advance(5_000)
    const later = ann()
    await revocations.revoke({ user_id: 'ann' }, { actor: 'key 1' })
    insert({ user_id: 'ann' }, 60_000)
    await revocations.readAll()
    expect(revocations.isRevoked(later)).toBe(true)
  })

  test.each([[[true]], [[true, false]], [[false, true]]])(
    'of a user that spares logins refuses tokens without one, and takes nothing back: %j',
    async (orders) => {
      const { instance, insert, ann } = database()
      const { revocations, told } = instance()
      await revocations.start()
      for (const sparesLogins of orders) {
        insert({ user_id: 'ann' }, 0, false, sparesLogins)
        await revocations.look()
      }
      expect(revocations.isRevoked(ann({ sessionId: undefined }))).toBe(true)
      expect(revocations.isRevoked(ann())).toBe(orders.includes(false))
      expect(told.length).toBeGreaterThan(0)
    },
  )

  test('of a user says that it is a suspension, also when it comes in the same second as another', async () => {
    const { instance, insert, ann } = database()
    const { revocations, told } = instance()
    await revocations.revoke({ user_id: 'ann' }, { actor: 'key 1' })
    expect(revocations.isSuspended(ann())).toBe(false)
    insert({ user_id: 'ann' }, 0, true)
    await revocations.readAll()
    expect(revocations.isSuspended(ann())).toBe(true)
    expect(revocations.isSuspended(ann({ issuedAtSeconds: 1e12 }))).toBe(false)
    expect(told).toHaveLength(2)
    await revocations.readAll()
    expect(told).toHaveLength(2)
  })

  const SESSION: RevocationTarget = { session_id: 'session 1' }
  const ORDERS: readonly (readonly [RevocationTarget, isSuspension: boolean, agoMs: number])[][] = [
    [
      [SESSION, false, 0],
      [{ user_id: 'ann' }, true, 0],
    ],
    [
      [{ user_id: 'ann' }, true, 0],
      [SESSION, false, 0],
    ],
    [
      [{ user_id: 'ann' }, true, 5_000],
      [{ user_id: 'ann' }, false, 0],
    ],
    [
      [{ user_id: 'ann' }, false, 0],
      [{ user_id: 'ann' }, true, 5_000],
    ],
    [
      [{ jti: 'token 1' }, false, 0],
      [{ user_id: 'ann' }, false, 0],
      [{ user_id: 'ann' }, true, 0],
      [SESSION, false, 0],
    ],
  ]
  test.each(
    ORDERS.flatMap((rows) =>
      ['by a look of its own', 'by a hint of another instance'].map((way) => [way, rows] as const),
    ),
  )('that is a suspension is why the token is refused, whatever else was revoked: %s, %j', async (way, rows) => {
    const { clock, insert, instance, ann } = database()
    const { revocations, told } = instance()
    const identity = ann({ issuedAtSeconds: Math.floor(clock.now() / 1000) - 60 })
    const reasons: boolean[] = []
    await revocations.start()
    revocations.whenRevoked((targets) => {
      told.push(...targets)
      reasons.push(revocations.isSuspended(identity))
    })
    for (const [target, isSuspension, agoMs] of rows) insert(target, agoMs, isSuspension)
    await (way.includes('hint') ? revocations.look() : clock.advance(1_000))
    // Whoever is told of targets asks at once why, so the first answer has to be the right one.
    expect([reasons, told.length]).toEqual([[true], rows.length])
  })

  test('that is a suspension is not why a later token is refused', async () => {
    const { clock, insert, instance, ann } = database()
    const { revocations } = instance()
    insert({ user_id: 'ann' }, 5_000, true)
    insert({ user_id: 'ann' })
    await revocations.start()
    const between = ann({ issuedAtSeconds: Math.floor(clock.now() / 1000) - 2 })
    expect([revocations.isRevoked(between), revocations.isSuspended(between)]).toEqual([true, false])
  })

  test('of a key refuses that key', async () => {
    const { instance } = database()
    const { revocations } = instance()
    await revocations.revoke({ key_id: 'key 1' }, { actor: 'cli' })
    expect(revocations.isKeyRevoked('key 1')).toBe(true)
    expect(revocations.isKeyRevoked('key 2')).toBe(false)
  })

  test('is told again by nobody, and forgotten when no token can need it any more', async () => {
    const { clock, instance } = database()
    const one = instance()
    await one.revocations.start()
    await one.revocations.revoke({ jti: 'token 1' }, { actor: 'key 1' })
    await clock.advance(LIFETIME_SECONDS * 1000 - 1_000)
    expect(one.told).toEqual([{ jti: 'token 1' }])
    const token = { userId: 'ann', issuedAtSeconds: 0, sessionId: undefined, tokenId: 'token 1' }
    expect(one.revocations.isRevoked(token)).toBe(true)
    await clock.advance(2_000)
    expect(one.revocations.isRevoked(token)).toBe(false)
  })
})

describe('the look', () => {
  test('finds what was committed while the database was away for ten seconds and longer', async () => {
    const { clock, state, insert, instance, ann } = database()
    const { revocations, told } = instance()
    await revocations.start()
    state.isAway = true
    await clock.advance(60_000)
    // Committed by another instance a moment after this one lost the database: it is 59 s old when this one comes back.
    insert({ user_id: 'ann' }, 59_000)
    state.isAway = false
    await clock.advance(1_000)
    expect(told).toEqual([{ user_id: 'ann' }])
    expect(revocations.isRevoked(ann({ issuedAtSeconds: 0 }))).toBe(true)
  })

  test('goes by the time of the database, whatever the clock of this machine says', async () => {
    const { clock, state, insert, instance } = database()
    state.aheadMs = -3_600_000
    const { revocations, told } = instance()
    await revocations.start()
    insert({ jti: 'token 1' })
    await clock.advance(1_000)
    expect(told).toEqual([{ jti: 'token 1' }])
    expect(revocations.isStale).toBe(false)
  })

  test('takes ten seconds of slack, because rows are committed out of order', async () => {
    const { clock, insert, instance } = database()
    const { revocations, told } = instance()
    await revocations.start()
    await clock.advance(20_000)
    insert({ jti: 'late' }, 9_000)
    await clock.advance(1_000)
    expect(told).toEqual([{ jti: 'late' }])
  })

  test('finds what was revoked long before, where its COMMIT has waited for a standby', async () => {
    const { clock, state, insert, instance } = database()
    const { revocations, told } = instance()
    await revocations.start()
    state.waitingSinceMs = clock.now()
    await clock.advance(60_000)
    // The standby comes: the one that waited is seen now, and one that came when it was there.
    insert({ jti: 'waited' }, 60_000)
    insert({ jti: 'new' })
    state.waitingSinceMs = undefined
    await clock.advance(1_000)
    expect(told).toEqual([{ jti: 'waited' }, { jti: 'new' }])
    // One that waited no more when it was looked for, and was not to be seen yet.
    insert({ jti: 'in between' }, 60_500)
    await clock.advance(1_000)
    expect(told.at(-1)).toEqual({ jti: 'in between' })
    await clock.advance(1_000)
    expect(state.looks.at(-1)).toBe(clock.now() - 12_000)
  })

  test('reads everything unexpired at the start and after another history of the database', async () => {
    const { state, insert, instance } = database()
    insert({ jti: 'old' }, 1_800_000)
    const { revocations, told } = instance()
    await revocations.start()
    insert({ jti: 'restored' }, 1_800_000)
    await revocations.readAll()
    expect(told).toEqual([{ jti: 'old' }, { jti: 'restored' }])
    expect(state.looks).toEqual([undefined, undefined])
  })

  test('that began before all were to be read again is followed by one that reads all', async () => {
    const { state, instance, insert } = database()
    const { revocations, told } = instance()
    await revocations.start()
    const underWay = revocations.look()
    insert({ jti: 'restored' }, 1_800_000)
    await Promise.all([underWay, revocations.readAll()])
    expect(told).toEqual([{ jti: 'restored' }])
    expect(state.looks.at(-1)).toBeUndefined()
  })

  test('that fails leaves all to be read by the next one', async () => {
    const { clock, state, instance, insert } = database()
    const { revocations, told } = instance()
    await revocations.start()
    insert({ jti: 'restored' }, 1_800_000)
    state.isAway = true
    await revocations.readAll()
    state.isAway = false
    await clock.advance(1_000)
    expect(told).toEqual([{ jti: 'restored' }])
  })

  test('is stale after five seconds without success and says so once; and again fresh after one', async () => {
    const { clock, state, instance } = database()
    const { revocations, lines } = instance()
    expect(revocations.isStale).toBe(true)
    await revocations.start()
    state.isAway = true
    await clock.advance(5_000)
    expect(revocations.isStale).toBe(false)
    await clock.advance(1)
    expect(revocations.isStale).toBe(true)
    await clock.advance(10_000)
    state.isAway = false
    await clock.advance(1_000)
    expect(revocations.isStale).toBe(false)
    expect(lines).toEqual(['revocations cannot be read', 'revocations are read again'])
  })

  test('is as old as its question: what was committed before the answer came may not be in it', async () => {
    const { clock, state, instance } = database()
    const { revocations } = instance()
    await revocations.start()
    state.takesMs = 4_000
    await clock.advance(5_000)
    expect(state.looks).toHaveLength(2)
    state.isAway = true
    await clock.advance(1_000)
    expect(revocations.isStale).toBe(false)
    await clock.advance(1)
    expect(revocations.isStale).toBe(true)
  })

  test('removes what has expired each hour, also after it could not', async () => {
    const { clock, state, instance } = database()
    const { revocations, lines } = instance()
    await revocations.start()
    state.isAway = true
    await clock.advance(60 * 60_000)
    state.isAway = false
    await clock.advance(2 * 60 * 60_000)
    expect(state.cleanUps).toBe(3)
    expect(lines).toContain('expired revocations were not removed')
    revocations.close()
    await clock.advance(60 * 60_000)
    expect(state.cleanUps).toBe(3)
  })

  test('comes at once on a hint, and once more when the hint came during one', async () => {
    const { state, instance } = database()
    const { revocations } = instance()
    await revocations.start()
    const looks = [revocations.look(), revocations.look(), revocations.look()]
    await Promise.all(looks)
    expect(state.looks).toHaveLength(3)
  })

  test('keeps nobody waiting who has added something while hints never end', async () => {
    const { state, instance } = database()
    const { revocations } = instance()
    await revocations.start()
    let isAnswered = false
    const hintAgain = (): void => {
      if (!isAnswered && state.looks.length < 100) void revocations.look().then(hintAgain)
    }
    for (let hint = 0; hint < 3; hint += 1) hintAgain()
    await revocations.added()
    isAnswered = true
    // The first, the one that was under way, and the one behind it.
    expect(state.looks.length).toBeLessThanOrEqual(4)
  })

  test('tells the other instances after the commit, and not when nothing was committed', async () => {
    const { state, instance } = database()
    let announced = 0
    const { revocations, told } = instance(() => {
      announced += 1
    })
    state.isAway = true
    await expect(revocations.revoke({ jti: 'token 1' }, { actor: 'key 1' })).rejects.toThrow('away')
    expect([announced, told]).toEqual([0, []])
    state.isAway = false
    await revocations.revoke({ jti: 'token 1' }, { actor: 'key 1' })
    expect(announced).toBe(1)
  })

  test('ends when it is closed', async () => {
    const { clock, state, instance } = database()
    const { revocations } = instance()
    await revocations.start()
    revocations.close()
    await clock.advance(10_000)
    await settled()
    expect(state.looks).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })
})
