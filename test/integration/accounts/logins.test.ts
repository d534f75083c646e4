// Logins in PostgreSQL: many at once, and two of one person.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Opening, OpenSession } from '../../../src/accounts/account-store.ts'
import { checkAudit } from '../../../src/accounts/audit-check.postgres.ts'
import { KnownSessions } from '../../../src/accounts/known-sessions.ts'
import type { PasswordHasher } from '../../../src/accounts/passwords.ts'
import { SignIn } from '../../../src/accounts/sign-in.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import {
  ACTOR,
  type AccountStores,
  somebody as newPerson,
  openAccountStores,
  opening,
} from '../../support/account-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { openTransaction } from '../../support/transactions.ts'

let stores: AccountStores
let queries: Queries
let accounts: AccountStores['accounts']

beforeAll(async () => {
  stores = await openAccountStores()
  ;({ queries, accounts } = stores)
})
afterAll(() => stores?.close())

const somebody = () => newPerson(stores)
const withSession = (more: Partial<Opening['session']>): Opening => {
  const given = opening()
  return { ...given, session: { ...given.session, ...more } }
}
/** Those of these sessions that have not ended. */
const live = (sessions: readonly (OpenSession | undefined)[]): Promise<object[]> =>
  queries.query('select from sessions where session_id::text = any($1) and revoked_at is null', [
    sessions.map((one) => one?.sessionId ?? ''),
  ])

describe('many logins at once', () => {
  const LIVE = 'select from sessions where user_id = $1 and revoked_at is null'
  const WRITTEN = `select count(*), count(distinct xmin::text) as commits from audit_log where action = 'login' and target = any($1)`

  test('are one commit or two, each with its session, its device, its entry and the time of the login', async () => {
    const people = await Promise.all(Array.from({ length: 6 }, somebody))
    // The second of them twice, and all from one device.
    const verified = [...people, ...people.slice(1, 2)].map((person) => person.verified)
    const deviceHash = Buffer.from(randomUUID())
    const open = await Promise.all(verified.map((one) => accounts.login(one, opening({ deviceHash }), undefined)))
    const userIds = verified.map(({ account }) => account.userId)
    expect(open.map((one) => one?.userId)).toEqual(userIds)
    expect(new Set(open.map((one) => one?.sessionId)).size).toBe(7)
    expect(await queries.query(WRITTEN, [userIds])).toEqual([{ count: 7, commits: 2 }])
    const known = await queries.query('select from devices where device_hash = $1', [deviceHash])
    const dated = await queries.query('select from accounts where user_id = any($1) and last_login_at > created_at', [
      userIds,
    ])
    expect([known.length, dated.length]).toEqual([6, 6])
    expect(await live(open)).toHaveLength(7)
    expect((await checkAudit(queries)).fault).toBeUndefined()
  })

  test('wait for nobody whose account is being changed; that login comes behind the change', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const held = await openTransaction(
      stores.created.dsn,
      `update accounts set state = 1 where user_id = '${ann.session.userId}'`,
    )
    const outcomes = [ann, bob].map(({ verified }) => accounts.login(verified, opening(), undefined))
    expect(await outcomes[1]).toMatchObject({ userId: bob.session.userId })
    await held.end()
    expect(await outcomes[0]).toBeUndefined()
  })

  test('one that brings what cannot be kept fails alone', async () => {
    const [ann, bob, carol] = [await somebody(), await somebody(), await somebody()]
    const login = ({ verified }: typeof ann, deviceName: string) =>
      accounts.login(verified, withSession({ deviceName }), undefined).then((open) => open?.userId, String)
    const outcomes = await Promise.all([login(ann, 'one'), login(bob, 'two \0'), login(carol, 'three')])
    expect(outcomes).toEqual([ann.session.userId, expect.stringContaining('UnstorableText'), carol.session.userId])
  })

  test('end what one ends: the session of the browser before, and those beyond fifty', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const secretHash = Buffer.from(randomUUID())
    const page = withSession({ secret: { kind: 'cookie', secretHash } })
    await accounts.login(ann.verified, page, undefined)
    await queries.query(
      `insert into sessions (user_id, kind, mac_key, expires_at)
       select $1, 'refresh', sha256(n::text::bytea), now() + interval '1 day' from generate_series(1, 48) n`,
      [bob.session.userId],
    )
    const replacing = accounts.login(bob.verified, opening({ replaces: secretHash }), undefined)
    const more = [1, 2, 3].map(() => accounts.login(bob.verified, opening(), undefined))
    const opened = await Promise.all([replacing, ...more])
    expect(await live(opened)).toHaveLength(4)
    const ended = await queries.query('select revoked_because from sessions where secret_hash = $1', [secretHash])
    expect(ended).toEqual([{ revoked_because: 'login' }])
    expect(await queries.query(LIVE, [bob.session.userId])).toHaveLength(50)
  })

  test('of one who has fifty known devices make the one from the longest ago unknown', async () => {
    const { verified, session } = await somebody()
    await queries.query(
      `insert into devices (device_hash, user_id, last_used_at) select sha256(n::text::bytea), $1, now() - n * interval '1 hour'
       from generate_series(1, 49) n`,
      [session.userId],
    )
    const logins = [opening(), opening()]
    await Promise.all(logins.map((one) => accounts.login(verified, one, undefined)))
    const known = await queries.query<{ device_hash: Buffer }>('select device_hash from devices where user_id = $1', [
      session.userId,
    ])
    const hashes = known.map(({ device_hash }) => device_hash.toString('hex'))
    expect(hashes).toHaveLength(50)
    expect(hashes).toEqual(expect.arrayContaining(logins.map(({ deviceHash }) => deviceHash.toString('hex'))))
  })

  test('that fail are in the audit once for each account and network', async () => {
    const { userId } = (await somebody()).session
    const fail = (network: string, ...of: (string | undefined)[]) =>
      accounts.loginFailed({ userId: of.length > 0 ? of[0] : userId, network, actor: ACTOR })
    // Failed before, in this quarter of an hour and the one that may begin meanwhile.
    await queries.query(
      `insert into login_failures select $1, 'n1', date_bin('15 minutes', now() + n * interval '15 minutes', 'epoch'), 5
       from generate_series(0, 1) n`,
      [userId],
    )
    const known = ['n0', 'n1', 'n2', 'n2', 'n1'].map((network) => fail(network))
    await Promise.all([...known, fail('n3', undefined), fail('n3', undefined)])
    const noted = await queries.query(
      `select target, details->>'network' as network from audit_log where action = 'login_failed' order by audit_id`,
    )
    const expected = [
      { target: userId, network: 'n0' },
      { target: userId, network: 'n2' },
      { target: '', network: 'n3' },
    ]
    expect(noted).toEqual(expected)
    const counted = await queries.query(
      'select network, sum(failures) from login_failures group by network order by network',
    )
    expect(counted.map((row) => Object.values(row).join(' '))).toEqual(['n0 1', 'n1 12', 'n2 2', 'n3 2'])
  })
})

