import { backoffMs } from '../lib/backoff.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { conversationBetween } from '../messages/conversation.ts'
import type { Backlog, MessageStore, Page } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'

/** Messages read at a time: small enough that a page of the largest messages stays below 2 MB. */
const PAGE_ROWS = 100
const MAX_ATTEMPTS = 5
const RETRY = { firstMs: 100, maxMs: 1000 }

/**
 * Reads for replays, at most `concurrency` at a time over all connections, so that a storm of reconnects can not starve the
 * writer of the database. A failed read is tried again; after the last attempt it throws. Never answers with less than there
 * is.
 */
export class StoredPages {
  readonly #store: MessageStore
  readonly #clock: Clock
  readonly #places: Semaphore

  constructor(store: MessageStore, clock: Clock, concurrency: number) {
    this.#store = store
    this.#clock = clock
    this.#places = new Semaphore(concurrency)
  }

  after(user: UserId, other: UserId, seq: number): Promise<Page> {
    const conversation = conversationBetween(user, other)
    return this.#retried(() => this.#store.page(conversation, { after: seq, limit: PAGE_ROWS }))
  }

  backlog(user: UserId): Promise<Backlog[]> {
    return this.#retried(() => this.#store.backlog(user))
  }

  async #retried<T>(read: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#places.run(read)
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) throw error
        await sleep(this.#clock, backoffMs(attempt, RETRY) + 1)
      }
    }
  }
}
