// Subscriptions, their keys and the sweeper on a real PostgreSQL.
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { IS_FRESH } from '../../src/accounts/session-store.postgres.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import type { Queries } from '../../src/postgres/queries.ts'
import { CLAIM } from '../../src/push/job-statements.postgres.ts'
import type { PostgresJobStore } from '../../src/push/job-store.postgres.ts'
import { PostgresPushKeyStore } from '../../src/push/key-store.postgres.ts'
import type { PostgresSubscriptionStore } from '../../src/push/subscription-store.postgres.ts'
import { PostgresSweepStore } from '../../src/push/sweep-store.postgres.ts'
import type { TestDatabase } from '../support/databases.ts'
import { costOfExecuting } from '../support/plan-cost.ts'
import { DONE, usePushDatabase } from '../support/push-database.ts'

const bench = usePushDatabase()
const { newUser, subscribe, endpointsOf, backlog, settle } = bench
let database: TestDatabase
let queries: Queries
let subscriptions: PostgresSubscriptionStore
let jobs: PostgresJobStore
beforeAll(() => {
  ;({ database, queries, subscriptions, jobs } = bench.opened())
})

test('a key that is retired is kept for the subscriptions that were made with it', async () => {
  const store = new PostgresPushKeyStore(queries)
  const before = await store.read()
  await queries.query(`update secrets set retired_at = now() where kid = $1`, [before.vapid.kid])
  const after = await store.read()
  expect(after.vapid.kid).not.toBe(before.vapid.kid)
  expect(after.retired.map(({ kid, publicKey }) => [kid, publicKey])).toEqual([
    [before.vapid.kid, before.vapid.publicKey],
  ])
  expect(after.tagSecret).toEqual(before.tagSecret)
})

