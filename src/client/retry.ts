/** Attempts with a doubling, fully random wait; then a steady rhythm. */
const DOUBLING = 4
const STEADY_UNTIL = 16

/**
 * How long to wait before attempt `attempt` (0: the first again), in milliseconds. The first waits are uniform in 0 … 1, 2, 4,
 * 8 s, which spreads the clients of one server over its whole absence. After that each keeps a rhythm of its own of 10 s, later
 * 26 s: with a wait that is random from 0 on, twice as many as on average come in the moment when the server is back.
 */
export function retryDelayMs(attempt: number, random: number): number {
  if (attempt < DOUBLING) return random * 1000 * 2 ** attempt
  return attempt < STEADY_UNTIL ? 7500 + random * 5000 : 22_500 + random * 7500
}

/** How long to wait after a refusal, the first being 0: as long as the server said, and up to a fifth longer. */
export function refusedDelayMs(attempt: number, random: number, retryAfterMs = 0): number {
  return Math.max(retryDelayMs(attempt, random), retryAfterMs * (1 + random / 5))
}
