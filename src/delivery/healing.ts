import { chunks } from '../lib/chunks.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { Compared, Comparison, Look } from './comparison.ts'
import type { LocalUsers } from './local-users.ts'
import { type Part, SetApart } from './set-apart.ts'

/** Why it looked: as it does now and then, because something may have been lost, or again at users for whom it failed. */
export type HealingReason = 'regular' | 'gap' | 'again'

export interface HealingObserver {
  /** One look at the database ended, having found so many conversations with messages that were not pushed. */
  healed(conversations: number, durationMs: number, reason: HealingReason): void
  /** A look at some users failed. */
  healFailed(): void
}

export interface HealingOptions {
  readonly comparison: Comparison
  readonly users: LocalUsers
  readonly clock: Clock
  /** Told while what is pushed cannot be compared with what is stored. */
  readonly health: DependencyLog
  readonly observer: HealingObserver
  /** Whether pushes from other instances arrive. */
  isConnected(): boolean
}

const USERS_PER_QUERY = 500
const POLL_INTERVAL_MS = 1_000
/**
 * While pushes arrive: an instance that is cut off from Redis alone cannot tell the others what it failed to publish, and
 * one that dies so was never known to them.
 */
const SWEEP_INTERVAL_MS = 7_000
/** A regular look costs by the conversations of all who are here, so with many it is taken the less often. */
const LOOK_TO_SWEEP = 20
/** A database that was slow once may be fast again. */
const MAX_SWEEP_INTERVAL_MS = 60_000
const RETRY_MS = 500
/** Of whom what is told about healing is true. */
const EVERYBODY = 'everybody'
const SOME = 'some users'
/**
 * Receipts from before that are not told again: after a gap of Redis everybody would get those of the whole time in which
 * all was well. Clients compare their conversations more often than this.
 */
const RECEIPTS_WINDOW_MS = 120_000

/**
 * Finds what other instances committed and this one was not told of. It looks whenever something may have been lost, every
 * second while nothing can arrive at all, and every few seconds in any case.
 *
 * Each look asks for what has changed since the last complete one, by the store's clock, which the store tells with its
 * answer. So neither a wrong clock nor one that stands still hides anything, and it need not be known how long ago something
 * was lost. By the store's clock, in seconds:
 *
 *   0      look                         complete
 *   3                                   message 6 of a and b is committed elsewhere, and its push to a is lost
 *   5      gap: look since 0            the head is 6, and 5 was pushed: 6 is replayed to a; complete
 *   12     regular look since 5         fails for 500 users, and is complete for all others
 *   12.5   those 500 in halves since 5  and so on, until one user is alone, who is asked for ever more rarely
 *
 * "Since 5" includes what began up to ten seconds before: so long may a transaction live before its commit is seen.
 */
export class Healing {
  readonly #options: HealingOptions
  readonly #apart: SetApart
  /** By the store's clock: the last complete look, and the last that told receipts. 0 before the first. */
  #comparedMs = 0
  #receiptsMs = 0
  /** `receipts`: something may have been lost. A regular look would only repeat the receipts that came. */
  #wanted: 'messages' | 'receipts' | undefined
  /** Counts what was forgotten: a look that was under way then is not complete. */
  #forgotten = 0
  #running: Promise<void> | undefined
  #cancelPoll: (() => void) | undefined
  #isStopped = false
  /** By this process's clock. */
  #lookedMs = 0
  #sweepIntervalMs = SWEEP_INTERVAL_MS

  constructor(options: HealingOptions) {
    this.#options = options
    this.#apart = new SetApart(options.users, options.clock)
  }

  /** By the store's clock, when everything was last compared: a user who comes now was not there before. */
  get comparedMs(): number {
    return this.#comparedMs
  }

  /** Begins with a look, which tells the store's time, and polls from then on. */
  start(): void {
    this.#want('messages')
    this.#armPoll()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelPoll?.()
    await this.#running
  }

  /** Something may have been lost: looks, and tells how far everybody is. Calls that come meanwhile are joined. */
  gap(): void {
    this.#want('receipts')
  }

  /** The numbers of the store are no longer those that were known: everything is compared anew. */
  forget(): void {
    this.#forgotten += 1
    this.#comparedMs = 0
    this.#receiptsMs = 0
    this.#options.comparison.forget()
    this.gap()
  }

