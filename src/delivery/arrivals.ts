import type { DependencyLog } from '../lib/dependency-log.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { COMMIT_SLACK_MS, type MessageReads } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { Continuity } from './continuity.ts'

export interface ArrivalsOptions {
  readonly store: Pick<MessageReads, 'recentHeads'>
  readonly continuity: Continuity
  /** Told while it cannot be read what users have acknowledged: then more may be sent to them than they miss. */
  readonly health: DependencyLog
}

const USERS_PER_QUERY = 500
/** Names this in what is told about healing. */
const PART = 'arrivals'

/** Notes what the users who have just come had acknowledged: what they may miss begins behind it. */
export class Arrivals {
  readonly #options: ArrivalsOptions
  /** Users whose look has not begun, and when they came; milliseconds. */
  readonly #waiting = new Map<UserId, number>()
  /** One look at a time: a storm of arrivals is to fill neither the queue of reads nor the time of the database. */
  readonly #looks = new Semaphore(1)

  constructor(options: ArrivalsOptions) {
    this.#options = options
  }

  /**
   * To be awaited before the backlog of the user's connection is read. `sinceMs` is a time by the store's clock before which
   * the user had not come; of what changed later it is noted. Never rejects; without an answer that time decides.
   */
  async arrived(user: UserId, sinceMs: number): Promise<void> {
    this.#waiting.set(user, sinceMs)
    await this.#looks.run(async () => {
      // Otherwise the look of one who waited before has covered this user.
      if (this.#waiting.has(user)) await this.#look()
    })
  }

  /** At all users who wait, or at as many as one query takes. */
  async #look(): Promise<void> {
    const { store, continuity, health } = this.#options
    const arrived = [...this.#waiting].slice(0, USERS_PER_QUERY)
    for (const [user] of arrived) this.#waiting.delete(user)
    const users = arrived.map(([user]) => user)
    const sinceMs = Math.min(...arrived.map(([, since]) => since)) - COMMIT_SLACK_MS
    try {
      const { found } = await store.recentHeads(users, Math.max(0, sinceMs))
      for (const head of found) continuity.hadAcknowledged(head.user, head.with, head.deliveredSeq)
      health.works(PART)
    } catch (error) {
      health.failed(PART, error)
    }
  }
}
