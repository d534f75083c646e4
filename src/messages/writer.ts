import { backoffMs } from '../lib/backoff.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import { PositionQueue } from './position-queue.ts'
import { isSettled, type QueuedSend, SendQueue } from './send-queue.ts'
import { CommitError, type CommitPath, type MessageStore, type PositionChange } from './store.ts'

export interface WriterLimits {
  /** Sends that may wait, in rows and in bytes of content. */
  readonly maxQueueRows: number
  readonly maxQueueBytes: number
  /** A send that could not be stored for so long is refused, unless its outcome is unknown. */
  readonly maxQueueAgeMs: number
  readonly maxBatchRows: number
}

export interface WriterObserver {
  committed(rows: number, durationMs: number, path: CommitPath): void
  failed(failure: string): void
}

export interface WriterOptions {
  readonly store: MessageStore
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: WriterLimits
  readonly observer: WriterObserver
  /** Told once about every send (its `fate` or `refusal` is final) and about positions that were asked to move. */
  settled(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void
  /** From 0 to below 1, each time another: who is refused early. Math.random if none. */
  readonly random?: () => number
}

interface Batch {
  readonly sends: readonly QueuedSend[]
  readonly positions: readonly PositionChange[]
}

/** Who waits for a send to settle and for so many batches to be done. */
interface Waiter {
  readonly last: QueuedSend | undefined
  readonly batchesDone: number
  resolve(): void
}

const RETRY = { firstMs: 10, maxMs: 500 }
/** One duplicate announces more (a client that resends its outbox), and every failed COPY leaves dead rows. */
const CAREFUL_AFTER_DUPLICATE = 8
/** How often a commit that takes too long is given up again. */
const MIN_EXPIRY_MS = 100
/** The part of its time in which a send is tried again; what is left is for the last attempt. */
const RETRIED_SHARE = 0.75
/** Positions without messages wait so long for company: nobody waits for them. */
const POSITIONS_WAIT_MS = 20

/**
 * Stores sends and positions in batches, one transaction at a time. A batch is whatever queued up while the one before it
 * was being committed, so an idle writer waits for nothing and a busy one makes large batches. A busy one gives the store the
 * next batch before it tells the outcome of the last, so that database and service work side by side.
 *
 * Guarantees: every send settles exactly once, in order of arrival within a conversation · settled as stored only after the
 * commit · a batch keeps its limits · one bad row fails only itself · a send whose outcome is unknown is neither acked nor
 * refused until the store has told · no queue grows beyond its limits · `close` resolves after the last batch.
 *
 * States of a batch: queued → in transaction → committed, or aborted (retried, until too old), or unknown (resolved).
 */
export class MessageWriter {
  readonly #options: WriterOptions
  readonly #queue: SendQueue
  readonly #random: () => number
  readonly #positions = new PositionQueue()
  #inFlight: Batch | undefined
  /** Committed; told in the same turn of the event loop, once the next batch is on its way or there is none. */
  #committed: Batch | undefined
  #running: Promise<void> | undefined
  /** When it was told to take no more. */
  #closedAtMs: number | undefined
  /** Whether the last attempt to commit failed. */
  #failing = false
  #carefulBatches = 0
  #batchesDone = 0
  readonly #waiters = new Set<Waiter>()
  #cancelWait: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined

  constructor(options: WriterOptions) {
    this.#options = options
    this.#queue = new SendQueue(options.limits)
    this.#random = options.random ?? Math.random
  }

  get queuedRows(): number {
    return this.#queue.rows
  }
  /** Age of the oldest send that is not settled, in milliseconds. */
  get oldestAgeMs(): number {
    const oldest = this.#inFlight?.sends.find((send) => !isSettled(send)) ?? this.#queue.oldest
    return oldest ? this.#options.clock.now() - oldest.queuedAtMs : 0
  }