  #want(what: 'messages' | 'receipts'): void {
    if (this.#wanted !== 'receipts') this.#wanted = what
    this.#start()
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      // Something may have been wanted after the run's last look.
      if (this.#wanted && !this.#isStopped) this.#start()
    })
  }

  #armPoll(): void {
    const { clock, isConnected } = this.#options
    this.#cancelPoll = clock.after(POLL_INTERVAL_MS, () => {
      if (!isConnected()) this.gap()
      else if (clock.now() - this.#lookedMs >= this.#sweepIntervalMs) this.#want('messages')
      else if (this.#apart.due) this.#start()
      void Promise.resolve(this.#running).then(() => {
        if (!this.#isStopped) this.#armPoll()
      })
    })
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const wanted = this.#wanted
      const part = this.#apart.due
      if (this.#apart.isEmpty) this.#options.health.works(SOME)
      this.#wanted = undefined
      if (wanted) await this.#lookAtAll(wanted === 'receipts')
      else if (part) await this.#lookAgain(part)
      else return
    }
  }

  async #lookAtAll(receipts: boolean): Promise<void> {
    const { clock, observer, comparison, health } = this.#options
    const startedMs = clock.now()
    const forgotten = this.#forgotten
    try {
      const asOfMs = await comparison.storeTimeMs()
      const { behind, storeMs } = await this.#compareAll(this.#lookFor(receipts, asOfMs))
      if (this.#isStopped || forgotten !== this.#forgotten) return
      observer.healed(behind, clock.now() - startedMs, receipts ? 'gap' : 'regular')
      // Before the first look no user was here who could lack a receipt.
      if (receipts || this.#comparedMs === 0) this.#receiptsMs = asOfMs
      this.#comparedMs = asOfMs
      comparison.roundOver()
      this.#lookedMs = startedMs
      this.#sweepIntervalMs = Math.min(Math.max(SWEEP_INTERVAL_MS, storeMs * LOOK_TO_SWEEP), MAX_SWEEP_INTERVAL_MS)
      health.works(EVERYBODY)
    } catch (error) {
      observer.healFailed()
      health.failed(EVERYBODY, error)
      if (receipts || !this.#wanted) this.#wanted = receipts ? 'receipts' : 'messages'
      await sleep(clock, RETRY_MS)
    }
  }

  #lookFor(receipts: boolean, nowMs: number): Look {
    // Another server, whose clock is behind: what it has committed may carry times from before the last look.
    if (nowMs < this.#comparedMs) return { sinceMs: 0, receipts }
    const receiptsMs = Math.max(this.#receiptsMs, this.#comparedMs - RECEIPTS_WINDOW_MS)
    return { sinceMs: receipts ? Math.min(this.#comparedMs, receiptsMs) : this.#comparedMs, receipts }
  }

  /** All users who are not set apart. Rejects when the store does not answer; those who come then are covered by the next look. */
  async #compareAll(look: Look): Promise<Pick<Compared, 'behind' | 'storeMs'>> {
    const { users, comparison } = this.#options
    const apart = this.#apart.users()
    const ids = users.ids().filter((user) => !apart.has(user))
    this.#apart.join(look)
    const sum = { behind: 0, storeMs: 0 }
    for (const chunk of chunks(ids, USERS_PER_QUERY)) {
      if (this.#isStopped) break
      try {
        const { behind, storeMs } = await comparison.compare(chunk, look)
        sum.behind += behind
        sum.storeMs += storeMs
      } catch (error) {
        await this.#failed(error)
        this.#apart.add(chunk, look)
      }
    }
    return sum
  }

  /** At users whose look has failed before. */
  async #lookAgain(part: Part): Promise<void> {
    const { clock, observer, comparison } = this.#options
    const startedMs = clock.now()
    try {
      const { behind } = await comparison.compare(part.users, part.look)
      observer.healed(behind, clock.now() - startedMs, 'again')
      this.#apart.done(part)
    } catch (error) {
      await this.#failed(error).then(
        () => this.#apart.failed(part),
        () => this.#apart.putOff(part),
      )
    }
  }

  /** Resolves when it is about those users alone; rejects when the store does not answer at all. */
  async #failed(error: unknown): Promise<void> {
    await this.#options.comparison.storeTimeMs()
    this.#options.observer.healFailed()
    this.#options.health.failed(SOME, error)
  }
}
