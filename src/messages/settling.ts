import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { Batch } from './batch.ts'
import { isSettled, type QueuedSend } from './send-queue.ts'
import type { PositionChange } from './store.ts'

export interface SettledListener {
  /** Told once about every send (its `fate` or `refusal` is final) and about positions that were asked to move. */
  settled(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void
}

export interface SettlingOptions {
  readonly outcomes: SettledListener
  readonly clock: Clock
  readonly logger: Logger
}

/** A caller that waits until a send is settled and so many batches are done. */
interface Waiter {
  readonly last: QueuedSend | undefined
  readonly batchesDone: number
  resolve(): void
}

/** The telling half of the writer: passes on what became of its batches, and resolves what waits for that. */
export class Settling {
  readonly #options: SettlingOptions
  /** Not told yet: it is, in the same turn of the event loop, once the next batch is on its way or there is none. */
  #committed: Batch | undefined
  #batchesDone = 0
  readonly #waiters = new Set<Waiter>()

  constructor(options: SettlingOptions) {
    this.#options = options
  }

  committed(batch: Batch): void {
    this.#committed = batch
  }

  refuse(sends: readonly QueuedSend[], code: ErrorCode): void {
    if (sends.length === 0) return
    for (const send of sends) send.refusal = code
    this.#settle(sends, [])
    this.#wake()
  }

  /** Nothing of a batch is left to be tried. */
  batchDone(): void {
    this.#batchesDone += 1
  }

  /** Tells what was committed last, unless that was done, and resolves what waited for it. */
  tell(): void {
    const committed = this.#committed
    this.#committed = undefined
    if (committed) this.#settle(committed.sends, committed.positions)
    this.#wake()
  }

  /**
   * Resolves when this send is settled and so many more batches are done, or when the limit is over. A waiter that times out
   * removes itself; otherwise an outage would collect thousands of waiters until a batch completes.
   */
  settled(last: QueuedSend | undefined, batches: number, limitMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      let cancel = (): void => undefined
      const end = (): void => {
        this.#waiters.delete(waiter)
        cancel()
        resolve()
      }
      const waiter = { last, batchesDone: this.#batchesDone + batches, resolve: end }
      this.#waiters.add(waiter)
      if (limitMs !== undefined) cancel = this.#options.clock.after(limitMs, end)
    })
  }

  /** What the listener does with an outcome must not stop the writer. */
  #settle(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void {
    try {
      this.#options.outcomes.settled(sends, positions)
    } catch (error) {
      this.#options.logger.error({ err: error }, 'a listener of the writer failed')
    }
  }

  #wake(): void {
    for (const { last, batchesDone, resolve } of this.#waiters) {
      if ((!last || isSettled(last)) && batchesDone <= this.#batchesDone) resolve()
    }
  }
}
