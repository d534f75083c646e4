// What becomes of jobs on a real PostgreSQL.
import { beforeAll, describe, expect, test } from 'vitest'
import type { Queries } from '../../src/postgres/queries.ts'
import type { HeldJob } from '../../src/push/job.ts'
import type { PostgresJobStore } from '../../src/push/job-store.postgres.ts'
import { PostgresSweepStore } from '../../src/push/sweep-store.postgres.ts'
import type { TestDatabase } from '../support/databases.ts'
import { DONE, usePushDatabase } from '../support/push-database.ts'
import { openTransaction, WAITING_FOR_LOCK } from '../support/transactions.ts'

const bench = usePushDatabase()
const { newUser, subscribe, backlog, dueJob, toldJob, settle, hurry, dueIn, openJobs } = bench
let database: TestDatabase
let queries: Queries
let jobs: PostgresJobStore
beforeAll(() => {
  ;({ database, queries, jobs } = bench.opened())
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

  test('is taken and reported without waiting for the disk: a crash repeats it', async () => {
    await queries.query('create table commits (how text)')
    await queries.query(`create function note_commit() returns trigger language plpgsql as $$ begin
      insert into commits values (current_setting('synchronous_commit')); return new; end $$`)
    await queries.query(
      'create trigger note_commit before update on push_jobs for each row execute function note_commit()',
    )
    await dueJob()
    const [job] = await jobs.claim(10)
    await settle(job, DONE)
    expect(await queries.query('select how from commits')).toEqual([{ how: 'off' }, { how: 'off' }])
    await queries.query('drop function note_commit cascade')
    await queries.query('drop table commits')
  })

  test('that gets more to tell while it is sent is due again', async () => {
    const { want, more } = await dueJob()
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
    const { want, more } = await dueJob({ browsers: 2 })
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
    const { want, more } = await dueJob({ browsers: 2 })
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
    const { want, move } = await dueJob()
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
    await dueJob()
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
    const { want, more } = await dueJob({ browsers: 2 })
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
    for (const isPushed of [true, false]) {
      const { place, move } = await dueJob()
      const [job] = await jobs.claim(10)
      await move('delivered', 1)
      await move('read', 1)
      // By those who told of the read it is left to whoever sends it.
      await jobs.read([place])
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
    const { place, move } = await toldJob({ messages: 2 })
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
    const { place, move, more } = await toldJob()
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
      const { place, want, move, more } = await toldJob()
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
    const { want, move, more } = await toldJob()
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
    const users = [(await dueJob()).user, (await dueJob()).user].sort()
    const held = (await jobs.claim(10)).sort((a, b) => (a.userId < b.userId ? 1 : -1))
    const first = await openTransaction(database.dsn, `select from push_jobs where user_id = '${users[0]}' for update`)
    const settling = jobs.settle(held.map((job) => ({ job, end: DONE })))
    await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5 }).toHaveLength(1)
    // Whoever has the first may take the second.
    await queries.query(`select from push_jobs where user_id = '${users[1]}' for update nowait`)
    await first.end()
    await settling
    expect(await openJobs()).toBe(0)
  })

  test('is as old as the newest of what it tells', async () => {
    const { want, more } = await dueJob()
    await queries.query(`update push_jobs set wanted_at = now() - interval '1 day'`)
    expect(await want()).toBe(0)
    await more()
    await want()
    expect((await jobs.claim(10))[0]?.ageSeconds).toBeLessThan(60)
  })

  test('that takes away and fails is tried again later, unless something new comes', async () => {
    for (const isMore of [false, true]) {
      await queries.query('delete from push_jobs')
      const { place, want, move, more } = await toldJob({ browsers: 2 })
      await move('read', 1)
      await jobs.read([place])
      await hurry()
      const [clear] = await jobs.claim(10)
      const sentTo = [clear?.targets[0]?.id ?? '']
      if (isMore) await more()
      if (isMore) await want()
      await settle(clear, { end: 'again', isPushed: true, afterSeconds: 3_600, isFailure: true, sentTo })
      if (!isMore) expect(await dueIn()).toBeCloseTo(3_600, -2)
      if (!isMore) await hurry()
      const [next] = await jobs.claim(10)
      expect(next?.targets).toHaveLength(isMore ? 2 : 1)
      const fields = isMore
        ? { kind: 'notify', isNeeded: true }
        : { kind: 'clear', attempts: 1, isNeeded: true, sentTo }
      expect(next).toMatchObject(fields)
    }
  })

  test('of what was read when no instance could tell is not counted, and found in the end', async () => {
    const user = newUser()
    await subscribe(user)
    const [read, unread, other] = [await backlog(user), await backlog(user, 1, 'cid'), await backlog(user, 1, 'dan')]
    for (const { want } of [read, unread]) {
      await want()
      await settle((await jobs.claim(10))[0], DONE)
    }
    await read.move('delivered', 1)
    await read.move('read', 1)
    await other.want()
    const [job] = await jobs.claim(10)
    // Of Cid and Dan.
    expect(job?.unread.badge).toBe(2)
    await settle(job, DONE)
    const sweeps = new PostgresSweepStore(queries)
    // The second look finds the end, and the third begins anew.
    expect([await sweeps.readAgain(), await sweeps.readAgain(), await sweeps.readAgain()]).toEqual([1, 0, 0])
    await hurry()
    expect(await jobs.claim(10)).toMatchObject([{ kind: 'clear', isNeeded: true, unread: { peer: 'bob' } }])
    await unread.move('read', 1)
    expect([await sweeps.readAgain(), await sweeps.readAgain()]).toEqual([0, 1])
  })

  test('that waits for a time to come which the clock of the database was set back from is hurried', async () => {
    const [young, old, fine] = [(await dueJob()).user, (await dueJob()).user, (await dueJob()).user]
    const age = (user: string, wanted: string, due: string) =>
      queries.query(
        'update push_jobs set wanted_at = now() + $2::interval, due_at = now() + $3::interval where user_id = $1',
        [user, wanted, due],
      )
    await age(young, '59 minutes', '1 hour')
    await age(old, '-1 hour', '2 hours')
    await age(fine, '-1 hour', '1 hour')
    await new PostgresSweepStore(queries).forget()
    const claimed = await jobs.claim(10)
    expect(claimed.map(({ userId }) => userId).sort()).toEqual([young, old].sort())
    expect(claimed.every(({ ageSeconds }) => ageSeconds >= 0)).toBe(true)
  })

  test('does not wait for a pause after a notification of a time to come', async () => {
    const { want, more } = await toldJob()
    await queries.query(`update push_jobs set pushed_at = now() + interval '1 hour'`)
    await more()
    await want()
    expect(await dueIn()).toBeLessThanOrEqual(10)
  })

  test('of a thousand messages within ten minutes is sent five times at most', async () => {
    const user = newUser()
    await subscribe(user)
    const { want, more } = await backlog(user)
    const STEP_SECONDS = 3
    let pushes = 0
    for (let seconds = 0; seconds < 600; seconds += STEP_SECONDS) {
      for (let count = 0; count < 5; count += 1) await more()
      await want()
      for (const job of await jobs.claim(10)) {
        pushes += job.targets.length
        await settle(job, DONE)
      }
      const back = ['due_at', 'wanted_at', 'pushed_at'].map(
        (at) => `${at} = ${at} - interval '${STEP_SECONDS} seconds'`,
      )
      await queries.query(`update push_jobs set ${back}`)
    }
    expect(pushes).toBe(5)
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

  test('does not wait for an hour that a clock began which was set back since', async () => {
    await subscribe(newUser())
    const user = newUser()
    await subscribe(user)
    await queries.query(
      "update push_subscriptions set window_pushes = 60, window_started_at = now() + interval '1 hour'",
    )
    await (await backlog(user)).want()
    const [job] = await jobs.claim(10)
    expect(job?.targets[0]?.spentSeconds).toBe(0)
  })
})
