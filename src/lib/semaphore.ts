import type { Clock } from './clock.ts'
import { Unavailable } from './errors.ts'
import { LinkedQueue } from './linked-queue.ts'

export interface WaitLimit {
  readonly clock: Clock
  readonly ms: number
}

export class WaitedTooLong extends Unavailable {
  override readonly name = 'WaitedTooLong'
}

/** Lets at most `places` tasks run at a time; the others wait in order of arrival. */
export class Semaphore {
  #free: number
  readonly #waiting = new LinkedQueue<() => void>()

  constructor(places: number) {
    this.#free = places
  }

  /** Tasks that wait for a place. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Rejects with WaitedTooLong when the task had to wait for so long. */
  async run<T>(task: () => Promise<T>, limit?: WaitLimit): Promise<T> {
    if (this.#free > 0) this.#free -= 1
    else await this.#turn(limit)
    try {
      return await task()
    } finally {
      // A place is handed over, not given back: a later caller cannot slip in between.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free += 1
    }
  }

  #turn(limit: WaitLimit | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = limit?.clock.after(limit.ms, () => {
        this.#waiting.remove(place)
        reject(new WaitedTooLong(`nothing became free within ${limit.ms} ms`))
      })
      const place = this.#waiting.push(() => {
        cancel?.()
        resolve()
      })
    })
  }
}
