import { randomUUID } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { COMMIT_SLACK_MS } from '../messages/store.ts'
import type { PushObserver } from './observer.ts'

/** What was stored and what was told of it. Every call rejects when the database refuses or is away. */
export interface SweepStore {
  /** Undefined: another instance sweeps. Times in milliseconds since the epoch, by the database's clock. */
  take(owner: string): Promise<{ readonly sweptUntilMs: number | undefined; readonly nowMs: number } | undefined>
  /** Makes jobs of what was stored in this time for somebody who has not received it; resolves with how many. */
  sweep(fromMs: number, toMs: number): Promise<number>
  /** Everything up to here is swept. */
  swept(owner: string, untilMs: number): Promise<void>
  /** Takes away what nobody will look at any more. */
  forget(): Promise<void>
}

export interface SweeperOptions {
  readonly store: SweepStore
  /** How old a message is before it is looked for: the instance that stored it has its own turn first; milliseconds. */
  readonly ageMs: number
  readonly clock: Clock
  readonly health: Pick<DependencyLog, 'failed' | 'works'>
  readonly observer: Pick<PushObserver, 'pushSwept'>
  readonly found: () => void
  /** Once in a while, on the instance that sweeps. */
  readonly cleanUp: () => Promise<void>
}

const PART = 'look for what was not pushed'
/** With the lease of whoever was killed, and the age that a message has before it is looked for, this makes less than 20 s. */
const INTERVAL_MS = 5_000
/** Looks through all subscriptions, which takes long where there are many. */
const CLEAN_UP_INTERVAL_MS = 60_000
/** How far the first look goes back. */
const FIRST_LOOK_MS = 10 * 60_000
/** Longest time looked through at once; shorter while looks take long. */
const MAX_STEP_MS = 60 * 60_000
const FIRST_STEP_MS = 20_000
const SLOW_MS = 500
/** A look that took long is followed by a pause of so many times that: it may cost no more than one per cent. */
const PAUSE_PER_LOOK = 100
const MAX_PAUSE_MS = 10 * 60_000

/**
 * Finds what an instance was killed over between a commit and its job: of all instances one looks through the messages of the
 * last seconds for those that were not received. What has been told already is found by its job and not told again.
 */
export class Sweeper {
  readonly #options: SweeperOptions
  readonly #owner = randomUUID()
  #stepMs = FIRST_STEP_MS
  #cleanedUpMs = Number.NEGATIVE_INFINITY
  #cancelNext = (): void => undefined
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: SweeperOptions) {
    this.#options = options
  }

  start(): void {
    this.#schedule(INTERVAL_MS * Math.random())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelNext()
    await this.#looking
  }

  #schedule(ms: number): void {
    if (this.#isClosed) return
    this.#cancelNext = this.#options.clock.after(ms, () => {
      this.#looking = this.#look()
      void this.#looking
    })
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { clock, health } = this.#options
    const startMs = clock.now()
    try {
      await this.#sweep()
      health.works(PART)
    } catch (error) {
      health.failed(PART, error)
      this.#stepMs = Math.max(1_000, this.#stepMs / 4)
    }
    const tookMs = clock.now() - startMs
    this.#schedule(Math.min(MAX_PAUSE_MS, Math.max(INTERVAL_MS, tookMs * PAUSE_PER_LOOK)))
  }

  async #sweep(): Promise<void> {
    const { store, ageMs, cleanUp, clock } = this.#options
    const taken = await store.take(this.#owner)
    if (!taken) return
    const endMs = taken.nowMs - ageMs
    // A time to come was written by a clock that was ahead, before a restore to another machine.
    const { sweptUntilMs, nowMs } = taken
    const isKnown = sweptUntilMs !== undefined && sweptUntilMs <= nowMs
    let fromMs = isKnown ? sweptUntilMs : endMs - FIRST_LOOK_MS
    while (fromMs < endMs && !this.#isClosed) {
      const toMs = Math.min(endMs, fromMs + this.#stepMs)
      await this.#step(fromMs, toMs)
      await store.swept(this.#owner, toMs)
      fromMs = toMs
    }
    const now = clock.now()
    if (now - this.#cleanedUpMs < CLEAN_UP_INTERVAL_MS) return
    this.#cleanedUpMs = now
    await store.forget()
    await cleanUp()
  }

  async #step(fromMs: number, toMs: number): Promise<void> {
    const { store, clock, observer, found } = this.#options
    const startMs = clock.now()
    // A row may become visible so much after the time that it carries.
    const count = await store.sweep(fromMs - COMMIT_SLACK_MS, toMs)
    const tookMs = clock.now() - startMs
    observer.pushSwept(count, tookMs)
    if (count > 0) found()
    this.#stepMs = tookMs > SLOW_MS ? Math.max(1_000, this.#stepMs / 2) : Math.min(MAX_STEP_MS, this.#stepMs * 2)
  }
}
