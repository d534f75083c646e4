import type { Clock } from '../lib/clock.ts'
import { isoTime } from '../lib/iso-time.ts'

/**
 * The time that clients are told. It is the store's: with it they ask, perhaps another instance, what has changed since. What
 * the store has told with an answer is exact; in between it is that plus what has passed here. That clock may stand still or
 * drift, so only exact ones are good to ask with.
 */
export class ServerTime {
  readonly #clock: Clock
  /** Until the store has told its time ours is taken for it. */
  #aheadMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** For an answer that the store has just given. */
  asOf(asOfMs: number): string {
    this.#aheadMs = asOfMs - this.#clock.now()
    return isoTime(asOfMs)
  }

  /** Where nothing was read. */
  now(): string {
    return isoTime(this.#clock.now() + this.#aheadMs)
  }
}
