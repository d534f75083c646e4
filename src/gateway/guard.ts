import type { Clock } from '../lib/clock.ts'
import { TokenBuckets } from '../lib/token-bucket.ts'
import type { UserId } from '../protocol/message.ts'

export interface GuardLimits {
  /** Rates; 0 stands for no limit. */
  readonly userCommandsPerSecond: number
  readonly addressRequestsPerSecond: number
  readonly upgradesPerSecond: number
  /** Credentials of one address that may be wrong. */
  readonly addressRefusalsPerSecond: number
  /** Open sockets, of all and of one address. */
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
}

/** A place among the sockets that may be open. */
export interface Place {
  /** Gives it back; only the first call counts. */
  release(): void
}

/** Far longer than it takes a bucket to fill up: what was not counted meanwhile adds next to nothing to what one may. */
const ADDRESSES_COUNT_MS = 60_000

/** How much one user, one address and all together may ask of this instance. Counted here, so it holds without Redis too. */
export class Guard {
  readonly #limits: GuardLimits
  readonly #clock: Pick<Clock, 'now'>
  readonly #users: TokenBuckets<UserId>
  readonly #addresses: TokenBuckets<string>
  /** What one address may ask, and little at once, for all of them together. */
  readonly #requests: TokenBuckets<'all'>
  #addressesCountUntilMs = 0
  readonly #upgrades: TokenBuckets<'all'>
  readonly #refusals: TokenBuckets<string>
  readonly #connectionsByAddress = new Map<string, number>()
  #connections = 0

  constructor(limits: GuardLimits, clock: Pick<Clock, 'now'>) {
    this.#limits = limits
    this.#clock = clock
    this.#users = new TokenBuckets(limits.userCommandsPerSecond)
    const perSecond = limits.addressRequestsPerSecond
    const uncounted = Math.floor(perSecond / 10)
    this.#requests = new TokenBuckets(perSecond, uncounted)
    // With what was not counted before, one address may ask twice its rate at once.
    this.#addresses = new TokenBuckets(perSecond, 2 * perSecond - uncounted)
    this.#upgrades = new TokenBuckets(limits.upgradesPerSecond)
    this.#refusals = new TokenBuckets(limits.addressRefusalsPerSecond, limits.addressRefusalsPerSecond)
  }

  /** 0 when the user may go on, else after how many milliseconds. `cost`: as how many commands it counts. */
  command(userId: UserId, cost = 1): number {
    return this.#users.take(userId, this.#clock.now(), cost)
  }

  /**
   * 0 when this address may go on, else after how many milliseconds. While all together keep to what one may, none can be
   * above it and `address` is not called, as to find it out takes uWebSockets 1 to 2 µs; after that each is counted for a
   * minute.
   */
  request(address: () => string): number {
    const now = this.#clock.now()
    if (this.#requests.take('all', now) > 0) this.#addressesCountUntilMs = now + ADDRESSES_COUNT_MS
    return now < this.#addressesCountUntilMs ? this.#addresses.take(address(), now) : 0
  }

  /**
   * Counts a credential of this address that is not accepted: 0 when it is answered as such, else after how many milliseconds the
   * next one is. A good one is never counted, so those who share the address with somebody who guesses go on.
   */
  credentialRefused(address: string): number {
    return this.#refusals.take(address, this.#clock.now())
  }

  /**
   * A place for one more socket of this address, counted from now on, or why there is none. It is taken before the socket exists,
   * so that what is looked up meanwhile cannot exceed the limits.
   */
  reserve(address: string): Place | 'overloaded' | 'rate_limited' {
    if (this.#connections >= this.#limits.maxConnections) return 'overloaded'
    if (this.#ofAddress(address) >= this.#limits.maxConnectionsPerAddress) return 'rate_limited'
    if (this.#upgrades.take('all', this.#clock.now()) > 0) return 'overloaded'
    this.#connections += 1
    this.#connectionsByAddress.set(address, this.#ofAddress(address) + 1)
    let isReleased = false
    return {
      release: () => {
        if (!isReleased) this.#release(address)
        isReleased = true
      },
    }
  }

  #release(address: string): void {
    this.#connections -= 1
    const left = this.#ofAddress(address) - 1
    if (left > 0) this.#connectionsByAddress.set(address, left)
    else this.#connectionsByAddress.delete(address)
  }

  #ofAddress(address: string): number {
    return this.#connectionsByAddress.get(address) ?? 0
  }
}
