import { Alarm, type Clock } from './clock.ts'
import type { Link } from './link.ts'

/** A reply that takes longer makes the connection suspect; this much longer ends it. */
const SUSPECT_AFTER_MS = 10_000
const GIVE_UP_AFTER_MS = 90_000

/** Waits for replies. When none comes it asks the connection for a sign of life, and in the end gives it up. */
export class Patience {
  readonly #clock: Clock
  readonly #link: Link
  readonly #alarm: Alarm

  /** `oldest`: when that was written which has waited longest for its reply; `undefined`: nothing waits. */
  constructor(clock: Clock, link: Link, oldest: () => number | undefined) {
    this.#clock = clock
    this.#link = link
    this.#alarm = new Alarm(clock, () => this.#look(oldest()))
  }

  /** Something was written. */
  begin(): void {
    this.#alarm.at(this.#clock.now() + SUSPECT_AFTER_MS)
  }

  end(): void {
    this.#alarm.clear()
  }

  #look(since: number | undefined): void {
    if (since === undefined) return
    const silentMs = this.#clock.now() - since
    if (silentMs >= GIVE_UP_AFTER_MS) return this.#link.giveUp()
    if (silentMs >= SUSPECT_AFTER_MS) this.#link.step({ type: 'wake' })
    this.begin()
  }
}