  /** Queues a send. Returns why it can not be taken: nothing was stored then, and `settled` is not called for it. */
  append(send: QueuedSend): ErrorCode | undefined {
    if (this.#closedAtMs !== undefined) return 'unavailable'
    if (!this.#failing && this.#isRefusedEarly()) return 'overloaded'
    if (!this.#queue.push(send)) return this.#failing ? 'unavailable' : 'overloaded'
    this.#start()
    this.#armExpiry()
    return undefined
  }

  /** Queues a position. Returns why it can not be taken. Only positions at or below the conversation's head may come here. */
  move(change: PositionChange): ErrorCode | undefined {
    if (this.#closedAtMs !== undefined) return 'unavailable'
    if (!this.#positions.add(change)) return 'overloaded'
    if (this.#running === undefined)
      this.#cancelWait ??= this.#options.clock.after(POSITIONS_WAIT_MS, () => this.#start())
    return undefined
  }

  /** Resolves once everything appended before is settled and every position moved before is stored, or the limit is over. */
  flushed(limitMs?: number): Promise<void> {
    const last = this.#queue.newest
    const isMoving = this.#positions.size > 0
    if (!last && !this.#inFlight && !isMoving) return Promise.resolve()
    // Positions go in the order in which they came, so this many batches take those that wait now.
    const moving = Math.ceil(this.#positions.size / this.#options.limits.maxBatchRows)
    const batchesDone = this.#batchesDone + (this.#inFlight ? 1 : 0) + moving
    if (isMoving) this.#start()
    return this.#waitFor({ last, batchesDone }, limitMs)
  }

  /** Who gives up is forgotten: during an outage many come, each after another send, and no batch may be done for long. */
  #waitFor(what: Omit<Waiter, 'resolve'>, limitMs: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      let cancel = (): void => undefined
      const end = (): void => {
        this.#waiters.delete(waiter)
        cancel()
        resolve()
      }
      const waiter = { ...what, resolve: end }
      this.#waiters.add(waiter)
      if (limitMs !== undefined) cancel = this.#options.clock.after(limitMs, end)
    })
  }

  /**
   * Takes no more, stores what is queued, and resolves; at the latest after `timeoutMs`, refusing what is still queued. What
   * is in flight then may yet be stored, and is not told. Positions that can not be stored are given up sooner.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#closedAtMs ??= this.#options.clock.now()
    this.#start()
    let cancel = (): void => undefined
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(timeoutMs, () => {
        this.#refuse(this.#queue.takeAll(), 'unavailable')
        resolve()
      })
    })
    await Promise.race([this.#idle(), timeout])
    cancel()
    this.#cancelExpiry?.()
  }

  async #idle(): Promise<void> {
    await this.flushed()
    await this.#running
  }

  /**
   * The fuller the queue, the more are refused before there is no room for any: those clients hold back, while others go on.
   * Were all refused at once, all would come back at once.
   */
  #isRefusedEarly(): boolean {
    const { crowding } = this.#queue
    return crowding > 0 && this.#random() < crowding
  }

  #start(): void {
    this.#cancelWait?.()
    this.#cancelWait = undefined
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      // Something may have been queued after the loop's last look.
      if (this.#hasWork()) this.#start()
    })
  }

  async #run(): Promise<void> {
    // Everything that arrives in this turn of the event loop shares the first transaction; no timer is involved.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#hasWork()) {
      const { maxBatchRows } = this.#options.limits
      const batch = { sends: this.#queue.take(), positions: this.#positions.take(maxBatchRows) }
      this.#inFlight = batch
      await this.#store(batch)
      this.#inFlight = undefined
      this.#batchesDone += 1
    }
    this.#tell()
  }

  #hasWork(): boolean {
    return this.#queue.rows > 0 || this.#positions.size > 0
  }

  /** Tries until every send of the batch is settled; `isUnknown`: an earlier attempt may have stored some of it. */
  async #store(batch: Batch, isUnknown = false): Promise<void> {
    let open = batch
    let unknown = isUnknown
    for (let attempt = 0; ; attempt += 1) {
      if (this.#failing && !unknown) open = this.#worthTrying(open)
      if (isEmpty(open)) return
      const path = unknown || this.#carefulBatches > 0 ? 'careful' : 'fast'
      const failure = await this.#attempt(open, path)
      if (failure === undefined) return
      if (failure === 'rejected') return this.#bisect(open, unknown)
      if (failure === 'duplicate') {
        this.#carefulBatches = CAREFUL_AFTER_DUPLICATE
        if (path === 'fast') continue
      }
      if (failure === 'unknown') {
        unknown = true
        for (const send of open.sends) send.wasUnknown = true
      }
      this.#failing = true
      if (!unknown) open = this.#worthTrying(open)
      if (isEmpty(open)) return
      await this.#pause(attempt, unknown ? undefined : open.sends[0])
    }
  }

  async #attempt(batch: Batch, path: CommitPath): Promise<string | undefined> {
    const { store, clock, observer, logger } = this.#options
    const startedMs = clock.now()
    try {
      const committing = store.commit(batch.sends, batch.positions, path)
      // The store is at work on this batch, so it does not wait while the one before is told.
      this.#tell()
      const positions = await committing
      if (path === 'careful') this.#carefulBatches = Math.max(0, this.#carefulBatches - 1)
      this.#failing = false
      this.#committed = { sends: batch.sends, positions }
    } catch (error) {
      const failure = error instanceof CommitError ? error.failure : 'aborted'
      observer.failed(failure)
      if (!(error instanceof CommitError)) logger.error({ err: error }, 'a commit failed in an unforeseen way')
      return failure
    }
    observer.committed(batch.sends.length, clock.now() - startedMs, path)
    return undefined
  }

