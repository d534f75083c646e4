/** Time as a dependency, so that tests decide what time it is. */
export interface Clock {
  /** Milliseconds since the epoch; never goes back or jumps within a process, so that differences are durations. */
  now(): number
  /** Calls `task` once, not before `delayMs`; the returned function cancels it. Keeps no process alive. */
  after(delayMs: number, task: () => void): () => void
}

export const systemClock: Clock = {
  // Not Date.now(): when somebody sets the machine's clock, waits, leases and ages would be wrong by as much.
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Resolves after so many milliseconds. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve))
}

/** The same, but by the clock of somebody who is so much ahead. */
export function aheadOf(clock: Clock, aheadMs: number): Clock {
  return { now: () => clock.now() + aheadMs, after: clock.after }
}
