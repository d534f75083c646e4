// Subscriptions and jobs on a real PostgreSQL, and somebody whom Bob writes to.
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { type Database, openDatabase } from '../../src/postgres/database.ts'
import type { Queries } from '../../src/postgres/queries.ts'
import type { HeldJob, JobEnd } from '../../src/push/job.ts'
import { PostgresJobStore } from '../../src/push/job-store.postgres.ts'
import { PostgresSubscriptionStore } from '../../src/push/subscription-store.postgres.ts'
import { backlogOf } from './app.ts'
import { createDatabase, type TestDatabase } from './databases.ts'
import { browserSubscription } from './push-jobs.ts'
import { silentLogger } from './silent-logger.ts'

export const DONE: JobEnd = { end: 'done', isPushed: true }

/** A database for the tests of a file, without a subscription or a job before each of them. */
export function usePushDatabase() {
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

  /** Somebody with so many browsers, whom Bob has written so much, and a job for it. */
  async function dueJob({ browsers = 1, messages = 1 }: { browsers?: number; messages?: number } = {}) {
    const user = newUser()
    for (let count = 0; count < browsers; count += 1) await subscribe(user)
    const written = await backlog(user, messages)
    await written.want()
    return { user, ...written }
  }

  /** The same, and they were told of it. */
  async function toldJob(what: { browsers?: number; messages?: number } = {}) {
    const made = await dueJob(what)
    await settle((await jobs.claim(10))[0], DONE)
    return made
  }

  const settle = (job: HeldJob | undefined, end: JobEnd): Promise<void> => jobs.settle(job ? [{ job, end }] : [])
  /** Lets everything that waits be due now. */
  const hurry = (): Promise<unknown> => queries.query('update push_jobs set due_at = now() where due_at is not null')
  /** Seconds until the only job is due. */
  const dueIn = async (): Promise<number | undefined> =>
    (await queries.query<{ due: number }>('select extract(epoch from due_at - now())::float8 as due from push_jobs'))[0]
      ?.due
  const openJobs = async (): Promise<number> =>
    (await queries.query('select 1 from push_jobs where due_at is not null')).length

  return {
    /** Once the tests run. */
    opened: () => ({ database, queries, subscriptions, jobs }),
    ...{ newUser, subscribe, endpointsOf, backlog, dueJob, toldJob, settle, hurry, dueIn, openJobs },
  }
}
