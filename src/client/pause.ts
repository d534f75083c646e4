import { Alarm, type Clock } from './clock.ts'
import type { Link } from './link.ts'
import { refusedDelayMs } from './retry.ts'

interface PauseOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly link: Link
}

/** Waits after what was refused for now: as long as the server said, and longer after each refusal in a row. */
export class Pause {
  readonly #options: PauseOptions
  readonly #alarm: Alarm
  #refusals = 0
  #until = 0

  /** `over`: what waits may be said again. */
  constructor(options: PauseOptions, over: () => void) {
    this.#options = options
    this.#alarm = new Alarm(options.clock, over)
  }

  /** Of this part of the client alone, or of the whole connection. Whoever is told so is called when it is over. */
  get isOn(): boolean {
    const { clock, link } = this.#options
    const until = Math.max(this.#until, link.pausedUntil)
    const is = clock.now() < until
    if (is) this.#alarm.at(until)
    return is
  }

  /** Several refusals of one moment are one. */
  refused(retryAfterMs: number | undefined): void {
    const { clock, random } = this.#options
    const now = clock.now()
    if (now >= this.#until) {
      this.#until = now + refusedDelayMs(this.#refusals, random(), retryAfterMs)
      this.#refusals += 1
    }
    this.#alarm.at(this.#until)
  }

  /** Something was not refused. */
  passed(): void {
    this.#refusals = 0
  }

  clear(): void {
    this.#alarm.clear()
    this.#refusals = this.#until = 0
  }
}
