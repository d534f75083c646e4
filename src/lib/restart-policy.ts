import { backoffMs } from './backoff.ts'
import { type Clock, systemClock } from './clock.ts'

const BACKOFF = { firstMs: 100, maxMs: 10_000 }
/** What lived so long did not end of what it met at its start. */
const HEALTHY_MS = 30_000

/**
 * When to start something again that ended unasked: at once, so that its users wait no longer than they must; but
 * after a growing pause as long as starts do not help for long.
 */
export class RestartPolicy {
  readonly #clock: Clock
  #startedMs: number
  #failures = 0

  /** It is being started for the first time. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock
    this.#startedMs = clock.now()
  }

  /** It is being started again. */
  started(): void {
    this.#startedMs = this.#clock.now()
  }

  /** It has ended, or could not be started: milliseconds until it should be started again. */
  ended(): number {
    if (this.#clock.now() - this.#startedMs > HEALTHY_MS) this.#failures = 0
    const delayMs = this.#failures === 0 ? 0 : backoffMs(this.#failures - 1, BACKOFF)
    this.#failures += 1
    return delayMs
  }
}
