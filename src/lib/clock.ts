/** Time as a dependency, so that tests decide what time it is. */
export interface Clock {
  /**
   * Milliseconds since the epoch, for durations within one process: never goes back or jumps there. It may be wrong, drift, and
   * stand still while the machine is suspended, so it is not compared with times of the database or of another process.
   */
  now(): number
  /** Calls `task` once, not before `delayMs`; the returned function cancels it. Keeps no process alive. */
  after(delayMs: number, task: () => void): () => void
}

/**
 * The time of day, by which is judged what another process or machine has dated: tokens, keys, headers. It may be set, also back,
 * so no wait is measured by it. Not a `Clock`, so that neither is taken for the other.
 */
export interface TimeOfDay {
  /** Milliseconds since the epoch. */
  epochMs(): number
}

/** What this machine takes for the time. */
export const machineTime: TimeOfDay = { epochMs: () => Date.now() }

export const systemClock: Clock = {
  // Not Date.now(): when somebody sets the machine's clock, waits, leases and ages would be wrong by as much.
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  after(delayMs, task) {
    const dueMs = systemClock.now() + delayMs
    let timer: NodeJS.Timeout
    const arm = (ms: number): void => {
      timer = setTimeout(fire, Math.ceil(ms))
      timer.unref()
    }
    // Node drops parts of a millisecond, of the delay and of the time at which it begins to count.
    const fire = (): void => {
      const leftMs = dueMs - systemClock.now()
      if (leftMs > 0) arm(leftMs)
      else task()
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after so many milliseconds. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.after(ms, resolve))
}
