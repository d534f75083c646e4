/** Buckets per power of two: a reported value is at most 1/64 (1.6 %) above the recorded one. */
const subBuckets = 64
const octaves = 36 // of nanoseconds: up to 68 s
const bucketCount = subBuckets * octaves

/** Latency percentiles in milliseconds. */
export interface LatencySummary {
  readonly count: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

/**
 * Log-linear latency histogram. Its counts travel between processes and add up exactly, which the histogram of
 * perf_hooks cannot do over a child's channel: percentiles of several generators must never be averaged.
 */
export class LatencyHistogram {
  readonly counts: Float64Array
  maxMs = 0

  constructor(counts: Float64Array = new Float64Array(bucketCount)) {
    this.counts = counts
  }

  record(milliseconds: number): void {
    if (milliseconds > this.maxMs) this.maxMs = milliseconds
    const bucket = bucketOf(milliseconds)
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
  }

  add(counts: Float64Array, maxMs: number): void {
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      this.counts[bucket] = (this.counts[bucket] ?? 0) + (counts[bucket] ?? 0)
    }
    this.maxMs = Math.max(this.maxMs, maxMs)
  }

  /** Smallest bucket edge that covers this share (0..1) of the samples, in milliseconds; 0 without samples. */
  percentileMs(share: number): number {
    const wanted = share * this.total
    let seen = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.counts[bucket] ?? 0
      if (seen > 0 && seen >= wanted) return Math.min(upperEdgeMs(bucket), this.maxMs)
    }
    return 0
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  summary(): LatencySummary {
    return {
      count: this.total,
      p50Ms: this.percentileMs(0.5),
      p90Ms: this.percentileMs(0.9),
      p99Ms: this.percentileMs(0.99),
      p999Ms: this.percentileMs(0.999),
      maxMs: this.maxMs,
    }
  }
}

function bucketOf(milliseconds: number): number {
  const nanoseconds = Math.max(1, milliseconds * 1e6)
  const octave = Math.floor(Math.log2(nanoseconds))
  const within = Math.floor((nanoseconds / 2 ** octave - 1) * subBuckets)
  return Math.min(octave * subBuckets + within, bucketCount - 1)
}

function upperEdgeMs(bucket: number): number {
  const octave = Math.floor(bucket / subBuckets)
  return (2 ** octave * (1 + ((bucket % subBuckets) + 1) / subBuckets)) / 1e6
}
