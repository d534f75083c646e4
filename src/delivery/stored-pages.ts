import { backoffMs } from '../lib/backoff.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { type Address, conversationBetween } from '../messages/conversation.ts'
import type { AsOf, Backlog, MessageReads, Page } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'

/** Messages read at a time: small enough that a page of the largest messages stays below 2 MB. */
const PAGE_ROWS = 100
const MAX_ATTEMPTS = 5
const RETRY = { firstMs: 100, maxMs: 1000 }

/** A connection that is being replayed to. */
export interface PagesReader {
  readonly userId: UserId
  /** Whether it still exists: for one that has gone nothing is read. */
  readonly isOpen: boolean
}

/**
 * Reads for replays, at most `concurrency` at a time over all connections, so that a storm of reconnects cannot starve the
 * writer of the database. A failed read is tried again; after the last attempt it throws. Never answers with less than there
 * is: undefined means that the reader has gone.
 */
export class StoredPages {
  readonly #store: Pick<MessageReads, 'page' | 'backlog'>
  readonly #clock: Clock
  readonly #places: Semaphore

  constructor(store: Pick<MessageReads, 'page' | 'backlog'>, clock: Clock, concurrency: number) {
    this.#store = store
    this.#clock = clock
    this.#places = new Semaphore(concurrency)
  }

  after(reader: PagesReader, address: Address, seq: number): Promise<Page | undefined> {
    const conversation = conversationBetween(reader.userId, address)
    return this.#retried(reader, () => this.#store.page(conversation, { after: seq, limit: PAGE_ROWS }))
  }

  backlog(reader: PagesReader): Promise<AsOf<Backlog[]> | undefined> {
    return this.#retried(reader, () => this.#store.backlog(reader.userId))
  }

  async #retried<T>(reader: PagesReader, read: () => Promise<T>): Promise<T | undefined> {
    for (let attempt = 1; reader.isOpen; attempt += 1) {
      try {
        // Asked again with the place: in a storm most of those who wait for one are gone before they get it.
        return await this.#places.run(async () => (reader.isOpen ? await read() : undefined))
      } catch (error) {
        if (attempt === MAX_ATTEMPTS) throw error
        await sleep(this.#clock, backoffMs(attempt, RETRY) + 1)
      }
    }
    return undefined
  }
}
