import { type Clock, sleep } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { Logger } from '../lib/logger.ts'
import { HostLoad } from './host-load.ts'
import type { EndedJob, HeldJob, JobStore } from './job.ts'
import type { RanJob } from './job-run.ts'
import type { PushObserver } from './observer.ts'
import { Quickest } from './quickest.ts'
import type { SubscriptionStore, Verdict } from './subscription.ts'
import { Turns } from './turns.ts'

export interface DispatcherOptions {
  readonly jobs: Pick<JobStore, 'claim' | 'settle'>
  readonly subscriptions: Pick<SubscriptionStore, 'note'>
  readonly run: (job: HeldJob, load: HostLoad) => Promise<RanJob>
  /** What becomes of a job whose run broke, or did not end. */
  readonly broken: (job: HeldJob) => RanJob
  /** It was called off because it was received, and what was received is unread. */
  readonly received: (job: HeldJob) => void
  readonly clock: Clock
  readonly logger: Logger
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
  readonly observer: Pick<PushObserver, 'pushesCancelled' | 'pushesGivenUp' | 'pushLag'>
}

/** Jobs that this instance holds. All of them are under way where it takes 80 ms to a push service: 800 a second. */
const MAX_JOBS = 64
/** So many are under way in any case. Those that an instance is killed over were perhaps sent, and are sent again. */
const MIN_RUNNING = 10
/** At first it is one, and one more for so many reported: an instance that ends again and again sends few twice. */
const REPORTED_PER_RUNNING = 20
/** Jobs under way for each millisecond that the quickest takes. */
const RUNNING_PER_MS = 0.8
/** Milliseconds after which a job that was not begun is left to its lease: two attempts and the report of them fit into the rest. */
const MAX_WAIT_MS = 4_000
/** Milliseconds in which a run ends for sure, with two attempts of 5 s; one that does not would be under way for ever. */
const MAX_RUN_MS = 11_000
/** Jobs that it holds for each that may be under way: those that it is killed over wait for the end of its lease. */
const HELD_PER_RUNNING = 4
/** How often an instance that nobody woke looks whether there is something to do. */
const LOOK_INTERVAL_MS = 1_000
/** Milliseconds until what could not be written is tried again. */
const RETRY_MS = 1_000
/** Reports after which a hold has ended for sure are given up. */
const MAX_ATTEMPTS = 20
/** What subscriptions have come to is not waited for, and is written together. */
const NOTE_INTERVAL_MS = 100
const PARTS = { claim: 'notifications that are due', settle: 'ends of notifications', note: 'answers of push services' }

interface Claimed {
  readonly job: HeldJob
  /** When it was asked for. */
  readonly claimedMs: number
}

