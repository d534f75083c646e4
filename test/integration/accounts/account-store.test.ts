// Logins, revocations and passwords in PostgreSQL: what holds when two things happen to one account at once, or in one second.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OpenSession } from '../../../src/accounts/account-store.ts'
import { type Actor, COMMAND_LINE } from '../../../src/accounts/audit.ts'
import { PostgresProfileStore } from '../../../src/accounts/profile-store.postgres.ts'
import { PostgresRevocationStore } from '../../../src/auth/revocation-store.postgres.ts'
import { Revocations } from '../../../src/auth/revocations.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import {
  ACTOR,
  type AccountStores,
  LIFE,
  somebody as newPerson,
  openAccountStores,
  opening,
  signIn as signInTo,
} from '../../support/account-store.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { openTransaction, WAITING_FOR_LOCK } from '../../support/transactions.ts'

let stores: AccountStores
let queries: Queries
let accounts: AccountStores['accounts']
let administration: AccountStores['administration']

/** Of commands, which are always an administrator's. */
const ROOT = COMMAND_LINE

beforeAll(async () => {
  stores = await openAccountStores()
  ;({ queries, accounts, administration } = stores)
})
afterAll(() => stores?.close())

const somebody = () => newPerson(stores)
const signIn = (userId: string) => signInTo(stores, userId)

/** What an instance says of the tokens of a session after its next look. */
async function verdictOn({
  userId,
  sessionId,
  issuedAtSeconds,
}: Omit<OpenSession, 'sessionId'> & { sessionId?: string }) {
  const store = new PostgresRevocationStore(queries)
  const revocations = new Revocations({ store, clock: new FakeClock(), logger: silentLogger, ...LIFE })
  await revocations.start()
  revocations.close()
  const identity = { userId, issuedAtSeconds, sessionId, tokenId: undefined }
  if (!revocations.isRevoked(identity)) return 'good'
  return revocations.isSuspended(identity) ? 'account_suspended' : 'session_revoked'
}

describe('within one second', () => {
  test.each(['suspend', 'remove'] as const)('%s refuses the login that followed another revocation', async (end) => {
    const { userId } = (await somebody()).session
    for (let times = 0; times < 3; times += 1) await administration.setRole(userId, 'member', ROOT)
    const session = await signIn(userId)
    expect(await verdictOn(session)).toBe('good')
    expect(await administration[end](userId, ROOT)).toBe('done')
    // Also a token that a backend asked for, which belongs to no login.
    for (const sessionId of [session.sessionId, undefined]) {
      expect(
        await verdictOn({ userId, issuedAtSeconds: session.issuedAtSeconds, ...(sessionId && { sessionId }) }),
      ).toBe('account_suspended')
    }
  })

  test('each revocation of a user refuses what was issued since the one before, and a login after it is good', async () => {
    const store = new PostgresRevocationStore(queries)
    const { userId } = (await somebody()).session
    const issued = []
    for (let times = 0; times < 5; times += 1) {
      await store.add({ user_id: userId }, { actor: 'key 1', ...LIFE })
      const { issuedAtSeconds } = await signIn(userId)
      issued.push({ userId, issuedAtSeconds })
    }
    const verdicts = await Promise.all(issued.map(verdictOn))
    expect(verdicts).toEqual([...Array.from({ length: 4 }, () => 'session_revoked'), 'good'])
  })
})

test('a token is issued for nobody whose suspension is being committed', async () => {
  const { userId } = (await somebody()).session
  expect(await accounts.issueToken(userId, ROOT, 60)).toBeGreaterThan(0)
  const commits = await openTransaction(stores.created.dsn, 'select from audit_head for update')
  const suspending = administration.suspend(userId, ROOT)
  await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5 }).toHaveLength(1)
  const issued = accounts.issueToken(userId, ROOT, undefined)
  await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5 }).toHaveLength(2)
  await commits.end()
  expect([await suspending, await issued]).toEqual(['done', undefined])
  const entries = `select details from audit_log where action = 'token_issue' and target = $1`
  expect(await queries.query(entries, [userId])).toEqual([{ details: { seconds: 60 } }])
})

describe('an administrator whose suspension is being committed', () => {
  const SECRET = { hash: Buffer.from('x'), lifetimeSeconds: 60 }
  const ACTS: Readonly<Record<string, (actor: Actor, on: string) => Promise<unknown>>> = {
    invite: (actor) => administration.addInvite({ ...SECRET, codeId: randomUUID(), role: 'admin', uses: 1 }, actor),
    'make a link': (actor, on) => administration.addResetLink(on, SECRET, actor),
    promote: (actor, on) => administration.setRole(on, 'admin', actor),
    'come back': (actor) => administration.unsuspend(actor.id, actor),
  }

  test.each(Object.entries(ACTS))('does not %s any more', async (_, act) => {
    const [{ userId }, other] = [(await somebody()).session, (await somebody()).session]
    for (const one of [userId, other.userId]) await administration.setRole(one, 'admin', ROOT)
    const commits = await openTransaction(stores.created.dsn, 'select from audit_head for update')
    const suspending = administration.suspend(userId, ROOT)
    await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5 }).toHaveLength(1)
    const acting = act({ ...ACTOR, id: userId }, other.userId)
    await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5 }).toHaveLength(2)
    await commits.end()
    expect(await suspending).toBe('done')
    expect(['no_admin', undefined]).toContain(await acting)
  })
})

