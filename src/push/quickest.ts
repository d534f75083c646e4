import type { Clock } from '../lib/clock.ts'

/** What was measured so long ago counts twice as much as it was: by then it may have become slower. */
const DOUBLES_AFTER_MS = 60_000

/**
 * How long the quickest of the last pushes took: the way there and back. The others waited besides, for this machine or at the
 * other end, and the more of them are under way, the longer.
 */
export class Quickest {
  readonly #clock: Pick<Clock, 'now'>
  #best: { readonly ms: number; readonly atMs: number } | undefined

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** Milliseconds; 0 before the first. */
  get ms(): number {
    if (!this.#best) return 0
    return this.#best.ms * 2 ** ((this.#clock.now() - this.#best.atMs) / DOUBLES_AFTER_MS)
  }

  /** Less than the clock can tell counts as a millisecond. */
  took(tookMs: number): void {
    const ms = Math.max(1, tookMs)
    if (!this.#best || ms < this.ms) this.#best = { ms, atMs: this.#clock.now() }
  }
}
