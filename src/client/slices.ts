import type { Clock } from './clock.ts'

const SLICE_MS = 8
/** What was missed comes frame by frame: it is worked off together, and not in a turn for each. */
const GATHER_MS = 10

interface Work<T> {
  one(item: T): void
  /** A slice is worked off. */
  done(): void
}

/** Works off what comes in, in its order and in slices, so that a page stays usable while ten thousand frames come in. */
export class Slices<T> {
  readonly #clock: Clock
  readonly #work: Work<T>
  #queue: T[] = []
  #isDraining = false
  #isHeld = false

  constructor(clock: Clock, work: Work<T>) {
    this.#clock = clock
    this.#work = work
  }

  /** `isMuch`: more is certain to follow at once. */
  add(item: T, isMuch: boolean): void {
    this.#queue.push(item)
    if (this.#isDraining || this.#isHeld) return
    this.#isDraining = true
    if (isMuch) this.#clock.after(GATHER_MS, () => this.#drain())
    else this.#clock.soon(() => this.#drain())
  }

  /** What is not worked off yet counts no more. */
  clear(): void {
    this.#queue = []
  }

  /** Works off nothing until the task is done: what it concerns is not ready yet. */
  async hold(task: Promise<unknown>): Promise<void> {
    this.#isHeld = true
    await task
    this.#isHeld = false
    this.#drain()
  }

  #drain(): void {
    const queue = this.#queue
    const began = this.#clock.now()
    let index = 0
    for (const item of queue) {
      if (queue !== this.#queue || this.#isHeld || this.#clock.now() - began > SLICE_MS) break
      index += 1
      this.#work.one(item)
    }
    queue.splice(0, index)
    this.#work.done()
    this.#isDraining = this.#queue.length > 0 && !this.#isHeld
    if (this.#isDraining) this.#clock.soon(() => this.#drain())
  }
}
