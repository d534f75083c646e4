// Subscriptions, jobs and the sweeper on a real PostgreSQL.
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { IS_FRESH } from '../../src/accounts/session-store.postgres.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import type { Queries } from '../../src/postgres/queries.ts'
import type { HeldJob, JobEnd } from '../../src/push/job.ts'
import { CLAIM } from '../../src/push/job-statements.postgres.ts'
import { PostgresJobStore } from '../../src/push/job-store.postgres.ts'
import { PostgresPushKeyStore } from '../../src/push/key-store.postgres.ts'
import { PostgresSubscriptionStore } from '../../src/push/subscription-store.postgres.ts'
import { PostgresSweepStore } from '../../src/push/sweep-store.postgres.ts'
import { backlogOf } from '../support/app.ts'
import { createDatabase, silentLogger, type TestDatabase } from '../support/databases.ts'
import { costOfExecuting } from '../support/plan-cost.ts'
import { browserSubscription } from '../support/push-jobs.ts'
import { openTransaction } from '../support/transactions.ts'

let database: TestDatabase
let opened: Database
let queries: Queries
let subscriptions: PostgresSubscriptionStore
let jobs: PostgresJobStore
let people = 0

beforeAll(async () => {
  database = await createDatabase()
  opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  queries = opened.openQueries(4)
  subscriptions = new PostgresSubscriptionStore(queries)
  jobs = new PostgresJobStore(opened.openQueries(2, { keepsPlans: true }))
})
afterAll(async () => {
  await opened.writerConnection.close()
  await opened.close()
  await database.drop()
})
beforeEach(async () => {
  await queries.query('delete from push_jobs')
  await queries.query('delete from push_subscriptions')
})

const newUser = (): string => {
  people += 1
  return `user${people}`
}

async function subscribe(userId: string, more: { endpoint?: string; sessionId?: string } = {}): Promise<string> {
  const subscription = browserSubscription(more.endpoint)
  await subscriptions.put(
    { userId, sessionId: more.sessionId, subscription, content: 'full', locale: undefined },
    'kid',
  )
  return subscription.endpoint
}

const endpointsOf = async (userId: string): Promise<string[]> => {
  const rows = await queries.query<{ endpoint: string }>(
    'select endpoint from push_subscriptions where user_id = $1 order by confirmed_at',
    [userId],
  )
  return rows.map(({ endpoint }) => endpoint)
}

/** Messages of Bob that the user has not received, and a job for them. */
async function backlog(userId: string, count = 1, peer = 'bob') {
  await queries.query(backlogOf(peer, userId, count, 5))
  const place = { userId, conversation: conversationBetween(peer, userId) }
  const want = async (until: 'delivered' | 'read' = 'delivered'): Promise<number> => {
    const [standing] = await jobs.standings([place])
    return standing ? jobs.want([{ userId, standing, until, ageSeconds: 1 }]) : 0
  }
  const move = async (which: 'delivered' | 'read', seq: number): Promise<void> => {
    const side = userId < peer ? 'lo' : 'hi'
    const { lo, hi } = place.conversation
    await queries.query(`update conversations set ${side}_${which}_seq = $3 where user_lo = $1 and user_hi = $2`, [
      lo,
      hi,
      seq,
    ])
  }
  const more = async (): Promise<void> => {
    const { lo, hi } = place.conversation
    await queries.query(
      `with c as (update conversations set last_seq = last_seq + 1 where user_lo = $1 and user_hi = $2 returning conversation_id, last_seq)
       insert into messages (conversation_id, seq, id, sender_id, content, created_at)
       select conversation_id, last_seq, gen_random_uuid(), $3, 'more', now() from c`,
      [lo, hi, peer],
    )
  }
  return { place, want, move, more }
}

const settle = (job: HeldJob | undefined, end: JobEnd): Promise<void> => jobs.settle(job ? [{ job, end }] : [])
const DONE: JobEnd = { end: 'done', isPushed: true }
/** Lets everything that waits be due now. */
const hurry = (): Promise<unknown> => queries.query('update push_jobs set due_at = now() where due_at is not null')
/** Seconds until the only job is due. */
const dueIn = async (): Promise<number | undefined> =>
  (await queries.query<{ due: number }>('select extract(epoch from due_at - now())::float8 as due from push_jobs'))[0]
    ?.due
