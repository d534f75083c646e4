import { dropOldest } from './drop-oldest.ts'

interface Bucket {
  tokens: number
  updatedMs: number
}

/** How fast something may happen: `perSecond` on average, `burst` at once. 0 a second stands for no limit. */
export class TokenBuckets<Key> {
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<Key, Bucket>()

  constructor(perSecond: number, burst = 2 * perSecond) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /**
   * Takes as many tokens as it costs; returns 0, or after how many milliseconds there will be one. One is enough to begin with:
   * what is not there is owed, so that what costs more than the burst is possible, too.
   */
  take(key: Key, nowMs: number, cost = 1): number {
    if (this.#perSecond === 0) return 0
    const bucket = this.#bucketOf(key, nowMs)
    bucket.tokens = this.#tokensOf(bucket, nowMs)
    bucket.updatedMs = nowMs
    if (bucket.tokens < 1) return this.#untilOne(bucket.tokens)
    bucket.tokens -= cost
    return 0
  }

  /** What `take` would return; takes nothing. */
  waitMs(key: Key, nowMs: number): number {
    const bucket = this.#buckets.get(key)
    if (this.#perSecond === 0 || !bucket) return 0
    const tokens = this.#tokensOf(bucket, nowMs)
    return tokens < 1 ? this.#untilOne(tokens) : 0
  }

  /** Takes back that one was taken. */
  giveBack(key: Key): void {
    const bucket = this.#buckets.get(key)
    if (bucket) bucket.tokens = Math.min(this.#burst, bucket.tokens + 1)
  }

  #tokensOf({ tokens, updatedMs }: Bucket, nowMs: number): number {
    return Math.min(this.#burst, tokens + Math.max(0, nowMs - updatedMs) * (this.#perSecond / 1000))
  }

  #untilOne(tokens: number): number {
    return Math.ceil(((1 - tokens) * 1000) / this.#perSecond)
  }

  #bucketOf(key: Key, nowMs: number): Bucket {
    const known = this.#buckets.get(key)
    if (known) return known
    const bucket = { tokens: this.#burst, updatedMs: nowMs }
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MAX_BUCKETS) this.#forgetFull(nowMs)
    return bucket
  }

  /** A bucket that has had the time to fill up is like a new one. */
  #forgetFull(nowMs: number): void {
    const fullAfterMs = (this.#burst / this.#perSecond) * 1000
    for (const [key, { updatedMs }] of this.#buckets) {
      if (nowMs - updatedMs >= fullAfterMs) this.#buckets.delete(key)
    }
    // All in use at once: the oldest go, which forgives the keys that had used theirs up.
    dropOldest(this.#buckets, 0.9 * MAX_BUCKETS)
  }
}

const MAX_BUCKETS = 100_000