describe('subscriptions', () => {
  test('belong to their last owner, ten of one user', async () => {
    const [a, b] = [newUser(), newUser()]
    const endpoint = await subscribe(a)
    await subscribe(b, { endpoint })
    expect([await endpointsOf(a), await endpointsOf(b)]).toEqual([[], [endpoint]])
    for (let more = 0; more < 10; more += 1) await subscribe(b)
    expect(await endpointsOf(b)).toHaveLength(10)
    expect(await endpointsOf(b)).not.toContain(endpoint)
    await subscriptions.remove(a, (await endpointsOf(b))[0] ?? '')
    expect(await endpointsOf(b)).toHaveLength(10)
    expect(await subscriptions.users('', 10)).toEqual([b])
    const { asOfMs } = await subscriptions.usersSince(undefined)
    expect((await subscriptions.usersSince(asOfMs - 60_000)).users).toEqual([b])
    expect((await subscriptions.usersSince(asOfMs + 60_000)).users).toEqual([])
  })

  test('end with their login, and with a revocation of their user', async () => {
    const user = newUser()
    await subscribe(user, { sessionId: 'a' })
    await subscribe(user, { sessionId: 'b' })
    const revoke = (column: string, value: string) =>
      queries.query(`insert into revocations (${column}, actor) values ($1, 'test')`, [value])
    await revoke('session_id', 'a')
    const job = await backlog(user)
    await job.want()
    expect((await jobs.claim(10))[0]?.targets).toHaveLength(1)
    expect(await endpointsOf(user)).toHaveLength(1)
    await revoke('user_id', user)
    expect(await subscriptions.takeForTest(user)).toEqual([])
    expect(await endpointsOf(user)).toEqual([])
    // A new login after that counts.
    await subscribe(user, { sessionId: 'c' })
    expect(await subscriptions.takeForTest(user)).toHaveLength(1)
    expect(await subscriptions.takeForTest(user)).toBe('wait')
  })

  test('stay with the logins that a revocation of their user spares', async () => {
    const user = newUser()
    await subscribe(user, { sessionId: 'kept' })
    await subscribe(user)
    await queries.query(`insert into revocations (user_id, actor, reason) values ($1, 'test', 'sessionless')`, [user])
    expect(await endpointsOf(user)).toHaveLength(1)
    expect(await subscriptions.takeForTest(user)).toHaveLength(1)
  })

  test('and new logins are found by an index, however many sessions and revocations there are', async () => {
    const user = newUser()
    const client = new pg.Client(parseDsn(database.dsn))
    await client.connect()
    await client.query('begin')
    await client.query(`insert into accounts (user_id, username, username_key) values ('many', 'many', 'many')`)
    await client.query(`insert into sessions (user_id, kind, secret_hash, expires_at)
      select 'many', 'cookie', sha256(n::text::bytea), now() + interval '1 day' from generate_series(1, 3000) n`)
    await client.query(`insert into revocations (session_id, actor) select n, 'test' from generate_series(1, 3000) n`)
    await client.query('analyze sessions, revocations')
    const { rows } = await client.query<{ id: string }>('select session_id::text as id from sessions limit 2')
    await subscribe(user, { sessionId: rows[0]?.id ?? '' })
    await subscribe(user, { sessionId: 'no uuid' })
    await (await backlog(user)).want()
    await client.query(`prepare claim(int, uuid) as ${CLAIM}`)
    const claimed = await costOfExecuting(client, 'claim', ['10', crypto.randomUUID()])
    await client.query(`prepare fresh(text, float8) as ${IS_FRESH}`)
    const fresh = await costOfExecuting(client, 'fresh', [rows[1]?.id ?? '', '60'])
    const scans = [...claimed.scans, ...fresh.scans].filter((scan) => / (sessions|revocations)$/.test(scan))
    expect(scans.length).toBeGreaterThanOrEqual(4)
    expect(scans.filter((scan) => scan.startsWith('Seq Scan'))).toEqual([])
    await client.query('rollback')
    await client.end()
  })

  test('go at once when they are gone, and by refusals only if they never worked', async () => {
    const user = newUser()
    for (let count = 0; count < 3; count += 1) await subscribe(user)
    const [gone, worked, never] = await idsOf(user)
    await subscriptions.note([
      { id: gone, kind: 'gone' },
      { id: worked, kind: 'sent' },
    ])
    for (let count = 0; count < 5; count += 1) {
      await subscriptions.note([
        { id: worked, kind: 'refused' },
        { id: never, kind: 'refused' },
      ])
      expect(await idsOf(user)).toEqual(count < 2 ? [worked, never] : [worked])
    }
  })

  test('go by refusals once the key that they were made with is retired', async () => {
    const user = newUser()
    await subscribe(user)
    const [id] = await idsOf(user)
    await subscriptions.note([{ id, kind: 'sent' }])
    const refuse = () => subscriptions.note([{ id, kind: 'refused' }])
    for (let count = 0; count < 5; count += 1) await refuse()
    expect(await idsOf(user)).toEqual([id])
    await queries.query(`insert into secrets (name, kid, value, retired_at) values ('vapid', 'kid', '\\x', now())`)
    await refuse()
    expect(await idsOf(user)).toEqual([])
    await queries.query(`delete from secrets where kid = 'kid'`)
  })

  test('that were silent are asked once, and then forgotten', async () => {
    const user = newUser()
    await subscribe(user)
    const age = (days: number) =>
      queries.query('update push_subscriptions set confirmed_at = now() - make_interval(days => $1)', [days])
    await age(61)
    await jobs.closeHost('fcm.googleapis.com', 100)
    expect(await subscriptions.cleanUp()).toEqual([])
    await queries.query('delete from push_hosts')
    expect(await subscriptions.cleanUp()).toHaveLength(1)
    expect(await subscriptions.cleanUp()).toEqual([])
    await age(91)
    await subscriptions.cleanUp()
    expect(await endpointsOf(user)).toEqual([])
  })

  test('of another epoch are told nothing, nor asked, before they are declared again', async () => {
    const user = newUser()
    const [endpoint] = [await subscribe(user), await subscribe(user)]
    await (await backlog(user)).want()
    // As a restore does, which brings back those of logins that have ended since.
    await queries.query('update service_state set epoch = $1', [crypto.randomUUID()])
    const { asOfMs } = await subscriptions.usersSince(undefined)
    const seen = async () => [
      await subscriptions.users('', 10),
      (await subscriptions.usersSince(asOfMs - 60_000)).users,
      await subscriptions.takeForTest(user),
    ]
    expect(await seen()).toEqual([[], [], []])
    expect((await jobs.claim(10))[0]?.targets).toEqual([])
    // Nothing is wanted for them either, by the wheel or the sweeper.
    expect(await (await backlog(user, 1, 'cid')).want()).toBe(0)
    expect(await new PostgresSweepStore(queries).sweep(0, Date.now() + 60_000)).toBe(0)
    await queries.query(`update push_subscriptions set confirmed_at = now() - interval '61 days'`)
    expect(await subscriptions.cleanUp()).toEqual([])
    await subscribe(user, { endpoint })
    expect(await seen()).toEqual([[user], [user], [expect.objectContaining({ endpoint })]])
  })

  test('of another epoch push out none of this one, however late they were declared', async () => {
    const user = newUser()
    for (let before = 0; before < 10; before += 1) await subscribe(user)
    await queries.query(`update push_subscriptions set confirmed_at = now() + interval '1 hour'`)
    await queries.query('update service_state set epoch = $1', [crypto.randomUUID()])
    const endpoint = await subscribe(user)
    expect(await endpointsOf(user)).toContain(endpoint)
    expect(await endpointsOf(user)).toHaveLength(10)
  })

  async function idsOf(user: string): Promise<[string, string, string]> {
    const rows = await queries.query<{ id: string }>(
      'select subscription_id as id from push_subscriptions where user_id = $1 order by created_at',
      [user],
    )
    return rows.map(({ id }) => id) as [string, string, string]
  }
})

