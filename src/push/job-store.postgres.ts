import { randomUUID } from 'node:crypto'
import type { Queries } from '../postgres/queries.ts'
import type { EndedJob, HeldJob, JobStore, Place, Standing, Target, Wanted } from './job.ts'
import * as sql from './job-statements.postgres.ts'
import { type SubscriptionRow, toSubscription } from './subscription-store.postgres.ts'

interface StandingRow {
  readonly ord: number
  readonly id: number
  readonly delivered: number
  readonly read: number
  readonly newest: number
}

interface JobRow {
  readonly user_id: string
  readonly conversation_id: number
  readonly kind: number
  readonly attempts: number
  readonly age: number
  readonly was_pushed: boolean
  readonly sent_to: readonly string[]
  readonly last_seq: number
  readonly peer: string
  readonly peer_name: string | null
  readonly newest: number
  readonly text: string | null
  readonly delivered: number
  readonly unread: number
  readonly badge: number
  readonly targets: readonly TargetRow[]
}

interface TargetRow extends SubscriptionRow {
  readonly closed: number
  readonly spent: number
  readonly clears_left: number
}

/** Jobs in the table `push_jobs`. */
export class PostgresJobStore implements JobStore {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async standings(places: readonly Place[]): Promise<(Standing | undefined)[]> {
    const rows = await this.#queries.query<StandingRow>(sql.STANDINGS, arraysOf(places))
    const found = new Map(rows.map(({ ord, id, ...rest }) => [ord, { conversationId: id, ...rest }]))
    return places.map((_, index) => found.get(index + 1))
  }

  async want(wanted: readonly Wanted[]): Promise<number> {
    const changed = await this.#queries.query(sql.WANT, [
      wanted.map(({ userId }) => userId),
      wanted.map(({ standing }) => standing.conversationId),
      wanted.map(({ until }) => (until === 'read' ? 1 : 0)),
      wanted.map(({ ageSeconds }) => ageSeconds),
      wanted.map(({ standing }) => standing.newest),
    ])
    return changed.length
  }

  async claim(limit: number): Promise<HeldJob[]> {
    const leaseOwner = randomUUID()
    const rows = await this.#queries.query<JobRow>(sql.CLAIM, [limit, leaseOwner])
    return rows.map((row) => toJob(row, leaseOwner))
  }

  async settle(ended: readonly EndedJob[]): Promise<void> {
    // In the order in which jobs are made and read, so that two statements never wait for each other.
    const list = JSON.stringify([...ended].sort(byPlace).map(toEndRow))
    if (ended.some(({ end }) => end.end === 'void')) await this.#queries.query(sql.SETTLE_VOID, [list])
    await this.#queries.query(sql.SETTLE, [list])
  }

  async read(places: readonly Place[]): Promise<void> {
    await this.#queries.query(sql.READ, arraysOf(places))
  }

  async closeHost(host: string, seconds: number): Promise<void> {
    await this.#queries.query(sql.CLOSE_HOST, [host, seconds])
  }
}

function arraysOf(places: readonly Place[]): string[][] {
  return [
    places.map(({ conversation }) => conversation.lo),
    places.map(({ conversation }) => conversation.hi),
    places.map(({ userId }) => userId),
  ]
}

function toJob(row: JobRow, leaseOwner: string): HeldJob {
  const { newest, delivered, peer } = row
  const isClear = row.kind === 1
  return {
    userId: row.user_id,
    conversationId: row.conversation_id,
    leaseOwner,
    kind: isClear ? 'clear' : 'notify',
    // A clear is needed as long as everything is read; when something new came it is a notification again.
    isNeeded: isClear ? newest === 0 : newest > delivered,
    isUnread: newest > 0,
    wasPushed: row.was_pushed,
    wantedSeq: row.last_seq,
    toldSeq: row.sent_to.length > 0 ? row.last_seq : Math.max(newest, row.last_seq),
    unread: {
      peer,
      peerName: row.peer_name ?? peer,
      count: row.unread,
      text: row.text ?? '',
      seq: Math.max(newest, row.last_seq),
      badge: row.badge + (isClear ? 0 : 1),
    },
    attempts: row.attempts,
    ageSeconds: row.age,
    targets: row.targets.map(toTarget),
    sentTo: row.sent_to,
  }
}

function toTarget({ closed, spent, clears_left, ...row }: TargetRow): Target {
  return { ...toSubscription(row), closedSeconds: closed, spentSeconds: spent, clearsLeft: clears_left }
}

function byPlace({ job: a }: EndedJob, { job: b }: EndedJob): number {
  if (a.userId !== b.userId) return Buffer.compare(Buffer.from(a.userId), Buffer.from(b.userId))
  return a.conversationId - b.conversationId
}

function toEndRow({ job, end }: EndedJob) {
  const { userId, conversationId, leaseOwner, kind, toldSeq, wantedSeq, unread } = job
  const seqs = { seq: toldSeq, wanted: wantedSeq, newest: unread.seq }
  const place = { user_id: userId, conversation_id: conversationId, owner: leaseOwner, end: end.end, ...seqs }
  if (end.end === 'done') return { ...place, pushed: end.isPushed }
  if (end.end === 'void' || end.end === 'kept') return place
  const { isPushed, afterSeconds, isFailure, sentTo } = end
  const clear = kind === 'clear'
  return { ...place, pushed: isPushed && !clear, clear, after: afterSeconds, failure: isFailure, sent_to: sentTo }
}
