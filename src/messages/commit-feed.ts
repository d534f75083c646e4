import type { Logger } from '../lib/logger.ts'
import type { QueuedSend } from './send-queue.ts'
import type { PositionChange } from './store.ts'

/** Told what was committed, batch by batch, in the order in which it was numbered. Must not wait for anything. */
export interface CommitListener {
  /** A message that this instance announces for the first time; its `seq` and `created_at` are set. */
  message(send: QueuedSend): void
  /** A position as it is now. */
  position(change: PositionChange): void
  /** Everything of one batch has been told. */
  batchDone(): void
}

/**
 * Tells every listener of every commit. A listener that throws loses the one item with which it failed: neither the rest of
 * the batch nor another listener hears of it.
 */
export class CommitFeed implements CommitListener {
  readonly #listeners: CommitListener[] = []
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Told from the next batch on. */
  subscribe(listener: CommitListener): void {
    this.#listeners.push(listener)
  }

  message(send: QueuedSend): void {
    for (const listener of this.#listeners) {
      try {
        listener.message(send)
      } catch (error) {
        this.#failed(error)
      }
    }
  }

  position(change: PositionChange): void {
    for (const listener of this.#listeners) {
      try {
        listener.position(change)
      } catch (error) {
        this.#failed(error)
      }
    }
  }

  batchDone(): void {
    for (const listener of this.#listeners) {
      try {
        listener.batchDone()
      } catch (error) {
        this.#failed(error)
      }
    }
  }

  #failed(error: unknown): void {
    this.#logger.error({ err: error }, 'a listener of commits failed')
  }
}