test('a password whose parameters have risen is hashed anew by one of two devices, and both are signed in', async () => {
  const { verified, session } = await somebody()
  const both = { left: 2, go: (): void => undefined }
  const met = new Promise<void>((resolve) => {
    both.go = resolve
  })
  let hashes = 0
  const hasher: PasswordHasher = {
    admit: (_, work) => work(),
    hash: async () => `phc new ${++hashes}`,
    isOutdated: (phc) => phc === 'phc 1',
    async verify() {
      both.left -= 1
      if (both.left === 0) both.go()
      await met
      return true
    },
  }
  const signIn = new SignIn({
    ...{ store: accounts, hasher, registration: 'open', contextWords: () => [] },
    throttle: { take: async () => 0, giveBack: async () => undefined },
    guesses: { attempt: (_what, _from, work) => work() },
    known: new KnownSessions(),
    tokens: { issue: () => ({ token: 'token', expiresAtMs: 0 }) },
    revocations: { added: async () => undefined },
    logger: silentLogger,
  })
  const { username } = verified.account
  const client = { kind: 'token', deviceName: undefined, deviceToken: undefined, cookie: undefined } as const
  const asker = { address: '192.0.2.1', isNetworkShared: false, userAgent: undefined, requestId: 'r1' }
  const login = () => signIn.login({ username, password: 'correct horse' }, client, asker)
  const signedIn = await Promise.all([login(), login()])
  expect(signedIn.map(({ account }) => account.userId)).toEqual([session.userId, session.userId])
  expect((await accounts.credentialsOf(session.userId))?.phc).toMatch(/^phc new [12]$/)
})
