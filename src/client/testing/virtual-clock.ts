import type { Clock } from '../clock.ts'
import type { Channel as Port } from '../environment.ts'

/** More than any test needs within one `advance`. */
const MAX_TASKS = 200_000

interface Timer {
  readonly at: number
  readonly task: () => void
}

/** Time that stands still until it is advanced; what falls due runs in the order of its time. */
export class VirtualClock implements Clock {
  #now = 0
  #wall: number
  #timers: Timer[] = []

  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = wall
  }

  readonly now = (): number => this.#now
  readonly wall = (): number => this.#wall + this.#now

  readonly after = (delayMs: number, task: () => void): (() => void) => {
    const timer = { at: this.#now + Math.max(0, delayMs), task }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  readonly soon = (task: () => void): void => void this.after(0, task)

  /** The wall clock is set, as by a person: nothing that lasts may depend on it. */
  setWall(wall: number): void {
    this.#wall = wall - this.#now
  }

  /** Lets promises settle, and runs what falls due on the way. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (let turn = 0; ; turn += 1) {
      if (turn > MAX_TASKS) throw new Error(`something runs again and again at ${this.#now} ms`)
      await settled()
      let next: Timer | undefined
      for (const timer of this.#timers) if (timer.at <= until && (!next || timer.at < next.at)) next = timer
      if (!next) break
      const { at, task } = next
      this.#timers = this.#timers.filter((other) => other !== next)
      this.#now = Math.max(this.#now, at)
      task()
    }
    this.#now = until
  }

  /** The machine sleeps: time goes on, and timers fire only when it wakes. */
  async sleep(ms: number): Promise<void> {
    this.#now += ms
    await this.advance(0)
  }
}

/** Storages settle in tasks, not only in microtasks. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await nextTask()
}

/** Of Node, and far cheaper than a channel. Taken once: tests may put timers of their own in its place. */
const { setImmediate } = globalThis as { readonly setImmediate?: (task: () => void) => void }

function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate) return setImmediate(resolve)
    const { port1, port2 } = new MessageChannel() as unknown as { readonly port1: Port; readonly port2: Port }
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(0)
  })
}
