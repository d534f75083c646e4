// Many behind one address at once: who finds no place has guessed nothing.
import { expect, test } from 'vitest'
import type { AccountStore } from '../../../src/accounts/account-store.ts'
import { CredentialChanges } from '../../../src/accounts/credential-changes.ts'
import { Guesses } from '../../../src/accounts/guesses.ts'
import { KnownSessions } from '../../../src/accounts/known-sessions.ts'
import type { PasswordHasher } from '../../../src/accounts/passwords.ts'
import { Places } from '../../../src/accounts/places.ts'
import { AccountRefusal } from '../../../src/accounts/refusal.ts'
import { SignIn } from '../../../src/accounts/sign-in.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const ASKER = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }
const CLIENT = { kind: 'token', deviceName: undefined, deviceToken: undefined, cookie: undefined } as const
const ANN = { username: 'ann', password: 'correct horse battery' }
const NEXT = { next: 'another horse battery' }

/** Attempts that come as far as the throttle, and stay there until they are let go. */
function bench() {
  const ends: (() => void)[] = []
  const take = (): Promise<never> =>
    new Promise((_, reject) => void ends.push(() => reject(new Error('the database is away'))))
  const places = new Places()
  const hasher = { admit: places.admit.bind(places) } as unknown as PasswordHasher
  const owner = { username: 'ann', displayName: 'Ann' }
  const store = {
    credentials: async () => undefined,
    resetLinkOwner: async () => owner,
  } as unknown as AccountStore
  const guesses = new Guesses({
    clock: { now: () => 0 },
    perSecond: 10,
    observer: { credentialRefused: () => undefined },
  })
  const throttle = { take, giveBack: async () => undefined }
  const shared = {
    store,
    hasher,
    throttle,
    guesses,
    revocations: { added: async () => undefined },
    contextWords: () => [],
  }
  const tokens = { issue: () => ({ token: '', expiresAtMs: 0 }) }
  const signIn = new SignIn({
    ...shared,
    tokens,
    known: new KnownSessions(),
    logger: silentLogger,
    registration: 'open',
  })
  return { signIn, changes: new CredentialChanges({ ...shared, ownThrottle: throttle }), ends }
}
type Bench = ReturnType<typeof bench>

const outcomeOf = (error: unknown): unknown =>
  error instanceof AccountRefusal ? [error.code, error.message, error.detail.retryAfterMs] : String(error)

test.each<[string, (bench: Bench) => Promise<unknown>]>([
  ['register', ({ signIn }) => signIn.register({ ...ANN, displayName: undefined, code: undefined }, CLIENT, ASKER)],
  ['sign in', ({ signIn }) => signIn.login(ANN, CLIENT, ASKER)],
  ['come back by a code', ({ changes }) => changes.recover({ ...NEXT, username: 'ann', code: 'aaaa' }, ASKER)],
  ['come back by a link', ({ changes }) => changes.reset({ ...NEXT, link: 'link' }, ASKER)],
])('of two hundred who %s at once from one network those without a place use up no guess', async (_, attempt) => {
  const made = bench()
  const outcomes = Array.from({ length: 200 }, () => attempt(made).catch(outcomeOf))
  await expect.poll(() => made.ends.length, { interval: 1 }).toBe(26)
  for (const end of made.ends.splice(0)) end()
  const told = await Promise.all(outcomes)
  expect(told.filter((one) => one === 'Error: the database is away')).toHaveLength(26)
  const crowded = ['rate_limited', 'Too many people of this network are signing in right now.', undefined]
  expect(told.slice(26)).toEqual(Array(174).fill(crowded))
  // The next is looked at.
  const next = attempt(made).catch(outcomeOf)
  await expect.poll(() => made.ends.length, { interval: 1 }).toBe(1)
  made.ends[0]?.()
  expect(await next).toBe('Error: the database is away')
})