const openJobs = async (): Promise<number> =>
  (await queries.query('select 1 from push_jobs where due_at is not null')).length

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

  test('that were silent are asked once, and then forgotten', async () => {
    const user = newUser()
    await subscribe(user)
    const age = (days: number) =>
      queries.query('update push_subscriptions set confirmed_at = now() - make_interval(days => $1)', [days])
    await age(61)
    expect(await subscriptions.cleanUp()).toHaveLength(1)
    expect(await subscriptions.cleanUp()).toEqual([])
    await age(91)
    await subscriptions.cleanUp()
    expect(await endpointsOf(user)).toEqual([])
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

describe('a job', () => {
  test('collapses, is taken by one, and says what is unread', async () => {
    const user = newUser()
    expect(await (await backlog(user, 3)).want()).toBe(0) // nobody subscribed
    await subscribe(user)
    const { want, more } = await backlog(user, 1, 'cid')
    await want()
    await more()
    await want()
    const [first, second] = await Promise.all([jobs.claim(10), jobs.claim(10)])
    expect([...first, ...second]).toMatchObject([
      { userId: user, kind: 'notify', isNeeded: true, wasPushed: false, attempts: 0 },
    ])
    const [job] = [...first, ...second]
    expect(job?.unread).toEqual({ peer: 'cid', peerName: 'cid', count: 2, text: 'more', seq: 2, badge: 1 })
    expect(job?.targets).toMatchObject([{ content: 'full', closedSeconds: 0, spentSeconds: 0, clearsLeft: 10 }])
    await settle(job, DONE)
    expect([await openJobs(), await want()]).toEqual([0, 0])
    await more()
    expect(await want()).toBe(1)
    // Not at once: the last one is on the screen.
    expect(await jobs.claim(10)).toEqual([])
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ wasPushed: true, unread: { count: 3 } }])
  })

  test('that gets more to tell while it is sent is due again', async () => {
    const user = newUser()
    await subscribe(user)
    const { want, more } = await backlog(user)
    await want()
    const [job] = await jobs.claim(10)
    await more()
    await want()
    expect(await jobs.claim(10)).toEqual([])
    await settle(job, DONE)
    expect(await openJobs()).toBe(1)
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ unread: { seq: 2 } }])
  })

  test('told of what came before its sending is not sent again for that', async () => {
    const user = newUser()
    for (let count = 0; count < 2; count += 1) await subscribe(user)
    const { want, more } = await backlog(user)
    await want()
    await more()
    const [job] = await jobs.claim(10)
    expect(job).toMatchObject({ toldSeq: 2, unread: { seq: 2 } })
    const sentTo = [job?.targets[0]?.id ?? '']
    await settle(job, { end: 'again', isPushed: true, afterSeconds: 0, isFailure: true, sentTo })
    const [rest] = await jobs.claim(10)
    expect(rest).toMatchObject({ toldSeq: 2, sentTo })
    await settle(rest, DONE)
    // The wheel comes to the second message now, and then the sweeper.
    expect(await want()).toBe(0)
    expect(await new PostgresSweepStore(queries).sweep(0, Date.now() + 60_000)).toBe(0)
    expect(await openJobs()).toBe(0)
  })

  test('that some had before something new came is told to them, too', async () => {
    const user = newUser()
    for (let count = 0; count < 2; count += 1) await subscribe(user)
    const { want, more } = await backlog(user)
    await want()
    const [first] = await jobs.claim(10)
    const sentTo = [first?.targets[0]?.id ?? '']
    await settle(first, { end: 'again', isPushed: true, afterSeconds: 0, isFailure: true, sentTo })
    await more()
    const [second] = await jobs.claim(10)
    expect(second).toMatchObject({ toldSeq: 1, unread: { seq: 2 } })
    await settle(second, DONE)
    expect(await want()).toBe(1)
    await hurry()
    expect((await jobs.claim(10))[0]?.targets).toHaveLength(2)
  })

  test('is void once it is delivered, or read', async () => {
    const user = newUser()
    await subscribe(user)
    const { want, move } = await backlog(user)
    await want('delivered')
    await move('delivered', 1)
    const [job] = await jobs.claim(10)
    expect(job).toMatchObject({ isNeeded: false, wasPushed: false })
    await settle(job, { end: 'void' })
    expect(await queries.query('select 1 from push_jobs')).toEqual([])
    await want('read')
    expect(await jobs.claim(10)).toMatchObject([{ isNeeded: true }])
    await move('read', 1)
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ isNeeded: false }])
  })

  test('of which the lease has ended is taken by another, and the first says nothing any more', async () => {
    const user = newUser()
    await subscribe(user)
    await (await backlog(user)).want()
    const [lost] = await jobs.claim(10)
    await hurry()
    const [taken] = await jobs.claim(10)
    await settle(lost, DONE)
    expect(await openJobs()).toBe(1)
    await settle(taken, {
      ...{ end: 'again', isPushed: false, afterSeconds: 0, isFailure: true },
      sentTo: [taken?.targets[0]?.id ?? ''],
    })
    const [again] = await jobs.claim(10)
    expect(again).toMatchObject({ attempts: 1, targets: [], sentTo: [taken?.targets[0]?.id] })
    await settle(again, DONE)
    expect(await openJobs()).toBe(0)
  })

  test('that some have and others wait for is told to all again when there is more', async () => {
    const user = newUser()
    for (let count = 0; count < 2; count += 1) await subscribe(user)
    const { want, more } = await backlog(user)
    await want()
    const partly = async (job: HeldJob | undefined, isPushed: boolean): Promise<void> =>
      settle(job, { end: 'again', isPushed, afterSeconds: 3_600, isFailure: true, sentTo: [job?.targets[0]?.id ?? ''] })
    await partly((await jobs.claim(10))[0], true)
    expect(await dueIn()).toBeCloseTo(3_600, -2)
    // What is told already is no news.
    expect(await want()).toBe(0)
    await more()
    await want()
    // After the pause that follows a notification, not after that of a failure.
    expect(await dueIn()).toBeCloseTo(10, -1)
    await hurry()
    const [job] = await jobs.claim(10)
    expect(job?.targets).toHaveLength(2)
    expect(job).toMatchObject({ wasPushed: true, sentTo: [], attempts: 1 })
    // What comes while it is sent is for all, too.
    await more()
    await want()
    await partly(job, true)
    expect(await dueIn()).toBeCloseTo(30, -1)
    await hurry()
    const [last] = await jobs.claim(10)
    expect(last?.targets).toHaveLength(2)
    // Where nobody was told, everything waits for the next attempt.
    await more()
    await want()
    await partly(last, false)
    expect(await dueIn()).toBeCloseTo(3_600, -2)
  })

  test('that was read while it was sent is taken away, and one that nobody was told of is void', async () => {
    const [told, untold] = [newUser(), newUser()]
    for (const user of [told, untold]) {
      await subscribe(user)
      const { place, want, move } = await backlog(user)
      await want()
      const [job] = await jobs.claim(10)
      await move('delivered', 1)
      await move('read', 1)
      // By those who told of the read it is left to whoever sends it.
      await jobs.read([place])
      const isPushed = user === told
      await settle(job, { end: 'again', isPushed, afterSeconds: 3_600, isFailure: true, sentTo: [] })
      if (isPushed) expect(await dueIn()).toBeLessThanOrEqual(1)
      else expect(await dueIn()).toBeCloseTo(3_600, -2)
      await hurry()
      const [next] = await jobs.claim(10)
      expect(next).toMatchObject({ kind: isPushed ? 'clear' : 'notify', isNeeded: isPushed, wasPushed: isPushed })
      await settle(next, { end: 'void' })
      expect(await queries.query('select 1 from push_jobs')).toEqual([])
    }
  })

  test('that was given up is not counted by the badge, and forgotten like one that was shown', async () => {
    const user = newUser()
    await subscribe(user)
    const [shown, given] = [await backlog(user, 1, 'cid'), await backlog(user, 1, 'dan')]
    await shown.want()
    await settle((await jobs.claim(10))[0], DONE)
    await given.want()
    await settle((await jobs.claim(10))[0], { end: 'done', isPushed: false })
    await (await backlog(user)).want()
    // Of Cid and Bob; what Dan wrote is on no screen.
    expect((await jobs.claim(10))[0]?.unread.badge).toBe(2)
    const ages = ['pushed_at', 'wanted_at', 'due_at'].map((column) => `${column} = ${column} - interval '31 days'`)
    await queries.query(`update push_jobs set ${ages}`)
    await new PostgresSweepStore(queries).forget()
    // One that waits is kept.
    expect(await queries.query('select conversation_id from push_jobs where due_at is null')).toEqual([])
    expect(await openJobs()).toBe(1)
  })

  test('that was shown is taken away when its conversation was read to the end', async () => {
    const user = newUser()
    await subscribe(user)
    const { place, want, move } = await backlog(user, 2)
    await want()
    await settle((await jobs.claim(10))[0], DONE)
    await move('delivered', 2)
    await move('read', 1)
    await jobs.read([place])
    expect(await openJobs()).toBe(0)
    await move('read', 2)
    await jobs.read([place])
    await hurry()
    const [clear] = await jobs.claim(10)
    expect(clear).toMatchObject({ kind: 'clear', isNeeded: true })
    await settle(clear, { end: 'void' })
    expect(await queries.query('select 1 from push_jobs')).toEqual([])
  })

  test('that takes away is put off by something new, and done when that was read', async () => {
    const user = newUser()
    await subscribe(user)
    const { place, want, move, more } = await backlog(user)
    await want()
    await settle((await jobs.claim(10))[0], DONE)
    await move('delivered', 1)
    await move('read', 1)
    await jobs.read([place])
    // Received where somebody is, so nobody is to be told of it.
    await more()
    await move('delivered', 2)
    await hurry()
    const [clear] = await jobs.claim(10)
    expect(clear).toMatchObject({ kind: 'clear', isNeeded: false, wasPushed: true })
    await settle(clear, { end: 'kept' })
    expect(await openJobs()).toBe(0)
    await move('read', 2)
    await jobs.read([place])
    await hurry()
    const [again] = await jobs.claim(10)
    expect(again).toMatchObject({ kind: 'clear', isNeeded: true })
    // And so it is where the new message is read before the first is put off.
    await more()
    await hurry()
    const [put] = await jobs.claim(10)
    await move('read', 3)
    await settle(put, { end: 'kept' })
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ kind: 'clear', isNeeded: true }])
  })

  test('made while a notification is taken away is kept, and is due at once', async () => {
    for (const end of [{ end: 'void' }, { end: 'kept' }] as const) {
      await queries.query('delete from push_jobs')
      const user = newUser()
      await subscribe(user)
      const { place, want, move, more } = await backlog(user)
      await want()
      await settle((await jobs.claim(10))[0], DONE)
      await move('read', 1)
      await jobs.read([place])
      await hurry()
      if (end.end === 'kept') await more()
      const [clear] = await jobs.claim(10)
      expect(clear).toMatchObject({ kind: 'clear', isNeeded: end.end === 'void' })
      if (end.end === 'void') await more()
      expect(await want()).toBe(1)
      await settle(clear, end)
      expect(await jobs.claim(10)).toMatchObject([{ kind: 'notify', isNeeded: true, unread: { seq: 2 } }])
    }
  })

  test('called off by what was received is made again where that stays unread', async () => {
    const user = newUser()
    await subscribe(user)
    const { want, move, more } = await backlog(user)
    await want()
    await settle((await jobs.claim(10))[0], DONE)
    await more()
    await want()
    await move('delivered', 2)
    await hurry()
    const [job] = await jobs.claim(10)
    expect(job).toMatchObject({ isNeeded: false, wasPushed: true })
    await settle(job, { end: 'kept' })
    expect([await openJobs(), await want('read')]).toEqual([0, 1])
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ isNeeded: true, unread: { seq: 2 } }])
  })

  test('is reported in one order with others, so that no two statements wait for each other', async () => {
    const users = [newUser(), newUser()].sort()
    for (const user of users) {
      await subscribe(user)
      await (await backlog(user)).want()
    }
    const held = (await jobs.claim(10)).sort((a, b) => (a.userId < b.userId ? 1 : -1))
    const first = await openTransaction(database.dsn, `select from push_jobs where user_id = '${users[0]}' for update`)
    const settling = jobs.settle(held.map((job) => ({ job, end: DONE })))
    const waiting = `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    await expect.poll(() => queries.query(waiting), { interval: 5 }).toHaveLength(1)
    // Whoever has the first may take the second.
    await queries.query(`select from push_jobs where user_id = '${users[1]}' for update nowait`)
    await first.end()
    await settling
    expect(await openJobs()).toBe(0)
  })

  test('is as old as the newest of what it tells', async () => {
    const user = newUser()
    await subscribe(user)
    const { want, more } = await backlog(user)
    await want()
    await queries.query(`update push_jobs set wanted_at = now() - interval '1 day'`)
    expect(await want()).toBe(0)
    await more()
    await want()
    expect((await jobs.claim(10))[0]?.ageSeconds).toBeLessThan(60)
  })

  test('goes to no host that wants to be left alone, and no user beyond sixty an hour', async () => {
    const user = newUser()
    await subscribe(user)
    await jobs.closeHost('fcm.googleapis.com', 100)
    await queries.query('update push_subscriptions set window_pushes = 60')
    await (await backlog(user)).want()
    const [job] = await jobs.claim(10)
    expect(job?.targets[0]?.closedSeconds).toBeCloseTo(100, -1)
    expect(job?.targets[0]?.spentSeconds).toBeCloseTo(3_600, -2)
    await queries.query('delete from push_hosts')
  })
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
