import { expect, test } from 'vitest'
import type { AccountStore, Credentials } from '../../../src/accounts/account-store.ts'
import { CredentialChanges } from '../../../src/accounts/credential-changes.ts'
import { Guesses } from '../../../src/accounts/guesses.ts'
import type { Place } from '../../../src/accounts/places.ts'

const ASKER = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }
const NEXT = { next: 'correct horse battery' }

/** Over a store in which Ann alone is known, and no password or code is right. */
function bench() {
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
    credentialsOf: noted('credentialsOf', () => known),
    recover: noted('recover', () => false),
  } as unknown as AccountStore
  const hasher = {
    admit: <T>(_place: Place, work: () => Promise<T>) => work(),
    hash: noted('hash', () => 'phc'),
    verify: noted('verify', () => false),
    isOutdated: () => false,
  }
  const throttle = { take: noted('take', () => 0), giveBack: noted('give back', () => undefined) }
  const faults: string[] = []
  const observer = { credentialRefused: (fault: string) => void faults.push(fault) }
  const revocations = { added: noted('added', () => undefined) }
  const changes = new CredentialChanges({
    store,
    hasher,
    throttle,
    guesses: new Guesses({ clock: { now: () => 0 }, perSecond: 0, observer }),
    ownThrottle: throttle,
    revocations,
    contextWords: () => [],
  })
  return { changes, asked, faults }
}

test('a recovery asks as much of a name that nobody has as of one that somebody has', async () => {
  const { changes, asked } = bench()
  const recover = async (username: string): Promise<readonly string[]> => {
    asked.length = 0
    const given = { ...NEXT, username, code: 'aaaa-aaaa-aaaa-aaaa' }
    await expect(changes.recover(given, ASKER)).rejects.toMatchObject({ code: 'invalid_credentials' })
    return [...asked]
  }
  const ofSomebody = await recover('ann')
  expect(ofSomebody).toContain('recover')
  expect(await recover('nobody')).toEqual(ofSomebody)
})

test.each<[string, string, (changes: CredentialChanges) => Promise<unknown>]>([
  ['of the own account', 'password', (changes) => changes.prove('ann', 'wrong', ASKER)],
  [
    'to be changed',
    'password',
    (changes) => changes.changePassword('ann', undefined, { ...NEXT, current: 'wrong' }, ASKER),
  ],
  ['on paper', 'recovery_code', (changes) => changes.recover({ ...NEXT, username: 'ann', code: 'aaaa' }, ASKER)],
])('what is wrong of a secret %s is told as %s', async (_, fault, attempt) => {
  const { changes, faults } = bench()
  await expect(attempt(changes)).rejects.toMatchObject({ code: 'invalid_credentials' })
  expect(faults).toEqual([fault])
})
