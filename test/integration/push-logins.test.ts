// Subscriptions end with their login, whatever ends that, on a real PostgreSQL.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresAccountStore } from '../../src/accounts/account-store.postgres.ts'
import { PostgresAdminStore } from '../../src/accounts/admin-store.postgres.ts'
import { newMacKey } from '../../src/accounts/refresh-token.ts'
import { IDLE_SECONDS } from '../../src/accounts/session.ts'
import { PostgresSessionStore } from '../../src/accounts/session-store.postgres.ts'
import { PostgresRevocationStore } from '../../src/auth/revocation-store.postgres.ts'
import { CONVERSATION_GATE } from '../../src/messages/gate.postgres.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import type { Queries } from '../../src/postgres/queries.ts'
import { PostgresSubscriptionStore } from '../../src/push/subscription-store.postgres.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { browserSubscription } from '../support/push-jobs.ts'
import { silentLogger } from '../support/silent-logger.ts'

const LIFE = { lifetimeSeconds: 60 }
const ACTOR = { kind: 'user', id: 'ann', address: '192.0.2.1', requestId: 'r1' } as const
const OPERATOR = { ...ACTOR, kind: 'command_line' } as const

let created: TestDatabase
let database: Database
let queries: Queries
let accounts: PostgresAccountStore
let subscriptions: PostgresSubscriptionStore

beforeAll(async () => {
  created = await createDatabase()
  database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  queries = database.openQueries(4)
  accounts = new PostgresAccountStore(queries, LIFE)
  subscriptions = new PostgresSubscriptionStore(queries)
})
afterAll(async () => {
  await database.writerConnection.close()
  await database.close()
  await created.drop()
})

interface Login {
  readonly userId: string
  readonly sessionId: string
}

/** Somebody with an account, signed in, who wants notifications in this browser. */
async function somebody(): Promise<Login> {
  const username = `p${randomUUID().slice(0, 12)}`
  const session = await accounts.register(
    { userId: `u-${username}`, username, displayName: undefined, phc: 'phc', door: { kind: 'open' } },
    {
      session: {
        secret: { kind: 'refresh', macKey: newMacKey() },
        ...{ deviceName: undefined, userAgent: undefined, address: '' },
      },
      ...{ deviceHash: Buffer.from(randomUUID()), replaces: undefined, actor: ACTOR },
    },
  )
  if (typeof session === 'string') throw new Error('nobody was registered')
  await declare(session)
  return session
}

const declare = ({ userId, sessionId }: Login, subscription = browserSubscription()): Promise<void> =>
  subscriptions.put({ userId, sessionId, subscription, content: 'full', locale: undefined }, 'kid')

const isKept = async ({ userId }: Login): Promise<boolean> =>
  (await queries.query('select 1 from push_subscriptions where user_id = $1', [userId])).length > 0

async function isLive({ userId }: Login): Promise<boolean> {
  await queries.query('update push_subscriptions set tested_at = null')
  return (await subscriptions.takeForTest(userId)).length > 0
}

test.each([
  ['was revoked', `revoked_at = now()`],
  ['came to its end', `expires_at = now()`],
  ['was not used for too long', `last_used_at = now() - interval '${IDLE_SECONDS + 60} seconds'`],
])('of a login that %s none is told', async (_, change) => {
  const [ended, other] = [await somebody(), await somebody()]
  await queries.query(`update sessions set ${change} where session_id = $1`, [ended.sessionId])
  expect([await isLive(ended), await isLive(other)]).toEqual([false, true])
})

test('of a login that may still come back they are told', async () => {
  const login = await somebody()
  const idle = `${IDLE_SECONDS - 60} seconds`
  await queries.query(`update sessions set last_used_at = now() - $2::interval where session_id = $1`, [
    login.sessionId,
    idle,
  ])
  expect(await isLive(login)).toBe(true)
})

test.each<[string, (login: Login) => Promise<unknown>]>([
  [
    'a logout',
    ({ userId, sessionId }) =>
      new PostgresSessionStore(queries, LIFE).end(userId, sessionId, { because: 'logout', actor: ACTOR }),
  ],
  [
    'a suspension',
    ({ userId }) => new PostgresAdminStore({ queries, life: LIFE, gate: CONVERSATION_GATE }).suspend(userId, OPERATOR),
  ],
  [
    'a revocation by a backend',
    ({ sessionId }) => new PostgresRevocationStore(queries).add({ session_id: sessionId }, { actor: 'key', ...LIFE }),
  ],
  [
    'the removal of the login',
    async ({ sessionId }) => {
      await queries.query(`update sessions set last_used_at = now() - interval '61 days' where session_id = $1`, [
        sessionId,
      ])
      await accounts.removeExpired()
    },
  ],
])('go with %s at once, and those of others stay', async (_, end) => {
  const [ended, other] = [await somebody(), await somebody()]
  await end(ended)
  expect([await isKept(ended), await isKept(other)]).toEqual([false, true])
})

test('declared while the login ended are removed a little later', async () => {
  const [login, other] = [await somebody(), await somebody()]
  await new PostgresRevocationStore(queries).add({ session_id: login.sessionId }, { actor: 'key', ...LIFE })
  await declare(login)
  expect([await isLive(login), await isKept(login)]).toEqual([false, true])
  await subscriptions.cleanUp()
  expect([await isKept(login), await isKept(other)]).toEqual([false, true])
})

test('declared while all logins of their user ended are removed a little later, but for those that were spared', async () => {
  const [ended, spared, other] = [await somebody(), await somebody(), await somebody()]
  const revoke = ({ userId }: Login, reason: string | null) =>
    queries.query(`insert into revocations (user_id, actor, reason) values ($1, 'test', $2)`, [userId, reason])
  await revoke(ended, null)
  await revoke(spared, 'sessionless')
  for (const login of [ended, spared]) {
    await declare(login)
    await queries.query(
      `update push_subscriptions set confirmed_at = confirmed_at - interval '1 minute' where user_id = $1`,
      [login.userId],
    )
  }
  expect([await isLive(ended), await isLive(spared)]).toEqual([false, true])
  await subscriptions.cleanUp()
  expect([await isKept(ended), await isKept(spared), await isKept(other)]).toEqual([false, true, true])
})

test('go when their browser said that they would', async () => {
  const login = await somebody()
  await declare(login, browserSubscription(undefined, Date.now() - 1_000))
  await declare(login, browserSubscription(undefined, Date.now() + 60_000))
  await subscriptions.cleanUp()
  const kept = await queries.query('select expires_at from push_subscriptions where user_id = $1', [login.userId])
  expect(kept).toHaveLength(2)
})
