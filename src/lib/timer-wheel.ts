import type { Clock, TimeOfDay } from './clock.ts'

/** Milliseconds of one slot: how late a task may run. */
const SLOT_MS = 1_000

/**
 * Many tasks, each at its own time, over one timer that ticks while there is any: a timer for each of 100,000 sockets would
 * cost more than the sockets. A task runs up to one second after its time of day, never before; within a second also when that
 * time is set, or has gone on while the process stood still.
 */
export class TimerWheel {
  readonly #clock: Pick<Clock, 'after'>
  readonly #time: TimeOfDay
  readonly #slots = new Map<number, Set<() => void>>()
  #cancelTick: (() => void) | undefined
  /** The next slot to run. */
  #next = 0

  constructor(clock: Pick<Clock, 'after'>, time: TimeOfDay) {
    this.#clock = clock
    this.#time = time
  }

  /** Runs `task` once `atMs` (milliseconds since the epoch) has come. The returned function cancels it. Tasks must not throw. */
  at(atMs: number, task: () => void): () => void {
    const now = this.#time.epochMs()
    if (this.#slots.size === 0) this.#next = Math.floor(now / SLOT_MS) + 1
    const slot = Math.max(Math.ceil(atMs / SLOT_MS), this.#next)
    const tasks = this.#slots.get(slot) ?? new Set()
    // The same function may be given twice.
    const own = (): void => task()
    tasks.add(own)
    this.#slots.set(slot, tasks)
    this.#tick()
    return () => {
      if (tasks.delete(own) && tasks.size === 0) this.#slots.delete(slot)
    }
  }

  #tick(): void {
    if (this.#slots.size === 0) return
    this.#cancelTick ??= this.#clock.after(Math.max(1, this.#next * SLOT_MS - this.#time.epochMs()), () => {
      this.#cancelTick = undefined
      this.#run()
      this.#tick()
    })
  }

  /** Every slot whose time has come, in order; a process that was stopped for a while runs them all. */
  #run(): void {
    const now = this.#time.epochMs()
    const isFarBehind = now / SLOT_MS - this.#next > this.#slots.size
    const due = isFarBehind
      ? [...this.#slots.keys()].filter((slot) => slot * SLOT_MS <= now).sort((a, b) => a - b)
      : slotsUpTo(this.#next, now)
    this.#next = Math.floor(now / SLOT_MS) + 1
    for (const slot of due) {
      const tasks = this.#slots.get(slot)
      this.#slots.delete(slot)
      if (tasks) for (const task of tasks) task()
    }
  }
}

function slotsUpTo(first: number, now: number): number[] {
  const slots: number[] = []
  for (let slot = first; slot * SLOT_MS <= now; slot += 1) slots.push(slot)
  return slots
}
