import type { Clock, TimeOfDay } from '../../src/lib/clock.ts'

interface Timer {
  readonly atMs: number
  readonly task: () => void
}

/** A clock that stands still until it is advanced; timers run in the order of their time. */
export class FakeClock implements Clock, TimeOfDay {
  #nowMs: number
  #timers: Timer[] = []

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs
  }

  now(): number {
    return this.#nowMs
  }

  /** The same: nobody sets this one. */
  epochMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Timers that are neither run nor cancelled. */
  get pending(): number {
    return this.#timers.length
  }

  /** Runs what falls due on the way, letting promises and setImmediate settle after each. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      await settled()
      const next = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.task()
    }
    this.#nowMs = untilMs
  }
}

/** Resolves when everything that needs neither time nor a server has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
