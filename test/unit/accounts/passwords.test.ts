import { readdirSync, readFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import type { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, test } from 'vitest'
import type { AccountStore } from '../../../src/accounts/account-store.ts'
import { CredentialChanges } from '../../../src/accounts/credential-changes.ts'
import type { Guesses } from '../../../src/accounts/guesses.ts'
import { HashingThread } from '../../../src/accounts/hashing-thread.ts'
import { KnownSessions } from '../../../src/accounts/known-sessions.ts'
import { passwordFault } from '../../../src/accounts/password-rules.ts'
import { Argon2Hasher } from '../../../src/accounts/passwords.ts'
import type { HashingLane, Lane, Place } from '../../../src/accounts/places.ts'
import { AccountRefusal } from '../../../src/accounts/refusal.ts'
import { SignIn } from '../../../src/accounts/sign-in.ts'
import type { Throttle } from '../../../src/accounts/throttle.ts'
import { Unavailable } from '../../../src/lib/errors.ts'
import { silentLogger } from '../../support/silent-logger.ts'

const ASKER = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }
const NO_LIMIT: Pick<Guesses, 'attempt'> = { attempt: (_what, _from, work) => work() }
/** Each of somebody else. */
const placeOf = (lane: Lane): Place => ({ lane, holders: [] })
const CLIENT = { kind: 'token', deviceName: undefined, deviceToken: undefined, cookie: undefined } as const

describe('a password', () => {
  test.each([
    ['1234567', 'must have 8'],
    ['x'.repeat(129), 'may have 128'],
    ['password1', 'tried first'],
    ['PassWord1', 'tried first'],
    ['abababababab', 'too few'],
    ['marylee1', 'made of your name'],
    ['MaryLee', 'must have 8'],
    ['chat-marylee', 'made of your name'],
    ['broken \ud800 text', 'well-formed'],
  ])('%j is refused', (password, fault) => {
    expect(passwordFault(password, ['marylee', 'chat', 'example'])).toContain(fault)
  })

  test.each(['correct horse battery', 'пароль на завтра', '🐎🔋📎🔒🐎🔋📎x', 'x7#marylee-98!kq', 'éèêëàâäü'])(
    '%j is taken as it is typed',
    (password) => {
      expect(passwordFault(password, ['marylee'])).toBeUndefined()
    },
  )
})

