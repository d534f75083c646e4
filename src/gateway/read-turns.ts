import type { Clock } from '../lib/clock.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { UserId } from '../protocol/message.ts'
import { RequestError } from './rest-exchange.ts'

/** Reads of one user that are looked up at a time: as many as sixteen of their sockets have. */
const READS_AT_ONCE = 64
/** Reads of one user that may wait for those before them; beyond it `rate_limited`. */
const MAX_WAITING = 1_024
/** How long a read may wait for those before it: while the database hangs each of them takes several seconds. */
export const READ_WAIT_LIMIT_MS = 2_000

/** The turns in which requests of one user read the store: one user must not keep the others waiting. */
export class ReadTurns {
  readonly #clock: Clock
  readonly #turns = new Map<UserId, { readonly places: Semaphore; reads: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Users who wait for what they read. */
  get users(): number {
    return this.#turns.size
  }

  /** Throws RequestError when too many wait, WaitedTooLong when the turn did not come in time. */
  async run<T>(user: UserId, read: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(user) ?? { places: new Semaphore(READS_AT_ONCE), reads: 0 }
    if (turns.places.waiting >= MAX_WAITING) throw new RequestError('rate_limited')
    this.#turns.set(user, turns)
    turns.reads += 1
    try {
      return await turns.places.run(read, { clock: this.#clock, ms: READ_WAIT_LIMIT_MS })
    } finally {
      turns.reads -= 1
      if (turns.reads === 0) this.#turns.delete(user)
    }
  }
}
