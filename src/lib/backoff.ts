/** Exponential back-off with full jitter, in milliseconds, for attempt 0, 1, 2 …; `random` is in [0, 1). */
export function backoffMs(attempt: number, limits: { firstMs: number; maxMs: number }, random = Math.random()): number {
  return Math.ceil(random * Math.min(limits.maxMs, limits.firstMs * 2 ** Math.min(attempt, 30)))
}
