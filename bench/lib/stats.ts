/** Small statistics for few, noisy, paired runs. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Bootstrap 95 % confidence interval of the median. */
  readonly low: number
  readonly high: number
  readonly values: readonly number[]
}

const resamples = 2000

/** Median, range and confidence interval; the interval is the same for the same values. */
export function spreadOf(values: readonly number[]): Spread {
  const random = seededRandom(1)
  const draw = () => values[Math.floor(random() * values.length)] ?? Number.NaN
  const medians = Array.from({ length: resamples }, () => medianOf(values.map(draw))).sort((x, y) => x - y)
  return {
    median: medianOf(values),
    min: Math.min(...values),
    max: Math.max(...values),
    low: medians[Math.floor(resamples * 0.025)] ?? Number.NaN,
    high: medians[Math.ceil(resamples * 0.975) - 1] ?? Number.NaN,
    values,
  }
}

/** Ratio of what was measured next to each other, round by round. */
export function ratiosOf(ours: readonly number[], theirs: readonly number[]): Spread {
  return spreadOf(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)))
}

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** Runs every contestant once a round, in alternating order (A B, B A, A B …): drift hits all alike. */
export async function interleave<Contestant, Outcome>(
  rounds: number,
  contestants: readonly Contestant[],
  run: (contestant: Contestant, round: number) => Promise<Outcome>,
): Promise<Map<Contestant, Outcome[]>> {
  const outcomes = new Map<Contestant, Outcome[]>(contestants.map((contestant) => [contestant, []]))
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? contestants : [...contestants].reverse()
    for (const contestant of order) outcomes.get(contestant)?.push(await run(contestant, round))
  }
  return outcomes
}

/** mulberry32: uniform numbers in [0, 1), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
