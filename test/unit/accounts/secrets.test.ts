import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isGenuine, newMacKey, parseRefreshToken, refreshToken } from '../../../src/accounts/refresh-token.ts'
import { newRecoveryCode, newSecret, newUserId, recoveryCodeHash } from '../../../src/accounts/secrets.ts'
import { SigningKeys } from '../../../src/accounts/signing-keys.ts'
import { USER_ID_PATTERN } from '../../../src/protocol/limits.ts'
import { FakeClock, settled } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

describe('a refresh token', () => {
  test('is what it was made of, and genuine by the key of its session alone', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat({ max: 999_999_999 }), (sessionId, counter) => {
        const key = newMacKey()
        const parsed = parseRefreshToken(refreshToken(sessionId, counter, key))
        if (!parsed) return false
        const isOther = isGenuine({ ...parsed, counter: counter + 1 }, key) || isGenuine(parsed, newMacKey())
        return parsed.sessionId === sessionId && parsed.counter === counter && isGenuine(parsed, key) && !isOther
      }),
      { numRuns: 200 },
    )
  })

  test('has one spelling: unused bits of the last digit and zeros before the counter make another text', () => {
    const token = refreshToken(randomUUID(), 7, newMacKey())
    const digits = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_']
    const good = digits.map((digit) => token.slice(0, -1) + digit).filter((text) => parseRefreshToken(text))
    // Of the 6 bits of the last digit 2 are beyond the 32 bytes.
    expect(good).toHaveLength(16)
    expect(good).toContain(token)
    expect(parseRefreshToken(token.replace('.7.', '.07.'))).toBeUndefined()
  })

  test('of any other form is none', () => {
    fc.assert(fc.property(fc.string(), (text) => parseRefreshToken(text) === undefined))
    fc.assert(fc.property(fc.string(), (text) => parseRefreshToken(`mrt_${text}`) === undefined))
  })
})

test('a recovery code is read as a person writes it', () => {
  const { text, hash } = newRecoveryCode()
  for (const written of [text, text.toUpperCase(), text.replaceAll('-', ''), ` ${text.replaceAll('-', ' ')} `]) {
    expect(recoveryCodeHash(written)).toEqual(hash)
  }
  expect(recoveryCodeHash('1o0l')).toEqual(recoveryCodeHash('I00i'))
})

test('secrets and ids are never the same twice, and ids are user ids', () => {
  const ids = Array.from({ length: 1_000 }, newUserId)
  expect(new Set(ids).size).toBe(1_000)
  expect(ids.every((id) => USER_ID_PATTERN.test(id))).toBe(true)
  expect(new Set(Array.from({ length: 1_000 }, () => newSecret().text)).size).toBe(1_000)
})

describe('the signing key', () => {
  const setUp = async () => {
    const clock = new FakeClock()
    const state = { keyId: 'first', looks: 0, isAway: false, answers: Promise.resolve() }
    const store = {
      current: async () => {
        state.looks += 1
        const { keyId, isAway } = state
        await state.answers
        if (isAway) throw new Error('away')
        return { keyId, secret: Buffer.alloc(32, keyId) }
      },
    }
    const keys = new SigningKeys({ store, clock, logger: silentLogger })
    await keys.start()
    return { clock, state, keys }
  }

  test('verifies tokens that name it, and none without a name', async () => {
    const { keys } = await setUp()
    expect(keys.candidates('HS256', 'first')).toHaveLength(1)
    expect([
      keys.candidates('HS256', undefined),
      keys.candidates('HS256', 'other'),
      keys.candidates('RS256', 'first'),
    ]).toEqual([[], [], []])
  })

  test('is looked for again for a key id that is not known, once a second, and the one before is at its end', async () => {
    const { keys, state, clock } = await setUp()
    const { generation } = keys
    state.keyId = 'second'
    await keys.lookAgain()
    expect([keys.candidates('HS256', 'first').length, keys.candidates('HS256', 'second').length]).toEqual([0, 1])
    expect(keys.generation).toBeGreaterThan(generation)
    for (let at = 0; at < 100; at += 1) await keys.lookAgain()
    expect(state.looks).toBe(2)
    await clock.advance(1_000)
    await keys.lookAgain()
    expect(state.looks).toBe(3)
  })

  test('stays while the database is away', async () => {
    const { keys, state } = await setUp()
    state.isAway = true
    await keys.read()
    await settled()
    expect(keys.candidates('HS256', 'first')).toHaveLength(1)
  })

  test('of another epoch is read until it is there, though the database was away, and no more once closed', async () => {
    const { keys, state, clock } = await setUp()
    Object.assign(state, { keyId: 'second', isAway: true })
    await keys.read()
    await clock.advance(60_000)
    state.isAway = false
    await clock.advance(10_000)
    expect(keys.candidates('HS256', 'second')).toHaveLength(1)
    expect(clock.pending).toBe(0)
    state.isAway = true
    await keys.read()
    keys.close()
    expect(clock.pending).toBe(0)
  })

  test('of another epoch is read behind a look whose answer is older', async () => {
    const { keys, state } = await setUp()
    let answer = (): void => undefined
    state.answers = new Promise((resolve) => {
      answer = resolve
    })
    const before = keys.lookAgain()
    state.keyId = 'second'
    const after = keys.read()
    answer()
    await Promise.all([before, after])
    expect(keys.candidates('HS256', 'second')).toHaveLength(1)
  })
})