test('the keys are made once, also by instances that start together', async () => {
  const made = await Promise.all([1, 2, 3, 4].map(() => new PostgresPushKeyStore(queries).read()))
  expect(new Set(made.map(({ vapid }) => vapid.publicKey)).size).toBe(1)
  expect(new Set(made.map(({ tagSecret }) => tagSecret.toString('hex'))).size).toBe(1)
})

test('the sweeper finds what nobody told, once, and only one instance sweeps', async () => {
  const [away, told, acked] = [newUser(), newUser(), newUser()]
  for (const user of [away, told, acked]) await subscribe(user)
  await backlog(away)
  const [had, has] = [await backlog(told), await backlog(acked)]
  await had.want()
  await settle((await jobs.claim(10))[0], DONE)
  await has.move('delivered', 1)
  const store = new PostgresSweepStore(queries)
  const taken = await store.take(crypto.randomUUID())
  expect(taken?.sweptUntilMs).toBeUndefined()
  expect(await store.take(crypto.randomUUID())).toBeUndefined()
  const nowMs = taken?.nowMs ?? 0
  expect(await store.sweep(nowMs - 60_000, nowMs - 30_000)).toBe(0)
  expect(await store.sweep(nowMs - 60_000, nowMs + 1_000)).toBe(1)
  expect(await store.sweep(nowMs - 60_000, nowMs + 1_000)).toBe(0)
  expect((await jobs.claim(10)).map(({ userId }) => userId)).toEqual([away])
  await store.forget()
})

test('after the clock of the database was set back another instance may sweep, and no push service stays closed', async () => {
  const store = new PostgresSweepStore(queries)
  await queries.query(`update push_sweep set lease_owner = gen_random_uuid(), lease_until = now() + interval '1 hour'`)
  expect(await store.take(crypto.randomUUID())).toBeDefined()
  expect(await store.take(crypto.randomUUID())).toBeUndefined()
  await jobs.closeHost('one', 3_600)
  await jobs.closeHost('two', 7_200)
  await store.forget()
  expect(await queries.query('select host from push_hosts')).toEqual([{ host: 'one' }])
  await queries.query('delete from push_hosts')
})
