import type { Channel as Port } from './environment.ts'

/** What time is, for the client: a test puts its own in place. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number
  /** Milliseconds since 1970, as the machine believes. */
  wall(): number
  /** Runs a task later; gives back what cancels it. */
  after(delayMs: number, task: () => void): () => void
  /** Runs a task as soon as the browser has had the chance to paint and to take input. */
  soon(task: () => void): void
  /** Runs a task before the next picture is painted; without pictures, as in Node, soon. */
  paint?(task: () => void): void
}

interface Host {
  readonly scheduler?: { yield?: () => Promise<void> }
  readonly setImmediate?: (task: () => void) => void
  readonly requestAnimationFrame?: (task: () => void) => void
  readonly document?: { readonly visibilityState: string }
}
const HIDDEN_AFTER_MS = 200

export function systemClock(): Clock {
  const soon = turnTaker()
  return {
    now: () => performance.now(),
    wall: () => Date.now(),
    after(delayMs, task) {
      const timer = setTimeout(task, Math.min(delayMs, 2 ** 31 - 1))
      return () => clearTimeout(timer)
    },
    soon,
    paint(task) {
      const { requestAnimationFrame, document } = globalThis as Host
      if (!requestAnimationFrame || document?.visibilityState !== 'visible') return soon(task)
      // A page that is hidden meanwhile paints no more.
      const timer = setTimeout(task, HIDDEN_AFTER_MS)
      requestAnimationFrame(() => {
        clearTimeout(timer)
        task()
      })
    },
  }
}

function turnTaker(): Clock['soon'] {
  const { scheduler, setImmediate } = globalThis as Host
  if (scheduler?.yield) return (task) => void scheduler.yield?.().then(task)
  if (setImmediate) return setImmediate
  const { port1, port2 } = new MessageChannel() as unknown as { readonly port1: Port; readonly port2: Port }
  const tasks: (() => void)[] = []
  port1.onmessage = () => tasks.shift()?.()
  return (task) => {
    tasks.push(task)
    port2.postMessage(0)
  }
}

/** Runs one task at the earliest of the times it was set to. */
export class Alarm {
  readonly #clock: Clock
  readonly #task: () => void
  #due = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined

  constructor(clock: Clock, task: () => void) {
    this.#clock = clock
    this.#task = task
  }

  at(time: number): void {
    if (time >= this.#due) return
    this.clear()
    this.#due = time
    this.#cancel = this.#clock.after(Math.max(0, time - this.#clock.now()), () => {
      this.#due = Number.POSITIVE_INFINITY
      this.#task()
    })
  }

  clear(): void {
    this.#cancel?.()
    this.#due = Number.POSITIVE_INFINITY
  }
}