describe('hashing', () => {
  const hashers: Argon2Hasher[] = []
  const create = async (cores = 4): Promise<Argon2Hasher> => {
    const hasher = await Argon2Hasher.create(cores)
    hashers.push(hasher)
    return hasher
  }

  afterEach(async () => {
    await Promise.all(hashers.splice(0).map((hasher) => hasher.close()))
  })

  test('makes PHC strings of Argon2id with the parameters of OWASP, each with a salt of its own', async () => {
    const hasher = await create()
    const phcs = await Promise.all([hasher.hash('stranger', 'correct horse'), hasher.hash('stranger', 'correct horse')])
    for (const phc of phcs) expect(phc).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(phcs[0]).not.toBe(phcs[1])
    expect(await hasher.verify('stranger', phcs[0], 'correct horse')).toBe(true)
    expect(await hasher.verify('stranger', phcs[0], 'correct horsf')).toBe(false)
  })

  test('of nobody is false, whatever the password', async () => {
    const hasher = await create()
    expect(await hasher.verify('stranger', undefined, 'nobody has this password')).toBe(false)
    expect(await hasher.verify('stranger', undefined, 'correct horse')).toBe(false)
  })

  test('is outdated where the parameters were lower', async () => {
    const hasher = await create()
    expect(hasher.isOutdated('$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA')).toBe(false)
    expect(hasher.isOutdated('$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA')).toBe(false)
    for (const phc of ['$argon2id$v=19$m=12288,t=2,p=1$', '$argon2id$v=19$m=19456,t=1,p=1$', '$2b$10$bcrypt']) {
      expect([phc, hasher.isOutdated(phc)]).toEqual([phc, true])
    }
  })

  test('by a thread that has ended is done by another', async () => {
    const thread = new HashingThread()
    const password = 'correct horse'
    const phc = String(await thread.run({ password, parameters: {} }))
    await expect(thread.run({ password, phc: 'no PHC string' })).rejects.toThrow()
    const [underWay] = await Promise.all([thread.run({ password, parameters: {} }).catch(String), thread.close()])
    expect(underWay).toContain('has ended')
    expect(await thread.run({ password, phc })).toBe(true)
    await thread.close()
  })

  test('starts a thread when there is something to hash; what closing cuts off is unavailable, under way or waiting', async () => {
    const started: Worker[] = []
    const note = (worker: Worker): number => started.push(worker)
    process.on('worker', note)
    const hasher = await create()
    expect(started).toHaveLength(1)
    const hash = (): Promise<unknown> =>
      hasher.hash('stranger', 'correct horse').catch((error: unknown) => error instanceof Unavailable && error.message)
    const outcomes = Array.from({ length: 4 }, hash)
    await hasher.close()
    for (const outcome of await Promise.all(outcomes)) expect(outcome).toMatch(/has ended|no more/)
    expect(await hash()).toContain('no more')
    process.off('worker', note)
    // That of a thread that has ended.
    expect(started.map(({ threadId }) => threadId)).toEqual([-1, -1])
  })

  test.runIf(process.platform === 'linux')('is done behind all other threads of the process', async () => {
    const others = new Set(readdirSync('/proc/self/task'))
    const hasher = await create()
    await Promise.all([hasher.hash('stranger', 'correct horse'), hasher.hash('stranger', 'correct horse')])
    const ours = readdirSync('/proc/self/task').filter((id) => !others.has(id))
    // The 19th number of stat(5): `nice`, behind the name, which may hold anything.
    const niceness = ours.map((id) =>
      Number(readFileSync(`/proc/self/task/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[16]),
    )
    expect(niceness.filter((one) => one > getPriority())).toEqual(Array(2).fill(Math.min(19, getPriority() + 10)))
  })

  test('beyond 52 that are let in is refused at once', async () => {
    const hasher = await create()
    const outcomes = Array.from({ length: 60 }, () =>
      hasher
        .admit(placeOf('stranger'), () => hasher.hash('stranger', 'correct horse'))
        .then(
          () => 'hashed',
          (error: unknown) => (error instanceof AccountRefusal ? error.code : error),
        ),
    )
    const all = await Promise.all(outcomes)
    expect(all.filter((one) => one === 'hashed')).toHaveLength(52)
    expect(all.filter((one) => one === 'overloaded')).toHaveLength(8)
    expect(await hasher.admit(placeOf('stranger'), () => hasher.hash('stranger', 'correct horse'))).toContain(
      'argon2id',
    )
  })

  test.each([
    [1, 1],
    [2, 1],
    [3, 2],
    [64, 2],
  ])('on %i cores keeps %i threads busy at most', async (cores, threads) => {
    const started: Worker[] = []
    const note = (worker: Worker): number => started.push(worker)
    process.on('worker', note)
    const hasher = await create(cores)
    await Promise.all(Array.from({ length: 4 }, () => hasher.hash('stranger', 'correct horse')))
    process.off('worker', note)
    expect(started).toHaveLength(threads)
  })

  test('of somebody who is known has places of its own, and waits for no more strangers than are at it', async () => {
    const hasher = await create(2)
    const done: string[] = []
    const hash = (lane: HashingLane): Promise<void> =>
      hasher.admit(placeOf(lane), async () => {
        await hasher.hash(lane, 'correct horse')
        done.push(lane)
      })
    const strangers = Array.from({ length: 52 }, () => hash('stranger'))
    await expect(hash('stranger')).rejects.toThrow('Too many')
    await hash('known')
    expect(done).toEqual(['stranger', 'known'])
    await hasher.close()
    await Promise.allSettled(strangers)
  })

  test('is refused before anybody is looked up and before an attempt is counted', async () => {
    const hasher = await create()
    const stay = (): Promise<unknown> => new Promise(() => undefined)
    for (const lane of ['stranger', 'known', 'look'] as const) {
      for (let other = 0; other < 52; other += 1) void hasher.admit(placeOf(lane), stay).catch(() => undefined)
    }
    const asked: string[] = []
    const noted = (name: string | symbol) => async () => void asked.push(String(name))
    const store = new Proxy({}, { get: (_, name) => noted(name) }) as AccountStore
    const throttle: Throttle = { take: async () => asked.push('take'), giveBack: noted('giveBack') }
    const revocations = { added: noted('added') }
    const shared = { store, hasher, throttle, guesses: NO_LIMIT, revocations, contextWords: () => [] }
    const tokens = { issue: () => ({ token: '', expiresAtMs: 0 }) }
    const signIn = new SignIn({
      ...shared,
      tokens,
      known: new KnownSessions(),
      logger: silentLogger,
      registration: 'open',
    })
    const changes = new CredentialChanges({ ...shared, ownThrottle: throttle })
    const who = { username: 'ann', password: 'correct horse battery' }
    const given = { next: 'another horse battery' }
    const refused = [
      signIn.login(who, CLIENT, ASKER),
      signIn.login(who, { ...CLIENT, deviceToken: 'device' }, ASKER),
      signIn.register({ ...who, displayName: undefined, code: undefined }, CLIENT, ASKER),
      changes.prove('ann', who.password, ASKER),
      changes.changePassword('ann', undefined, { ...given, current: who.password }, ASKER),
      changes.recover({ ...given, username: 'ann', code: 'aaaa-aaaa-aaaa-aaaa' }, ASKER),
      changes.reset({ ...given, link: 'link' }, ASKER),
    ]
    for (const outcome of await Promise.allSettled(refused)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'overloaded' } })
    }
    expect(asked).toEqual([])
  })
})
