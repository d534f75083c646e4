import { backoffMs } from '../lib/backoff.ts'
import { type Clock, sleep } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { Logger } from '../lib/logger.ts'
import type { EpochRecord, EpochStore } from './epoch-store.ts'
import type { KnownHeads } from './known-heads.ts'
import type { KnownPositions } from './known-positions.ts'
import type { MessageReads } from './store.ts'

export interface EpochOptions {
  readonly store: EpochStore
  /** The store is asked over another session from now on. */
  renewSession(): void
  readonly reads: Pick<MessageReads, 'lastSeqs'>
  readonly heads: KnownHeads
  readonly positions: KnownPositions
  readonly clock: Clock
  readonly logger: Logger
  readonly health: DependencyLog
}

/** Another instance may have renewed it. */
const LOOK_INTERVAL_MS = 1_000
const RETRY = { firstMs: 50, maxMs: 1_000 }
/** Heads of the server before that are compared with the one after it; the rest are when they are next written or read. */
const COMPARED_HEADS = 2_000
const HEADS_PER_QUERY = 500

const WENT_BACK = 'a conversation holds fewer messages than were acknowledged: the database was set back'

/**
 * The line of history that all numbers belong to. While it stays the same, what this service has told of a conversation is
 * still true; when it changes, everybody has to look again. It is kept in the database, where a restore would bring an old one
 * back, so three things tell that it has ended: the database is in another place than its record says · its record is older
 * than one that was read before · a conversation is shorter than it was known to be.
 *
 * Memory about the database lives no longer than the line it belongs to: it is doubted when the writer's connection is lost, or
 * the one over which it is looked here, as the writer has none while nobody writes; and it is dropped with the epoch.
 */
export class Epoch {
  readonly #options: EpochOptions
  #record: EpochRecord | undefined
  /** Over which the last look went, also one that failed behind its first statement: each loss is doubted once. */
  #session: string | undefined
  /** Why the line ended, found here and not yet written down. */
  #lostBecause: string | undefined
  #isAskedAgain = false
  #looking: Promise<void> | undefined
  #cancelLook: (() => void) | undefined
  #isStopped = false
  readonly #listeners: (() => void)[] = []

  constructor(options: EpochOptions) {
    this.#options = options
    options.heads.listen({
      behind: () => {
        this.#lostBecause ??= WENT_BACK
        void this.look()
      },
      suspected: () => void this.look(),
    })
  }

  /** Opaque; equal to what another instance says while both speak of the same line. */
  get current(): string {
    return this.#record?.epoch ?? ''
  }

  /** Called after every change, when nothing of the line before is remembered any more. Not for the first one. */
  whenRenewed(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Reads the epoch, or renews it, and keeps looking. Rejects when the database is away. */
  async start(): Promise<void> {
    await this.#lookOnce()
    this.#armLook()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelLook?.()
    await this.#looking
  }

  /** What answers next may be another server than before, or the same with other data. */
  serverLost(): void {
    this.#doubt()
    void this.look()
  }

  #doubt(): void {
    this.#options.positions.forget()
    this.#options.heads.doubt()
  }

