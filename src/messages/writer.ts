import { type Clock, sleep } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import { type Batch, halvesOf, partedBy, sizeOf } from './batch.ts'
import { DuplicateWatch } from './duplicate-watch.ts'
import { PositionQueue } from './position-queue.ts'
import { expiryDelayMs, isWorthTrying, retryDelayMs } from './send-age.ts'
import { isSettled, type QueuedSend, SendQueue } from './send-queue.ts'
import { type SettledListener, Settling } from './settling.ts'
import { CommitError, type CommitFailure, type CommitPath, type MessageLog, type PositionChange } from './store.ts'

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
  readonly log: MessageLog
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: WriterLimits
  readonly observer: WriterObserver
  readonly outcomes: SettledListener
  /** From 0 to below 1, each time another: decides which send is refused early. Math.random if none. */
  readonly random?: () => number
}

/** How often a batch is halved in search of what is refused; if that much is, it is not worth the time of the others. */
const MAX_SPLITS = 64
/** Positions without messages wait so long for company; no client waits for their answer. */
const POSITIONS_WAIT_MS = 20

/**
 * Stores sends and positions in batches, one transaction at a time. A batch is whatever queued up while the one before it
 * was being committed, so an idle writer waits for nothing and a busy one makes large batches. A busy one gives the store the
 * next batch before it tells the outcome of the last, so that database and service work side by side.
 *
 * Guarantees: every send settles exactly once, in order of arrival within a conversation · settled as stored only after the
 * commit · a batch keeps its limits · one bad row, and one conversation that the store refuses, fail only themselves · a send
 * whose outcome is unknown is neither acked nor refused until the store has told · no queue grows beyond its limits · `close`
 * resolves after the last batch.
 *
 * States of a batch: queued → in transaction → committed, or aborted (retried, until too old), or refused (its rest is tried
 * again), or unknown (resolved).
 */
export class MessageWriter {
  readonly #options: WriterOptions
  readonly #queue: SendQueue
  readonly #random: () => number
  readonly #positions = new PositionQueue()
  readonly #duplicates = new DuplicateWatch()
  readonly #settling: Settling
  #inFlight: Batch | undefined
  #running: Promise<void> | undefined
  /** When it was told to take no more. */
  #closedAtMs: number | undefined
  /** Whether the last attempt to commit failed. */
  #failing = false
  #cancelWait: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined

  constructor(options: WriterOptions) {
    this.#options = options
    this.#queue = new SendQueue(options.limits)
    this.#settling = new Settling(options)
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

  /** Queues a send. Returns why it cannot be taken: nothing was stored then, and `settled` is not called for it. */
  append(send: QueuedSend): ErrorCode | undefined {
    if (this.#closedAtMs !== undefined) return 'unavailable'
    if (!this.#failing && this.#isRefusedEarly()) return 'overloaded'
    if (!this.#queue.push(send)) return this.#failing ? 'unavailable' : 'overloaded'
    this.#start()
    this.#armExpiry()
    return undefined
  }

  /** Queues a position. Returns why it cannot be taken. Only positions at or below the conversation's head may come here. */
  advance(change: PositionChange): ErrorCode | undefined {
    if (this.#closedAtMs !== undefined) return 'unavailable'
    if (!this.#positions.add(change)) return 'overloaded'
    if (this.#running === undefined)
      this.#cancelWait ??= this.#options.clock.after(POSITIONS_WAIT_MS, () => this.#start())
    return undefined
  }

  /** Resolves once everything appended before is settled and every position moved before is stored, or the limit is over. */
  allSettled(limitMs?: number): Promise<void> {
    const last = this.#queue.newest
    const isMoving = this.#positions.size > 0
    if (!last && !this.#inFlight && !isMoving) return Promise.resolve()
    // Positions go in the order in which they came, so this many batches take those that wait now.
    const moving = Math.ceil(this.#positions.size / this.#options.limits.maxBatchRows)
    if (isMoving) this.#start()
    return this.#settling.settled(last, (this.#inFlight ? 1 : 0) + moving, limitMs)
  }

  /**
   * Takes no more, stores what is queued, and resolves; at the latest after `timeoutMs`, refusing what is still queued. What
   * is in flight then may yet be stored, and is not told. Positions that cannot be stored are given up sooner.
   */
  async close(timeoutMs: number): Promise<void> {
    this.#closedAtMs ??= this.#options.clock.now()
    this.#start()
    let cancel = (): void => undefined
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#options.clock.after(timeoutMs, () => {
        this.#settling.refuse(this.#queue.takeAll(), 'unavailable')
        resolve()
      })
    })
    await Promise.race([this.#idle(), timeout])
    cancel()
    this.#cancelExpiry?.()
  }

  async #idle(): Promise<void> {
    await this.allSettled()
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
      this.#settling.batchDone()
    }
    this.#settling.tell()
  }

  #hasWork(): boolean {
    return this.#queue.rows > 0 || this.#positions.size > 0
  }

  /** Tries until every send of the batch is settled; `isUnknown`: an earlier attempt may have stored some of it. */
  async #store(batch: Batch, isUnknown = false, splits = { left: MAX_SPLITS }): Promise<void> {
    let open = batch
    let unknown = isUnknown
    for (let attempt = 0; ; attempt += 1) {
      if (this.#failing && !unknown) open = this.#worthTrying(open)
      if (sizeOf(open) === 0) return
      const path = unknown ? 'careful' : this.#duplicates.pathFor(open.sends)
      const error = await this.#attempt(open, path)
      if (error === undefined) return
      if (this.#duplicates.failed(error, path, open.sends)) continue
      if (isAboutRows(error)) {
        const [refused, rest] = partedBy(error.conversations, open)
        // Of a conversation whose numbers are taken some may have been stored by the attempt whose outcome is unknown.
        const isSure = sizeOf(refused) > 0 && !(unknown && error.failure === 'duplicate')
        if (!isSure) return this.#bisect(open, error.failure, unknown, splits)
        this.#settling.refuse(refused.sends, error.failure === 'unknown_person' ? 'not_found' : 'unavailable')
        open = rest
        continue
      }
      this.#failing = true
      if (error.failure === 'unknown') {
        unknown = true
        for (const send of open.sends) send.wasUnknown = true
      }
      if (error.failure === 'denied' && !unknown) return this.#settling.refuse(open.sends, 'unavailable')
      if (!unknown) open = this.#worthTrying(open)
      if (sizeOf(open) === 0) return
      await this.#pause(attempt, unknown ? undefined : open.sends[0])
    }
  }

  async #attempt(batch: Batch, path: CommitPath): Promise<CommitError | undefined> {
    const { log, clock, observer, logger } = this.#options
    const startedMs = clock.now()
    try {
      const committing = log.commit(batch.sends, batch.positions, path)
      // The store is at work on this batch, so it does not wait while the one before is told.
      this.#settling.tell()
      const positions = await committing
      this.#duplicates.committed(batch.sends, path)
      this.#failing = false
      this.#settling.committed({ sends: batch.sends, positions })
    } catch (error) {
      if (!(error instanceof CommitError)) logger.error({ err: error }, 'a commit failed in an unforeseen way')
      const failure = error instanceof CommitError ? error : new CommitError('aborted', error)
      observer.failed(failure.failure)
      return failure
    }
    observer.committed(batch.sends.length, clock.now() - startedMs, path)
    return undefined
  }

  /**
   * Nothing was stored by this attempt. Halves the batch until what PostgreSQL refuses stands alone; order is kept. That row is
   * not stored by an earlier attempt of unknown outcome either: the careful path would have found it.
   */
  async #bisect(batch: Batch, failure: CommitFailure, unknown: boolean, splits: { left: number }): Promise<void> {
    const isAlone = sizeOf(batch) === 1
    if (isAlone || (splits.left <= 0 && !unknown)) {
      const isBadText = isAlone && failure === 'rejected'
      return this.#settling.refuse(batch.sends, isBadText ? 'invalid_text' : 'unavailable')
    }
    splits.left -= 1
    for (const half of halvesOf(batch)) await this.#store(half, unknown, splits)
  }

  /**
   * What can wait for another attempt; older sends are refused. Positions alone are told to no client and are not worth a longer
   * shutdown: their people get again what they stand for.
   */
  #worthTrying({ sends, positions }: Batch): Batch {
    const { maxQueueAgeMs } = this.#options.limits
    const now = this.#options.clock.now()
    const young = sends.filter((send) => isWorthTrying(send, now, maxQueueAgeMs))
    const old = sends.filter((send) => !isWorthTrying(send, now, maxQueueAgeMs))
    this.#settling.refuse(old, 'unavailable')
    const isClosedForLong = this.#closedAtMs !== undefined && now - this.#closedAtMs >= maxQueueAgeMs
    return { sends: young, positions: young.length === 0 && isClosedForLong ? [] : positions }
  }

  /** Ends early when the oldest of those that may be refused has to be. */
  #pause(attempt: number, oldest: QueuedSend | undefined): Promise<void> {
    const { clock, limits } = this.#options
    const longestMs = oldest ? expiryDelayMs(oldest, clock.now(), limits.maxQueueAgeMs) : Number.POSITIVE_INFINITY
    return sleep(clock, Math.min(retryDelayMs(attempt), longestMs))
  }

  /** While something waits there is a timer for the moment in which the oldest will have waited too long. */
  #armExpiry(): void {
    const oldest = this.#oldestRefusable() ?? this.#queue.oldest
    if (this.#cancelExpiry || !oldest) return
    const { clock, limits } = this.#options
    this.#cancelExpiry = clock.after(expiryDelayMs(oldest, clock.now(), limits.maxQueueAgeMs), () => {
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
    // What is in a transaction cannot be refused; the transaction can be given up while its COMMIT was not sent.
    if (isStuck) this.#options.log.cancelCommit()
    const code = this.#failing || isStuck ? 'unavailable' : 'overloaded'
    this.#settling.refuse(this.#queue.takeOlderThan(queuedBeforeMs), code)
  }
}

/** Another attempt with the same rows would fail again. On the careful path a duplicate is none of an id. */
function isAboutRows({ failure }: CommitError): boolean {
  return failure === 'rejected' || failure === 'refused' || failure === 'unknown_person' || failure === 'duplicate'
}