  /**
   * Nothing was stored by this attempt. Halves the batch until the row that PostgreSQL refuses stands alone; order is kept.
   * That row is not stored by an earlier attempt of unknown outcome either: the careful path would have found it.
   */
  async #bisect({ sends, positions }: Batch, unknown: boolean): Promise<void> {
    if (sends.length <= 1) {
      this.#refuse(sends, 'invalid_text')
      if (positions.length > 0 && sends.length > 0) await this.#store({ sends: [], positions })
      return
    }
    const middle = sends.length >> 1
    await this.#store({ sends: sends.slice(0, middle), positions }, unknown)
    await this.#store({ sends: sends.slice(middle), positions: [] }, unknown)
  }

  /**
   * What can wait for another attempt. One with a send whose time is nearly over would be given up before it gets anywhere,
   * and with sends of every age in the batch so would the next one. Positions alone, told to nobody, are not worth a longer
   * shutdown: their people get again what they stand for.
   */
  #worthTrying({ sends, positions }: Batch): Batch {
    const { clock, limits } = this.#options
    const now = clock.now()
    const oldestAllowedMs = now - limits.maxQueueAgeMs * RETRIED_SHARE
    this.#refuse(
      sends.filter((send) => send.queuedAtMs <= oldestAllowedMs),
      'unavailable',
    )
    const young = sends.filter((send) => send.queuedAtMs > oldestAllowedMs)
    const isClosedForLong = this.#closedAtMs !== undefined && now - this.#closedAtMs >= limits.maxQueueAgeMs
    return { sends: young, positions: young.length === 0 && isClosedForLong ? [] : positions }
  }

  /** Ends early when the oldest of those that may be refused has to be. */
  #pause(attempt: number, oldest: QueuedSend | undefined): Promise<void> {
    const { clock, limits } = this.#options
    const leftMs = oldest ? oldest.queuedAtMs + limits.maxQueueAgeMs - clock.now() : Number.POSITIVE_INFINITY
    const pauseMs = Math.min(Math.max(1, backoffMs(attempt, RETRY)), Math.max(MIN_EXPIRY_MS, leftMs))
    return sleep(clock, pauseMs)
  }

  /** While something waits there is a timer for the moment in which the oldest will have waited too long. */
  #armExpiry(): void {
    const oldest = this.#oldestRefusable() ?? this.#queue.oldest
    if (this.#cancelExpiry || !oldest) return
    const { clock, limits } = this.#options
    const delayMs = Math.max(MIN_EXPIRY_MS, oldest.queuedAtMs + limits.maxQueueAgeMs - clock.now())
    this.#cancelExpiry = clock.after(delayMs, () => {
      this.#cancelExpiry = undefined
      this.#expire(clock.now() - limits.maxQueueAgeMs)
      this.#armExpiry()
    })
  }

  /** In flight, and to be refused once the attempt is given up: not what is refused already, or may be stored. */
  #oldestRefusable(): QueuedSend | undefined {
    return this.#inFlight?.sends.find((send) => !isSettled(send) && !send.wasUnknown)
  }

  #expire(queuedBeforeMs: number): void {
    const oldestInFlightMs = this.#oldestRefusable()?.queuedAtMs
    const isStuck = oldestInFlightMs !== undefined && oldestInFlightMs <= queuedBeforeMs
    // What is in a transaction can not be refused; the transaction can be given up while its COMMIT was not sent.
    if (isStuck) this.#options.store.cancelCommit()
    this.#refuse(this.#queue.takeOlderThan(queuedBeforeMs), this.#failing || isStuck ? 'unavailable' : 'overloaded')
  }

  #refuse(sends: readonly QueuedSend[], code: ErrorCode): void {
    if (sends.length === 0) return
    for (const send of sends) send.refusal = code
    this.#settle(sends, [])
    this.#wake()
  }

  /** Settles what was committed last, unless that was done, and wakes who waited for it. */
  #tell(): void {
    const committed = this.#committed
    this.#committed = undefined
    if (committed) this.#settle(committed.sends, committed.positions)
    this.#wake()
  }

  /** What listeners do with an outcome must not stop the writer. */
  #settle(sends: readonly QueuedSend[], positions: readonly PositionChange[]): void {
    try {
      this.#options.settled(sends, positions)
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

function isEmpty({ sends, positions }: Batch): boolean {
  return sends.length === 0 && positions.length === 0
}
