import type { Clock } from '../lib/clock.ts'
import { TokenBuckets } from '../lib/token-bucket.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import { type Counted, countedAs, type Network } from './network.ts'
import { AccountRefusal } from './refusal.ts'

/** What a stranger may guess; as metrics name it. */
export type Guessed = 'password' | 'recovery_code' | 'invite' | 'link' | 'cookie' | 'refresh_token'

export interface GuessesOptions {
  readonly clock: Pick<Clock, 'now'>
  /** How often one network may be wrong, and ten times as often at once; 0: without end. */
  readonly perSecond: number
  readonly observer: { credentialRefused(fault: Guessed): void }
}

/** A site, the /48 of an IPv6 network, and a network that many share may be wrong so much more often. */
const WIDE = 10
const SECONDS_AT_ONCE = 10
const WRONG: ReadonlySet<ErrorCode> = new Set(['unauthorized', 'invalid_credentials', 'invite_invalid', 'rate_limited'])

/**
 * Bounds the work that one network can make by being wrong: beyond its rate nothing is looked up for it. Counted by each process, so
 * that it costs none itself; what is exact over all instances is a `Throttle`. An attempt is counted when it begins and let off when
 * it was right, so those that come together are counted as well.
 */
export class Guesses {
  readonly #options: GuessesOptions
  readonly #buckets: Readonly<Record<Counted['as'], TokenBuckets<string>>>

  constructor(options: GuessesOptions) {
    this.#options = options
    const { perSecond } = options
    const own = new TokenBuckets<string>(perSecond, SECONDS_AT_ONCE * perSecond)
    const wide = new TokenBuckets<string>(WIDE * perSecond, WIDE * SECONDS_AT_ONCE * perSecond)
    this.#buckets = { own, wide }
  }

  /**
   * Does this work, and rejects as it does. `from`: undefined for who is known, and must not wait for those who guess beside them. Who
   * needs a place has it before: for want of one nothing is looked up, and that is no guess.
   */
  async attempt<T>(what: Guessed, from: Network | undefined, work: () => Promise<T>): Promise<T> {
    const letOff = from === undefined ? () => undefined : this.#count(from)
    try {
      const result = await work()
      letOff()
      return result
    } catch (error) {
      const code = error instanceof AccountRefusal ? error.code : undefined
      if (code === undefined || !WRONG.has(code)) letOff()
      // What waits for its turn was not looked at.
      else if (code !== 'rate_limited') this.#options.observer.credentialRefused(what)
      throw error
    }
  }

  /** How long this network, which was wrong too often, has to wait; 0: it need not. */
  waitMs(network: Network): number {
    const now = this.#options.clock.now()
    return Math.max(0, ...this.#bucketsOf(network).map(({ buckets, name }) => buckets.waitMs(name, now)))
  }

  /** Throws when this network was wrong too often. */
  #count(network: Network): () => void {
    const retryAfterMs = this.waitMs(network)
    if (retryAfterMs > 0) throw new AccountRefusal('rate_limited', { retryAfterMs })
    const taken = this.#bucketsOf(network)
    const now = this.#options.clock.now()
    for (const { buckets, name } of taken) buckets.take(name, now)
    return () => {
      for (const { buckets, name } of taken) buckets.giveBack(name)
    }
  }

  #bucketsOf(network: Network): { name: string; buckets: TokenBuckets<string> }[] {
    return countedAs(network).map(({ name, as }) => ({ name, buckets: this.#buckets[as] }))
  }
}
