import { createHmac } from 'node:crypto'
import { type PushFate, retrySeconds } from './answer.ts'
import type { Breaker } from './breaker.ts'
import type { PushDelivery, PushMessage } from './delivery.ts'
import type { HostLoad } from './host-load.ts'
import { hostClassOf, takesSilent } from './hosts.ts'
import type { HeldJob, JobEnd, Target } from './job.ts'
import type { SharedKeys } from './keys.ts'
import { clearPayload, notifyPayload, type PayloadPlace } from './payload.ts'
import type { Verdict } from './subscription.ts'

export interface JobRunOptions {
  readonly delivery: Pick<PushDelivery, 'push'>
  readonly breaker: Pick<Breaker, 'closedSeconds' | 'isTrusted'>
  readonly load: Pick<HostLoad, 'begin' | 'isFull'>
  readonly keys: Pick<SharedKeys, 'current'>
  readonly pageUrl: string
  /** Seconds: how long a notification is worth to be shown. */
  readonly ttlSeconds: number
  readonly random: () => number
}

/** What became of a job, and what was learnt of its subscriptions. */
export interface RanJob {
  readonly end: JobEnd
  readonly verdicts: readonly Verdict[]
  readonly outcome: 'sent' | 'cancelled' | 'given_up' | 'waits'
}

/** What one target has come to. */
interface TargetEnd {
  readonly target: Target
  /** Told, or not to be told. */
  readonly isDone: boolean
  readonly isSent: boolean
  readonly verdict: Verdict | undefined
  /** Seconds until it is to be tried again. */
  readonly afterSeconds: number
  readonly isFailure: boolean
}

/** A notification that names nobody takes the place of one that its push service found too large. */
const SMALL = { content: 'none' as const, locale: undefined }
/** A push service may hold a host back for a moment longer than it says; spread so that not everything comes at once. */
const SPREAD_SECONDS = 5

/** Seconds after which a push service that has enough under way is asked again. */
const FULL_SECONDS = 5
/** Seconds for which what was read is tried to be taken away from a push service that fails; longer than one is left alone. */
const CLEARED_FOR_SECONDS = 2 * 60 * 60

/** Tells everybody of one job who is to be told. Never rejects. */
export async function runJob(job: HeldJob, options: JobRunOptions): Promise<RanJob> {
  const { kind, isNeeded, wasPushed, ageSeconds, targets, sentTo } = job
  if (!isNeeded) {
    return { end: { end: wasPushed ? 'kept' : 'void' }, verdicts: [], outcome: 'cancelled' }
  }
  const ends = await Promise.all(targets.map((target) => runTarget(job, target, options)))
  const verdicts = ends.flatMap(({ verdict }) => verdict ?? [])
  const open = ends.filter(({ isDone }) => !isDone)
  const isPushed = ends.some(({ isSent }) => isSent)
  if (open.length > 0 && ageSeconds < worthSeconds(kind, options)) {
    const afterSeconds = Math.min(...open.map((one) => one.afterSeconds))
    const isFailure = open.some((one) => one.isFailure)
    const done = ends.filter(({ isDone }) => isDone).map(({ target }) => target.id)
    const end: JobEnd = { end: 'again', isPushed, afterSeconds, isFailure, sentTo: [...sentTo, ...done] }
    return { end, verdicts, outcome: isPushed ? 'sent' : 'waits' }
  }
  const outcome = isPushed ? 'sent' : open.length > 0 ? 'given_up' : 'cancelled'
  if (kind === 'clear') return { end: { end: 'void' }, verdicts, outcome }
  return { end: { end: 'done', isPushed }, verdicts, outcome }
}

/** How long a job is tried. */
function worthSeconds(kind: HeldJob['kind'], { ttlSeconds }: Pick<JobRunOptions, 'ttlSeconds'>): number {
  return kind === 'clear' ? CLEARED_FOR_SECONDS : ttlSeconds
}

type BrokenOptions = Pick<JobRunOptions, 'ttlSeconds' | 'random'>

