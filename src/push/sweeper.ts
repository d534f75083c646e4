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
  /**
   * Makes jobs of what was read and is still shown, of some people at a time and of all in the end; resolves with how many. Whoever
   * read it told an instance that could not pass it on.
   */
  readAgain(): Promise<number>
  /** Takes away what nobody will look at any more, and hurries what the database's clock put off when it was set back. */
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
const CLEAN_UP_PART = 'what is over of notifications'
/** With the lease of whoever was killed, and the age that a message has before it is looked for, this makes less than 20 s. */
const INTERVAL_MS = 5_000
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
  #cleaningUp: Promise<void> | undefined
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
    await this.#cleaningUp
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
    const { health } = this.#options
    let tookMs = 0
    try {
      tookMs = await this.#sweep()
      health.works(PART)
    } catch (error) {
      health.failed(PART, error)
      this.#stepMs = Math.max(1_000, this.#stepMs / 4)
    }
    this.#schedule(Math.min(MAX_PAUSE_MS, Math.max(INTERVAL_MS, tookMs * PAUSE_PER_LOOK)))
  }

  /** Resolves with how long the database looked. */
  async #sweep(): Promise<number> {
    const { store, ageMs } = this.#options
    const taken = await store.take(this.#owner)
    if (!taken) return 0
    const endMs = taken.nowMs - ageMs
    // A time to come was written by a clock that was ahead, before a restore to another machine.
    const { sweptUntilMs, nowMs } = taken
    const isKnown = sweptUntilMs !== undefined && sweptUntilMs <= nowMs
    let doneMs = isKnown ? sweptUntilMs : endMs - FIRST_LOOK_MS
    // A row may become visible so much after the time that it carries.
    let fromMs = doneMs - COMMIT_SLACK_MS
    let tookMs = 0
    while (doneMs < endMs && !this.#isClosed) {
      doneMs = Math.min(endMs, doneMs + this.#stepMs)
      tookMs += await this.#step(fromMs, doneMs)
      await store.swept(this.#owner, doneMs)
      fromMs = doneMs
    }
    // Nobody waits for it: it asks push services, and takes its time where much is over.
    this.#cleaningUp ??= this.#cleanUp().finally(() => {
      this.#cleaningUp = undefined
    })
    return tookMs
  }

  /** Never rejects. */
  async #cleanUp(): Promise<void> {
    const { store, cleanUp, found, clock, health } = this.#options
    const now = clock.now()
    if (now - this.#cleanedUpMs < CLEAN_UP_INTERVAL_MS) return
    this.#cleanedUpMs = now
    try {
      await store.forget()
      if ((await store.readAgain()) > 0) found()
      await cleanUp()
      health.works(CLEAN_UP_PART)
    } catch (error) {
      health.failed(CLEAN_UP_PART, error)
    }
  }

  /** Resolves with how long it took; milliseconds. */
  async #step(fromMs: number, toMs: number): Promise<number> {
    const { store, clock, observer, found } = this.#options
    const startMs = clock.now()
    const count = await store.sweep(fromMs, toMs)
    const tookMs = clock.now() - startMs
    observer.pushSwept(count, tookMs)
    if (count > 0) found()
    this.#stepMs = tookMs > SLOW_MS ? Math.max(1_000, this.#stepMs / 2) : Math.min(MAX_STEP_MS, this.#stepMs * 2)
    return tookMs
  }
}