  /**
   * Before a new session commits anything: `store` is what that session sees. The sockets of the line before are to be closed
   * before anybody is told a number of the next one, or a client could take it for the next number of the line before. Rejects
   * when this cannot be said of the session.
   */
  async confirm(store: Pick<EpochStore, 'read'>): Promise<void> {
    // The start looks by itself.
    if (this.#record === undefined) return
    if (this.#lostBecause === undefined && this.#isPresent(await store.read())) return
    await this.look()
    if (!this.#isPresent(await store.read())) throw this.#ofAnotherEpoch()
  }

  /**
   * Before a session is read from: what it says is told to sockets of the epoch that is known. It waits for no look, as that reads too.
   * Rejects where the session is of another one, or perhaps of the next.
   */
  async recognize(store: Pick<EpochStore, 'read'>): Promise<void> {
    if (this.#record === undefined || this.#isPresent(await store.read())) return
    const error = this.#ofAnotherEpoch()
    void this.look()
    throw error
  }

  /**
   * What a session is rejected with. The looks go over a new one then: the server of before may live on, and with it theirs, over which
   * they would be told of no other for as long.
   */
  #ofAnotherEpoch(): Error {
    this.#options.renewSession()
    return new Error('the session is of another epoch')
  }

  #isPresent({ epoch, movedBecause }: EpochRecord): boolean {
    return movedBecause === undefined && epoch === this.current
  }

  /** For an operator who knows that messages are gone. Resolves when the new epoch is written down. */
  async renew(because: string): Promise<void> {
    this.#lostBecause ??= because
    await this.look()
  }

  /** Looks until the database has answered; resolves then, or when this is stopped. A look under way is followed by another. */
  look(): Promise<void> {
    this.#isAskedAgain = true
    this.#looking ??= this.#lookUntilAnswered().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  #armLook(): void {
    this.#cancelLook = this.#options.clock.after(LOOK_INTERVAL_MS, () => {
      void this.look().then(() => {
        if (!this.#isStopped) this.#armLook()
      })
    })
  }

  async #lookUntilAnswered(): Promise<void> {
    const { clock, health } = this.#options
    for (let attempt = 0; this.#isAskedAgain && !this.#isStopped; attempt += 1) {
      this.#isAskedAgain = false
      try {
        await this.#lookOnce()
        health.works('the epoch')
      } catch (error) {
        this.#isAskedAgain = true
        health.failed('the epoch', error)
        await sleep(clock, backoffMs(attempt, RETRY) + 1)
      }
    }
  }

  async #lookOnce(): Promise<void> {
    const { store } = this.#options
    const known = this.#record
    let record = await store.read()
    if (this.#session !== undefined && record.session !== this.#session) this.#doubt()
    this.#session = record.session
    if (record.movedBecause === undefined && (known === undefined || record.epoch === known.epoch)) {
      // Heads that are known belong to the epoch that is known: one that others have renewed says nothing about them, nor does a
      // place that has moved, of which nothing is read before the next epoch.
      await this.#compareHeads()
    }
    const because = this.#whyEnded(record, known)
    if (because !== undefined) record = await store.renew(record, because)
    this.#lostBecause = undefined
    this.#record = record
    if (known !== undefined && known.epoch !== record.epoch) this.#changed(because ?? 'another instance renewed it')
    else if (because !== undefined) this.#options.logger.warn({ because }, 'a new epoch begins')
  }

  #whyEnded(record: EpochRecord, known: EpochRecord | undefined): string | undefined {
    if (record.movedBecause !== undefined) return record.movedBecause
    if (known === undefined) return this.#lostBecause
    if (record.renewedAt < known.renewedAt)
      return 'an epoch from before the present one is back: the database was set back'
    // What was found here was found about the epoch that is known.
    return record.epoch === known.epoch ? this.#lostBecause : undefined
  }

  /** Of the server before: what it had is compared with what the present one has. */
  async #compareHeads(): Promise<void> {
    const { heads, reads } = this.#options
    const doubted = heads.doubted(COMPARED_HEADS)
    for (let at = 0; at < doubted.length; at += HEADS_PER_QUERY) {
      const some = doubted.slice(at, at + HEADS_PER_QUERY)
      const found = await reads.lastSeqs(some.map(({ conversation }) => conversation))
      for (const [index, head] of some.entries()) heads.compared(head, found[index] ?? 0)
    }
  }

  #changed(because: string): void {
    const { heads, positions, logger } = this.#options
    heads.forget()
    positions.forget()
    logger.warn({ because }, 'a new epoch begins: every client is asked to look again')
    for (const listener of this.#listeners) {
      try {
        listener()
      } catch (error) {
        logger.error({ err: error }, 'a listener of the epoch failed')
      }
    }
  }
}
