import type { Clock } from './clock.ts'

export interface GatheringOptions<Task, Outcome> {
  readonly clock: Clock
  /** From the start of one batch to that of the next, while more tasks are expected. */
  readonly gapMs: number
  /** How many tasks may come within the gap, with those that wait: as many wait for no more. */
  readonly expected: () => number
  /** Resolves with an outcome for each task, in their order. */
  readonly run: (tasks: readonly Task[]) => Promise<readonly Outcome[]>
}

interface Waiting<Task, Outcome> {
  readonly task: Task
  readonly resolve: (outcome: Outcome) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Does tasks in batches, one batch at a time. A task that comes alone is done at once; of many the later ones wait for each other, so
 * that what a batch costs is paid a few times a second, however many there are.
 */
export class Gathering<Task, Outcome> {
  readonly #options: GatheringOptions<Task, Outcome>
  #waiting: Waiting<Task, Outcome>[] = []
  #running: Promise<void> | undefined
  #isHurried = false
  #startedMs = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(options: GatheringOptions<Task, Outcome>) {
    this.#options = options
  }

  /** Rejects as the whole batch does. */
  add(task: Task): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve, reject })
      this.#look()
    })
  }

  /** From now on no task waits for others. Resolves once all that were added are done. */
  async finish(): Promise<void> {
    this.#isHurried = true
    this.#look()
    while (this.#running !== undefined) await this.#running
  }

  #look(): void {
    if (this.#running !== undefined || this.#waiting.length === 0) return
    const { clock, gapMs, expected } = this.#options
    const leftMs = this.#startedMs + gapMs - clock.now()
    if (leftMs <= 0 || this.#isHurried || this.#waiting.length >= expected()) return this.#start()
    this.#cancel ??= clock.after(leftMs, () => {
      this.#cancel = undefined
      this.#look()
    })
  }

  #start(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const batch = this.#waiting
    this.#waiting = []
    this.#startedMs = this.#options.clock.now()
    this.#running = this.#do(batch)
  }

  async #do(batch: readonly Waiting<Task, Outcome>[]): Promise<void> {
    try {
      const outcomes = await this.#options.run(batch.map(({ task }) => task))
      for (const [at, { resolve }] of batch.entries()) resolve(outcomes[at] as Outcome)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    // Once those who were answered have gone: they are expected no more.
    await new Promise(setImmediate)
    this.#running = undefined
    this.#look()
  }
}