describe('a session that another login ends is in the audit', () => {
  const endsOf = (userId: string) =>
    queries.query(
      `select actor, target, details from audit_log where action = 'session_end' and target = $1 order by audit_id`,
      [userId],
    )
  const cookie = (secretHash: Buffer) => ({ ...opening().session, secret: { kind: 'cookie', secretHash } as const })

  test('of whoever used the browser before', async () => {
    const secretHash = Buffer.from(randomUUID())
    const [ann, bob] = [await newPerson(stores, { session: cookie(secretHash) }), await somebody()]
    const [of, by] = [ann.session, bob.session.userId]
    await signInTo(stores, by, { replaces: secretHash })
    const details = { session: of.sessionId, because: 'login' }
    expect(await endsOf(of.userId)).toEqual([{ actor: by, target: of.userId, details }])
    // It has ended: whoever brings the same cookie again ends nothing.
    await signInTo(stores, by, { replaces: secretHash })
    expect([await endsOf(of.userId), await endsOf(by)]).toMatchObject([[{}], []])
  })

  test('of a person who has fifty', async () => {
    const { userId, sessionId } = (await somebody()).session
    await queries.query(
      `insert into sessions (user_id, kind, mac_key, address, last_used_at, expires_at)
       select $1, 'refresh', '\\x00', '', now() + interval '1 hour', now() + interval '1 day' from generate_series(1, 49)`,
      [userId],
    )
    await signIn(userId)
    const details = { session: sessionId, because: 'too_many' }
    expect(await endsOf(userId)).toEqual([{ actor: userId, target: userId, details }])
  })
})

describe('a password', () => {
  test('that two change at once is changed by one of them', async () => {
    const { verified, session } = await somebody()
    const change = (phc: string) => accounts.changePassword(verified, phc, session.sessionId, ACTOR)
    const outcomes = await Promise.all([change('phc 2'), change('phc 3')])
    expect([...outcomes].sort()).toEqual([false, true])
    const { phc } = (await accounts.credentialsOf(session.userId)) ?? {}
    expect(phc).toBe(outcomes[0] ? 'phc 2' : 'phc 3')
    const entries = `select from audit_log where action = 'password_change' and target = $1`
    expect(await queries.query(entries, [session.userId])).toHaveLength(1)
  })

  test('that is set by a link voids the recovery codes; one that is set by a code leaves the others', async () => {
    const { userId } = (await somebody()).session
    const [first, second] = [Buffer.from('code 1'), Buffer.from('code 2')]
    await accounts.setRecoveryCodes(userId, [first, second], ACTOR)
    expect(await accounts.recover(userId, first, 'phc 2', ACTOR)).toBe(true)
    const link = Buffer.from(randomUUID())
    await administration.addResetLink(userId, { hash: link, lifetimeSeconds: 60 }, ROOT)
    expect(await accounts.reset(link, 'phc 3', ACTOR)).toBe(true)
    expect(await accounts.recover(userId, second, 'phc 4', ACTOR)).toBe(false)
    expect((await accounts.credentialsOf(userId))?.phc).toBe('phc 3')
  })
})

test('what has ended is removed though something before it cannot be', async () => {
  const { sessionId } = (await somebody()).session
  const isThere = async () =>
    (await queries.query('select from sessions where session_id::text = $1', [sessionId])).length > 0
  await queries.query(`update sessions set expires_at = now() - interval '1 minute' where session_id::text = $1`, [
    sessionId,
  ])
  await queries.query('alter table throttles rename to throttles_away')
  await expect(accounts.removeExpired()).rejects.toThrow('throttles')
  await queries.query('alter table throttles_away rename to throttles')
  expect(await isThere()).toBe(false)
})

test('a name is taken by who has it, and by no fault of the audit', async () => {
  const { userId } = (await somebody()).session
  const [{ username } = { username: '' }] = await queries.query<{ username: string }>(
    'select username from accounts where user_id = $1',
    [userId],
  )
  const profiles = new PostgresProfileStore(queries)
  const create = (name: string) => {
    const account = { userId: randomUUID(), username: name, displayName: undefined, role: 'member' } as const
    return administration.create(account, { hash: Buffer.from(name), lifetimeSeconds: 60 }, ROOT)
  }
  expect(await create(username.toUpperCase())).toBe('username_taken')
  expect(await create('name-of-nobody')).toBe('done')
  expect(await profiles.change(userId, { username: 'name-of-nobody' }, ROOT)).toBe('username_taken')
  await queries.query('update audit_head set audit_id = audit_id - 1')
  await expect(create('another-name')).rejects.toThrow('audit_log')
  await expect(profiles.change(userId, { username: 'another-name' }, ROOT)).rejects.toThrow('audit_log')
  await queries.query('update audit_head set audit_id = audit_id + 1')
})
