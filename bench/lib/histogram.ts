import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'

/** Of nanoseconds: 68 s. What took longer counts as that, except in the maximum. */
const highestNs = 2 ** 36
/** A percentile is at most 1 % above what was recorded. */
const significantDigits = 2
const nsPerMs = 1e6

/** Latency percentiles in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

/** A histogram as it travels between processes. */
export interface PackedHistogram {
  /** In the format V2 of HdrHistogram, compressed, as Base64. */
  readonly counts: string
  readonly maxMs: number
}

/**
 * Latencies as HdrHistogram counts them. Counts of several processes add up exactly, which those of perf_hooks cannot do
 * over a child's channel: percentiles of several generators must never be averaged.
 */
export class LatencyHistogram {
  readonly #counts: Histogram = build({
    highestTrackableValue: highestNs,
    numberOfSignificantValueDigits: significantDigits,
  })
  #maxMs = 0

  record(milliseconds: number): void {
    if (milliseconds > this.#maxMs) this.#maxMs = milliseconds
    this.#counts.recordValue(Math.min(highestNs, Math.max(1, Math.round(milliseconds * nsPerMs))))
  }

  packed(): PackedHistogram {
    return { counts: encodeIntoCompressedBase64(this.#counts), maxMs: this.#maxMs }
  }

  add({ counts, maxMs }: PackedHistogram): void {
    this.#counts.add(decodeFromCompressedBase64(counts))
    this.#maxMs = Math.max(this.#maxMs, maxMs)
  }

  summary(): LatencySummary {
    const percentileMs = (percentile: number): number =>
      Math.min(this.#counts.getValueAtPercentile(percentile) / nsPerMs, this.#maxMs)
    return {
      count: this.#counts.totalCount,
      p50Ms: percentileMs(50),
      p90Ms: percentileMs(90),
      p99Ms: percentileMs(99),
      p999Ms: percentileMs(99.9),
      maxMs: this.#maxMs,
    }
  }
}

/** All parts as if one process had counted them. */
export function summaryOf(parts: readonly PackedHistogram[]): LatencySummary {
  const all = new LatencyHistogram()
  for (const part of parts) all.add(part)
  return all.summary()
}