/** What becomes of a job whose run broke or never ended: a failure like any other. Those that have it already keep it. */
export function brokenJob({ kind, attempts, ageSeconds, sentTo }: HeldJob, options: BrokenOptions): RanJob {
  if (ageSeconds >= worthSeconds(kind, options)) {
    const end: JobEnd = kind === 'clear' ? { end: 'void' } : { end: 'done', isPushed: false }
    return { end, verdicts: [], outcome: 'given_up' }
  }
  const afterSeconds = retrySeconds(attempts, options.random())
  return {
    end: { end: 'again', isPushed: false, afterSeconds, isFailure: true, sentTo },
    verdicts: [],
    outcome: 'waits',
  }
}

async function runTarget(job: HeldJob, target: Target, options: JobRunOptions): Promise<TargetEnd> {
  const { breaker, load, random } = options
  const skipped = { target, isDone: true, isSent: false, verdict: undefined, afterSeconds: 0, isFailure: false }
  if (job.kind === 'clear' && (target.clearsLeft < 1 || !takesSilent(hostClassOf(target.host)))) return skipped
  const closedSeconds = Math.max(target.closedSeconds, breaker.closedSeconds(target.host), target.spentSeconds)
  if (closedSeconds > 0) {
    return { ...skipped, isDone: false, afterSeconds: closedSeconds + random() * SPREAD_SECONDS }
  }
  if (load.isFull(target.host, job)) {
    return { ...skipped, isDone: false, afterSeconds: FULL_SECONDS + random() * SPREAD_SECONDS }
  }
  const ended = load.begin(target.host, job)
  const fate = await pushTo(job, target, options).finally(ended)
  return { ...skipped, ...endOf(fate, job, target, options) }
}

async function pushTo(job: HeldJob, target: Target, { delivery, ...options }: JobRunOptions): Promise<PushFate> {
  const tag = tagOf(job, options.keys.current.tagSecret)
  const place: PayloadPlace = { of: job.userId, tag, pageUrl: options.pageUrl }
  if (job.kind === 'clear') {
    // Nothing is kept for later, and what is kept of this topic goes.
    const message = { ttlSeconds: 0, urgency: 'low', topic: place.tag } as const
    return delivery.push(target, { ...message, payload: clearPayload(place, job.unread.badge) })
  }
  const ttlSeconds = Math.max(1, Math.ceil(options.ttlSeconds - job.ageSeconds))
  const message = (payload: Buffer): PushMessage => ({ payload, ttlSeconds, urgency: 'high', topic: place.tag })
  const fate = await delivery.push(target, message(notifyPayload(job.unread, target, place)))
  if (fate !== 'too_large') return fate
  return delivery.push(target, message(notifyPayload(job.unread, SMALL, place)))
}

function endOf(
  fate: PushFate,
  job: HeldJob,
  { id, host }: Target,
  { breaker, random }: JobRunOptions,
): Partial<TargetEnd> {
  const verdict = (kind: Verdict['kind']): Verdict => ({ id, kind })
  if (fate === 'sent') return { isSent: true, verdict: verdict(job.kind === 'clear' ? 'clear' : 'sent') }
  if (fate === 'gone') return { verdict: verdict('gone') }
  const counts = (fate === 'refused' || fate === 'bad') && breaker.isTrusted(host)
  const noted = counts ? { verdict: verdict('refused') } : {}
  // It would be refused again, or it is: the next message tries anew.
  if (fate === 'bad' || fate === 'too_large') return noted
  const closedSeconds = breaker.closedSeconds(host)
  const afterSeconds =
    closedSeconds > 0 ? closedSeconds + random() * SPREAD_SECONDS : retrySeconds(job.attempts, random())
  return { ...noted, isDone: false, afterSeconds, isFailure: true }
}

/** 22 characters of base64url: what a topic may be, and the same for all devices of a person. */
function tagOf({ userId, conversationId }: Pick<HeldJob, 'userId' | 'conversationId'>, secret: Buffer): string {
  return createHmac('sha256', secret).update(`${conversationId} ${userId}`).digest('base64url').slice(0, 22)
}
