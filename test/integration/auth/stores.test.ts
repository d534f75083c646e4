import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresRevocationStore } from '../../../src/auth/revocation-store.postgres.ts'
import type { RevocationTarget } from '../../../src/auth/revocation-store.ts'
import { Revocations } from '../../../src/auth/revocations.ts'
import { newServiceKey } from '../../../src/auth/service-key.ts'
import { PostgresServiceKeyStore } from '../../../src/auth/service-key-store.postgres.ts'
import { ServiceKeys } from '../../../src/auth/service-keys.ts'
import { PostgresTicketStore } from '../../../src/auth/ticket-store.postgres.ts'
import { issueTicket, redeemTicket } from '../../../src/auth/tickets.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let database: TestDatabase
let opened: Database
let queries: Queries

beforeAll(async () => {
  database = await createDatabase()
  opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  queries = opened.openQueries(4)
})

afterAll(async () => {
  await opened.writerConnection.close()
  await opened.close()
  await database.drop()
})

const LIFETIME = { actor: 'test', lifetimeSeconds: 60 }

describe('revocations in PostgreSQL', () => {
  test.each<[RevocationTarget]>([
    [{ user_id: 'ann' }],
    [{ session_id: 'session 1' }],
    [{ jti: 'token 1' }],
    [{ key_id: 'key1' }],
  ])('come back as they were made: %o', async (target) => {
    const store = new PostgresRevocationStore(queries)
    const { serverTimeMs } = await store.since(undefined)
    const added = await store.add(target, LIFETIME)
    expect(added.target).toEqual(target)
    expect((await store.since(serverTimeMs)).revocations).toContainEqual(added)
    expect((await store.since(undefined)).revocations).toContainEqual(added)
  })

  test('tell the second of the database and the end of the longest token; a key has none', async () => {
    const store = new PostgresRevocationStore(queries)
    const before = await store.since(undefined)
    const user = await store.add({ user_id: 'bob' }, LIFETIME)
    const key = await store.add({ key_id: 'key2' }, LIFETIME)
    const after = await store.since(undefined)
    expect(user.notBeforeSeconds).toBeGreaterThanOrEqual(Math.floor(before.serverTimeMs / 1000))
    expect(user.notBeforeSeconds).toBeLessThanOrEqual(Math.floor(after.serverTimeMs / 1000))
    expect(user.expiresAtMs).toBeGreaterThanOrEqual(before.serverTimeMs + 60_000)
    expect(user.expiresAtMs).toBeLessThanOrEqual(after.serverTimeMs + 60_000)
    expect(key.expiresAtMs).toBe(Number.POSITIVE_INFINITY)
  })

  test('of one user, however many in a row, are dated one second ahead at most, and so is the token behind them', async () => {
    const store = new PostgresRevocationStore(queries)
    const added = []
    for (let times = 0; times < 10; times += 1) added.push(await store.add({ user_id: 'dan' }, LIFETIME))
    const issuedAtSeconds = await store.issuedAt('dan')
    const nowSeconds = (await store.since(0)).serverTimeMs / 1000
    for (const { notBeforeSeconds } of added) expect(notBeforeSeconds).toBeLessThan(issuedAtSeconds)
    expect(issuedAtSeconds).toBeLessThanOrEqual(nowSeconds + 1)
    // The one behind that token reaches as far.
    expect((await store.add({ user_id: 'dan' }, LIFETIME)).notBeforeSeconds).toBeGreaterThanOrEqual(issuedAtSeconds)
  })

  test('that ended are neither read at a start nor kept', async () => {
    const store = new PostgresRevocationStore(queries)
    await store.add({ jti: 'ended' }, LIFETIME)
    await execute(database.dsn, `update revocations set expires_at = now() - interval '1 s' where jti = 'ended'`)
    const kept = async () => (await store.since(undefined)).revocations.map(({ target }) => target)
    expect(await kept()).not.toContainEqual({ jti: 'ended' })
    await store.removeExpired()
    expect((await store.since(0)).revocations.map(({ target }) => target)).not.toContainEqual({ jti: 'ended' })
    expect(await kept()).toContainEqual({ key_id: 'key2' })
  })

  test('committed while one instance had lost its database are seen when it is back', async () => {
    const clock = new FakeClock(Date.now())
    const told: RevocationTarget[] = []
    const cut = { isCut: false }
    const store = new PostgresRevocationStore({
      query: (text, values) => (cut.isCut ? Promise.reject(new Error('cut')) : queries.query(text, values)),
    })
    const one = new Revocations({
      store,
      clock,
      logger: silentLogger,
      lifetimeSeconds: 60,
    })
    one.whenRevoked((targets) => told.push(...targets))
    await one.start()
    told.length = 0
    cut.isCut = true
    await one.look()
    const other = new PostgresRevocationStore(queries)
    await other.add({ user_id: 'cid' }, LIFETIME)
    // As if ten seconds had gone by in the database before this instance came back.
    await execute(database.dsn, `update revocations set at = at - interval '9 s' where user_id = 'cid'`)
    cut.isCut = false
    await one.look()
    one.close()
    expect(told).toContainEqual({ user_id: 'cid' })
  })
})