/**
 * Takes jobs that are due, as many as can be under way, and reports what became of them. Reports gather while the one before
 * is written; a job is under way until its report is. One that is lost with the process is sent again by whoever takes
 * it when the lease has ended; the browser shows one notification for both.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #turns = new Turns()
  readonly #quickest: Quickest
  readonly #load: HostLoad
  #waiting: Claimed[] = []
  #running = 0
  /** Since the start. */
  #reported = 0
  #isClaiming = false
  #isWoken = false
  #ended: EndedJob[] = []
  #settling: Promise<void> | undefined
  #verdicts: Verdict[] = []
  #noting: Promise<void> | undefined
  #cancelNext = (): void => undefined
  #isClosed = false
  #generation = 0
  readonly #underWay = new Set<Promise<void>>()

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#quickest = new Quickest(options.clock)
    this.#load = new HostLoad(options.clock, () => this.#limit)
  }

  /** There may be something to do. */
  wake(): void {
    this.#isWoken = true
    if (!this.#isClaiming) this.#claim()
  }

  /** Forgets what was taken and not begun: it may be there no longer. */
  historyChanged(): void {
    this.#generation += 1
    this.#waiting = []
  }

  /** Takes nothing more, gives back what was not begun, and resolves when what is under way is reported. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelNext()
    const back = { end: 'again', isPushed: false, afterSeconds: 0, isFailure: false } as const
    for (const { job } of this.#waiting) this.#ended.push({ job, end: { ...back, sentTo: job.sentTo } })
    this.#waiting = []
    await Promise.all([...this.#underWay, this.#settle()])
    await this.#noting
    await this.#noteAll()
  }

  /** How many may be under way. */
  get #limit(): number {
    const wanted = Math.max(MIN_RUNNING, Math.min(MAX_JOBS, Math.ceil(this.#quickest.ms * RUNNING_PER_MS)))
    return Math.min(wanted, 1 + Math.floor(this.#reported / REPORTED_PER_RUNNING))
  }

  /** How many are asked for; 0 while half of what it may hold is there. */
  get #room(): number {
    const most = Math.min(MAX_JOBS, HELD_PER_RUNNING * this.#limit)
    const room = most - this.#running - this.#waiting.length
    return room * 2 >= most ? room : 0
  }

  #claim(): void {
    if (this.#isClosed || this.#isClaiming || this.#room === 0) return
    this.#cancelNext()
    this.#isClaiming = true
    this.#isWoken = false
    void this.#claimOnce().then((isMore) => {
      this.#isClaiming = false
      if (this.#isClosed) return
      if (isMore || this.#isWoken) this.#claim()
      this.#cancelNext()
      this.#cancelNext = this.#options.clock.after(LOOK_INTERVAL_MS, () => this.#claim())
    })
  }

  /** Never rejects. True when there may be more. */
  async #claimOnce(): Promise<boolean> {
    const { jobs, health, clock } = this.#options
    const room = this.#room
    const generation = this.#generation
    // Its lease began no earlier.
    const claimedMs = clock.now()
    try {
      const claimed = await jobs.claim(room)
      // Begun before a restore it took what was there before.
      if (generation !== this.#generation) return true
      health.works(PARTS.claim)
      for (const job of claimed) this.#waiting.push({ job, claimedMs })
      this.#fill()
      return claimed.length === room
    } catch (error) {
      health.failed(PARTS.claim, error)
      return false
    }
  }

  #fill(): void {
    const limit = this.#limit
    const now = this.#options.clock.now()
    while (this.#running < limit && !this.#isClosed) {
      const next = this.#waiting.shift()
      if (!next) break
      if (now - next.claimedMs < MAX_WAIT_MS) this.#start(next)
    }
  }

  #start(claimed: Claimed): void {
    this.#running += 1
    const work = this.#turns
      .next()
      .then(() => this.#run(claimed))
      .finally(() => {
        this.#running -= 1
        this.#underWay.delete(work)
        this.#fill()
        this.#claim()
      })
    this.#underWay.add(work)
  }

  /** Never rejects. */
  async #run({ job, claimedMs }: Claimed): Promise<void> {
    const { observer, received, clock } = this.#options
    const startMs = clock.now()
    const { end, verdicts, outcome } = await this.#ranInTime(job)
    // One that is cancelled asks no push service, and says nothing of how quick it is.
    const endMs = clock.now()
    if (outcome === 'sent') this.#quickest.took(endMs - startMs)
    if (outcome === 'sent') observer.pushLag(job.ageSeconds + (endMs - claimedMs) / 1000)
    if (outcome === 'cancelled') observer.pushesCancelled(1)
    if (!job.isNeeded && job.isUnread && job.kind === 'notify') received(job)
    if (outcome === 'given_up') observer.pushesGivenUp(1)
    this.#ended.push({ job, end })
    this.#note(verdicts)
    await this.#settle()
  }

  /** Never rejects, and resolves in time: a job that ends in neither way would come back with its lease for ever. */
  async #ranInTime(job: HeldJob): Promise<RanJob> {
    const { run, broken, logger, clock } = this.#options
    let cancel = (): void => undefined
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(MAX_RUN_MS, () => reject(new Error('it did not end in time')))
    })
    try {
      return await Promise.race([run(job, this.#load), late])
    } catch (error) {
      logger.error({ err: error }, 'a notification failed')
      return broken(job)
    } finally {
      cancel()
    }
  }

  /** Resolves when everything up to now is reported, or given up. */
  async #settle(): Promise<void> {
    // What is being written may lack what was added last.
    if (this.#settling !== undefined) await this.#settling
    this.#settling ??= this.#settleAll().finally(() => {
      this.#settling = undefined
    })
    await this.#settling
  }

  async #settleAll(): Promise<void> {
    const { jobs, health, clock } = this.#options
    // Answers that came together are reported together.
    await new Promise((resolve) => setImmediate(resolve))
    const ended = this.#ended
    this.#ended = []
    if (ended.length === 0) return
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      try {
        await jobs.settle(ended)
        this.#reported += ended.length
        health.works(PARTS.settle)
        return
      } catch (error) {
        health.failed(PARTS.settle, error)
        if (this.#isClosed) return
        await sleep(clock, RETRY_MS)
      }
    }
  }

  #note(verdicts: readonly Verdict[]): void {
    this.#verdicts.push(...verdicts)
    if (this.#verdicts.length === 0) return
    this.#noting ??= sleep(this.#options.clock, NOTE_INTERVAL_MS)
      .then(() => this.#noteAll())
      .finally(() => {
        this.#noting = undefined
      })
  }

  /** Never rejects. What cannot be written is forgotten: the next push of the subscription tells the same. */
  async #noteAll(): Promise<void> {
    const { subscriptions, health } = this.#options
    const verdicts = this.#verdicts
    this.#verdicts = []
    if (verdicts.length === 0) return
    try {
      await subscriptions.note(verdicts)
      health.works(PARTS.note)
    } catch (error) {
      health.failed(PARTS.note, error)
    }
  }
}
