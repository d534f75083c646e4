import type pg from 'pg'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { POOL_PART, type Pool } from './pool.ts'
import { type Queryable, queryableOf } from './queries.ts'
import { type Read, ReadBatch } from './read-batch.ts'
import { RenewablePool } from './renewable-pool.ts'
import type { Statement, TextRows } from './statement.ts'

export interface ReaderOptions {
  readonly pool: Pool
  /** Told why no connection can be had. */
  readonly health: DependencyLog
  /** Batches at once at most, each on a connection of its own. */
  readonly maxBatches: number
  /** How long a read may wait for a connection; milliseconds. */
  readonly waitLimitMs: number
  /** How long the server may take for a batch before its connection is given up; milliseconds. */
  readonly answerLimitMs: number
}

/** A slow read holds up its whole batch, so a batch is kept short; most of the gain is in the first few. */
const MAX_BATCH_READS = 16
/** Reads that may wait: more than are answered within the time that one may wait, so a further one is refused at once. */
const MAX_WAITING_READS = 10_000

interface WaitingRead extends Read {
  readonly queuedAtMs: number
}

/**
 * Reads in batches: those that are asked for in one turn of the event loop travel together, so a busy service pays a system
 * call and a wake-up of PostgreSQL for several of them, and an idle one waits for nothing.
 */
export class Reader {
  readonly #options: ReaderOptions
  #waiting: WaitingRead[] = []
  #batches = 0
  #isScheduled = false
  readonly #pool: RenewablePool
  readonly #sessionChecks: ((session: Queryable) => Promise<void>)[] = []
  #expiry: NodeJS.Timeout | undefined

  constructor(options: ReaderOptions) {
    this.#options = options
    this.#pool = new RenewablePool(options.pool, (client) => this.#check(client))
  }

  /**
   * Rows as text. Sees everything committed before the call. Rejects when the server refuses, hangs or is away, and at once
   * when too many reads wait already.
   */
  query(statement: Statement, values: readonly (string | number)[]): Promise<TextRows> {
    if (this.#waiting.length >= MAX_WAITING_READS)
      return Promise.reject(new Error('too many reads wait for the database'))
    return new Promise((resolve, reject) => {
      this.#waiting.push({ statement, values: values.map(String), resolve, reject, queuedAtMs: performance.now() })
      if (this.#isScheduled) return
      this.#isScheduled = true
      // After the sockets of this turn: all that they ask for comes along.
      setImmediate(() => {
        this.#isScheduled = false
        this.#start()
      })
    })
  }

  /** Called with every session before it is read from. One that a check rejects is closed, and whoever would read from it hears why. */
  checkSessions(check: (session: Queryable) => Promise<void>): void {
    this.#sessionChecks.push(check)
  }

  /**
   * Connections made so far are not used for another batch. Some settings of a session are those of the moment in which it
   * began; that one does not suit must not decide for ever.
   */
  renew(): void {
    this.#pool.renew()
  }

  #start(): void {
    while (this.#waiting.length > 0 && this.#batches < this.#options.maxBatches) {
      this.#batches += 1
      void this.#run(this.#waiting.splice(0, MAX_BATCH_READS))
    }
    if (this.#waiting.length > 0) this.#armExpiry()
  }

  async #run(reads: readonly WaitingRead[]): Promise<void> {
    try {
      const client = await this.#connect()
      this.#waiting.unshift(...(await this.#answer(client, reads)))
    } catch (error) {
      // No connection; or it was lost, and then every read knows already.
      for (const read of reads) read.reject(error)
    } finally {
      this.#batches -= 1
      this.#start()
    }
  }

  async #connect(): Promise<pg.PoolClient> {
    const { health } = this.#options
    try {
      const client = await this.#pool.connect()
      health.works(POOL_PART)
      return client
    } catch (error) {
      health.failed(POOL_PART, error)
      throw error
    }
  }

  async #check(client: pg.PoolClient): Promise<void> {
    const giveUp = setTimeout(() => client.connection.stream.destroy(), this.#options.answerLimitMs)
    try {
      for (const check of this.#sessionChecks) await check(queryableOf(client))
    } finally {
      clearTimeout(giveUp)
    }
  }

  /** Resolves with the reads that were skipped. */
  async #answer(client: pg.PoolClient, reads: readonly WaitingRead[]): Promise<WaitingRead[]> {
    const giveUp = setTimeout(() => client.connection.stream.destroy(), this.#options.answerLimitMs)
    const batch = new ReadBatch(reads)
    try {
      const skipped = await client.query(batch).done
      return reads.filter((read) => skipped.includes(read))
    } finally {
      clearTimeout(giveUp)
      client.release(batch.hasFailed)
    }
  }

  /** While something waits there is a timer for the moment in which the first will have waited too long. */
  #armExpiry(): void {
    const first = this.#waiting[0]
    if (this.#expiry || !first) return
    const leftMs = first.queuedAtMs + this.#options.waitLimitMs - performance.now()
    this.#expiry = setTimeout(
      () => {
        this.#expiry = undefined
        this.#expire(performance.now() - this.#options.waitLimitMs)
        this.#armExpiry()
      },
      Math.max(1, leftMs),
    )
  }

  #expire(queuedBeforeMs: number): void {
    const young = this.#waiting.findIndex((read) => read.queuedAtMs > queuedBeforeMs)
    const tooOld = this.#waiting.splice(0, young < 0 ? this.#waiting.length : young)
    for (const read of tooOld) read.reject(new Error('timeout: no database connection became free'))
  }
}
