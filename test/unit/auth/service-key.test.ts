import { expect, test } from 'vitest'
import { newServiceKey, revokeServiceKey, type StoredServiceKey } from '../../../src/auth/service-key.ts'
import { ServiceKeys } from '../../../src/auth/service-keys.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

/** One key, of which the store notes what is done to it. */
function storeOf(revokedAtMs: number | undefined) {
  const { stored } = newServiceKey('test', ['send:any'])
  const steps: string[] = []
  const key: StoredServiceKey = { ...stored, expiresAtMs: undefined, revokedAtMs }
  return {
    keyId: stored.keyId,
    steps,
    find: async (keyId: string) => (keyId === stored.keyId ? key : undefined),
    revoke: async () => steps.push('noted') > 0,
  }
}

test('a key is refused everywhere before the store notes that it ended', async () => {
  const store = storeOf(undefined)
  const refuse = async ({ key_id }: { key_id: string }) => store.steps.push(`refused ${key_id === store.keyId}`)
  expect(await revokeServiceKey(store.keyId, store, refuse)).toBe(true)
  expect(store.steps).toEqual(['refused true', 'noted'])
})

test('a key whose refusal could not be stored can be revoked again', async () => {
  const store = storeOf(undefined)
  await expect(revokeServiceKey(store.keyId, store, () => Promise.reject(new Error('away')))).rejects.toThrow('away')
  expect(store.steps).toEqual([])
})

test.each([
  ['was revoked before', 0],
  ['there is not', undefined],
])('a key that %s is not revoked', async (_, revokedAtMs) => {
  const store = storeOf(revokedAtMs)
  const keyId = revokedAtMs === undefined ? 'another' : store.keyId
  expect(await revokeServiceKey(keyId, store, async () => store.steps.push('refused'))).toBe(false)
  expect(store.steps).toEqual([])
})

test("a key that was found is looked up again when the database's history is another one, also where that look was under way", async () => {
  const { key: text, stored: made } = newServiceKey('test', ['send:any'])
  const stored: StoredServiceKey = { ...made, expiresAtMs: undefined, revokedAtMs: undefined }
  const { keyId } = stored
  const answers: ((key: StoredServiceKey | undefined) => void)[] = []
  const store = {
    find: () => new Promise<StoredServiceKey | undefined>((resolve) => void answers.push(resolve)),
    used: async () => undefined,
  }
  const revocations = { isKeyRevoked: () => false }
  const clock = new FakeClock()
  const keys = new ServiceKeys({ store, revocations, clock, time: clock, logger: silentLogger })
  const underWay = keys.verify(text)
  keys.historyChanged()
  answers[0]?.(stored)
  expect(await underWay).toMatchObject({ keyId })
  const known = keys.verify(text)
  answers[1]?.(stored)
  expect(await known).toMatchObject({ keyId })
  keys.historyChanged()
  const gone = keys.verify(text)
  answers[2]?.(undefined)
  expect([await gone, answers.length]).toEqual([undefined, 3])
})

test('ids that somebody guesses push out no key that is in use', async () => {
  const { key: text, stored: made } = newServiceKey('test', [])
  const stored: StoredServiceKey = { ...made, expiresAtMs: undefined, revokedAtMs: undefined }
  const looked: string[] = []
  const find = async (keyId: string) => {
    looked.push(keyId)
    return keyId === stored.keyId ? stored : undefined
  }
  const keys = new ServiceKeys({
    store: { find, used: async () => undefined },
    revocations: { isKeyRevoked: () => false },
    clock: { now: () => 0 },
    time: { epochMs: () => 0 },
    logger: silentLogger,
  })
  await keys.verify(text)
  const guessed = Array.from({ length: 1_500 }, () => newServiceKey('guess', []).key)
  for (const guess of guessed) expect(await keys.verify(guess)).toBeUndefined()
  expect(await keys.verify(text)).toMatchObject({ keyId: stored.keyId })
  expect(await keys.verify(guessed.at(-1) ?? '')).toBeUndefined()
  expect(looked.filter((keyId) => keyId === stored.keyId)).toHaveLength(1)
  expect(looked).toHaveLength(1 + guessed.length)
})

test('no character of an id comes more often than another', () => {
  const ids = Array.from({ length: 2000 }, () => newServiceKey('test', []).stored.keyId).join('')
  expect(ids).toMatch(/^[A-Za-z0-9]{32000}$/)
  // The first eight of 62; with every byte taken as it comes they would be 15.6 %.
  const share = ids.replace(/[^A-H]/g, '').length / ids.length
  expect(Math.abs(share - 8 / 62)).toBeLessThan(0.012)
})
