import { expect, test } from 'vitest'
import type { AccountStore, Credentials } from '../../../src/accounts/account-store.ts'
import { CredentialChanges } from '../../../src/accounts/credential-changes.ts'
import type { Place } from '../../../src/accounts/places.ts'

const ASKER = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }

test('a recovery asks as much of a name that nobody has as of one that somebody has', async () => {
  const asked: string[] = []
  const noted =
    <T>(name: string, answer: (...values: never[]) => T) =>
    async (...values: never[]): Promise<T> => {
      asked.push(name)
      return answer(...values)
    }
  const known = { account: { userId: 'ann' }, phc: '', isKnownDevice: false } as Credentials
  const store = {
    credentials: noted('credentials', (name: string) => (name === 'ann' ? known : undefined)),
    recover: noted('recover', () => false),
  } as unknown as AccountStore
  const hasher = {
    admit: <T>(_place: Place, work: () => Promise<T>) => work(),
    hash: noted('hash', () => 'phc'),
    verify: noted('verify', () => false),
    isOutdated: () => false,
  }
  const throttle = { take: noted('take', () => 0), giveBack: noted('give back', () => undefined) }
  const revocations = { added: noted('added', () => undefined) }
  const changes = new CredentialChanges({
    store,
    hasher,
    throttle,
    guesses: { attempt: (_what, _from, work) => work() },
    ownThrottle: throttle,
    revocations,
    contextWords: () => [],
  })
  const recover = async (username: string): Promise<readonly string[]> => {
    asked.length = 0
    const given = { username, code: 'aaaa-aaaa-aaaa-aaaa', next: 'correct horse battery' }
    await expect(changes.recover(given, ASKER)).rejects.toMatchObject({ code: 'invalid_credentials' })
    return [...asked]
  }
  const ofSomebody = await recover('ann')
  expect(ofSomebody).toContain('recover')
  expect(await recover('nobody')).toEqual(ofSomebody)
})