describe('service keys in PostgreSQL', () => {
  const clock = new FakeClock(Date.now())
  const setUp = () => {
    const store = new PostgresServiceKeyStore(queries)
    const revoked = new Set<string>()
    const revocations = { isKeyRevoked: (keyId: string) => revoked.has(keyId) }
    return { store, revoked, keys: new ServiceKeys({ store, revocations, clock, time: clock, logger: silentLogger }) }
  }

  test('are verified by their hash alone, with their scopes', async () => {
    const { store, keys } = setUp()
    const { key, stored } = newServiceKey('backend', ['send:any', 'read:any'])
    await store.add(stored)
    expect(key).toMatch(/^msk_[A-Za-z0-9]{16}_[A-Za-z0-9_-]{43}$/)
    expect(await keys.verify(key)).toMatchObject({ keyId: stored.keyId, scopes: ['send:any', 'read:any'] })
    const wrong = `${key.slice(0, -1)}${key.endsWith('A') ? 'B' : 'A'}`
    expect(await keys.verify(wrong)).toBeUndefined()
    const [row] = await queries.query<{ all: string }>('select service_keys::text as all from service_keys limit 1')
    expect(row?.all).not.toContain(key.split('_').at(-1))
  })

  test('are refused once revoked, at the latest when their revocation arrives, and once they end', async () => {
    const { store, keys, revoked } = setUp()
    const [first, second, ended] = [newServiceKey('one', []), newServiceKey('two', []), newServiceKey('3', [])]
    for (const { stored } of [first, second]) await store.add(stored)
    await store.add(ended.stored, 60)
    expect(await store.revoke(first.stored.keyId)).toBe(true)
    expect(await store.revoke(first.stored.keyId)).toBe(false)
    expect(await keys.verify(first.key)).toBeUndefined()
    expect(await keys.verify(second.key)).toBeDefined()
    revoked.add(second.stored.keyId)
    expect(await keys.verify(second.key)).toBeUndefined()
    const { expiresAtMs = 0 } = (await store.find(ended.stored.keyId)) ?? {}
    await clock.advance(expiresAtMs - 1 - clock.now())
    expect(await keys.verify(ended.key)).toBeDefined()
    await clock.advance(1)
    expect(await keys.verify(ended.key)).toBeUndefined()
  })

  test('are looked up once for a hundred requests, and so is an id that nobody has', async () => {
    const { store } = setUp()
    let looks = 0
    const counting = {
      ...store,
      find: async (keyId: string) => {
        looks += 1
        return store.find(keyId)
      },
      used: (keyId: string) => store.used(keyId),
    }
    const { key, stored } = newServiceKey('busy', [])
    await store.add(stored)
    const keys = new ServiceKeys({
      store: Object.assign(Object.create(store), counting),
      revocations: { isKeyRevoked: () => false },
      clock,
      time: clock,
      logger: silentLogger,
    })
    const nobody = newServiceKey('nobody', []).key
    await Promise.all(Array.from({ length: 100 }, () => keys.verify(key)))
    await Promise.all(Array.from({ length: 100 }, () => keys.verify(nobody)))
    expect(looks).toBe(2)
  })
})

describe('tickets in PostgreSQL', () => {
  const identity = {
    userId: 'ann',
    expiresAtMs: 1_700_000_600_000,
    issuedAtSeconds: 1_700_000_000,
    sessionId: 'session 1',
    tokenId: undefined,
  }

  test('are redeemed by exactly one of a hundred who try at once', async () => {
    const store = new PostgresTicketStore(queries)
    const ticket = await issueTicket(store, identity)
    const answers = await Promise.all(Array.from({ length: 100 }, () => redeemTicket(store, ticket)))
    expect(answers.filter((answer) => answer !== undefined)).toEqual([identity])
  })

  test('end after thirty seconds', async () => {
    const store = new PostgresTicketStore(queries)
    const ticket = await issueTicket(store, identity)
    await execute(database.dsn, `update tickets set expires_at = expires_at - interval '30 s'`)
    expect(await redeemTicket(store, ticket)).toBeUndefined()
  })

  test('that ended are removed as new ones come', async () => {
    const store = new PostgresTicketStore(queries)
    await issueTicket(store, identity)
    await execute(database.dsn, `update tickets set expires_at = now() - interval '1 s'`)
    await issueTicket(store, identity)
    expect(await queries.query('select 1 from tickets where expires_at < now()')).toEqual([])
  })

  test.each(['', 'x', "' or true --", 'A'.repeat(23), 'A'.repeat(5_000)])(
    'are no question to the database when malformed: %s',
    async (text) => {
      const store = { add: () => Promise.reject(new Error('asked')), take: () => Promise.reject(new Error('asked')) }
      expect(await redeemTicket(store, text)).toBeUndefined()
    },
  )
})
