// What is read of the sessions that went on before a process began.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PostgresSessionStore } from '../../../src/accounts/session-store.postgres.ts'
import { type AccountStores, LIFE, openAccountStores, opening, signIn, somebody } from '../../support/account-store.ts'

let stores: AccountStores

beforeAll(async () => {
  stores = await openAccountStores()
})
afterAll(() => stores?.close())

test('those that were used last, by what they go on by; none that has ended', async () => {
  const { queries } = stores
  const { session } = await somebody(stores)
  const secretHash = Buffer.from(randomUUID())
  const { session: page } = opening()
  const byCookie = { session: { ...page, secret: { kind: 'cookie', secretHash } } } as const
  const opened = [session, await signIn(stores, session.userId, byCookie), await signIn(stores, session.userId)]
  const [first, , third] = opened.map(({ sessionId }) => sessionId)
  const used = 'update sessions set last_used_at = now() - make_interval(hours => $2) where session_id::text = $1'
  for (const [at, { sessionId }] of opened.entries()) await queries.query(used, [sessionId, 3 - at])
  const store = new PostgresSessionStore(queries, LIFE)
  expect(await store.usedLast(9)).toEqual([first, secretHash, third])
  expect(await store.usedLast(2)).toEqual([secretHash, third])
  await queries.query('update sessions set revoked_at = now() where session_id::text = $1', [third])
  await queries.query(used, [first, 31 * 24])
  expect(await store.usedLast(9)).toEqual([secretHash])
})

test('are looked for among the latest logins, however many there are: they have an index, a use has none', async () => {
  const { queries } = stores
  const { session } = await somebody(stores)
  const later = [await signIn(stores, session.userId), await signIn(stores, session.userId)]
  const store = new PostgresSessionStore(queries, LIFE)
  const opened = [session, ...later].map(({ sessionId }) => sessionId)
  const logins = `update sessions set expires_at = now() + make_interval(days => array_position($1::text[], session_id::text)),
    last_used_at = now() + make_interval(secs => 9 - array_position($1::text[], session_id::text))
    where session_id::text = any($1)`
  await queries.query('update sessions set revoked_at = now() where session_id::text <> all($1)', [opened])
  await queries.query(logins, [opened])
  expect(await store.usedLast(2)).toEqual([opened[1], opened[0]])
  await queries.query(
    `insert into sessions (user_id, kind, mac_key, expires_at, last_used_at)
     select $1, 'refresh', '\\x00', now() + interval '9 days', now() - interval '1 day' from generate_series(1, 9)`,
    [session.userId],
  )
  const [before, last] = await store.usedLast(2)
  expect(opened.includes(String(before))).toBe(false)
  expect(last).toBe(opened[2])
})
