import type pg from 'pg'
import { CopyTransaction, type CopyTransactionSteps } from './copy-transaction.ts'
import { endClient } from './pool.ts'
import type { Statement, TextRows } from './statement.ts'

export interface WriterSessionOptions {
  /** How long connecting, establishing, or a step after which nothing is committed yet, may take; milliseconds. */
  readonly stepDeadlineMs: number
  /** How long a transaction may take whose COMMIT is on its way; milliseconds. */
  readonly commitDeadlineMs: number
  /** Called when a deadline has passed: the session is to be given up. */
  readonly overdue: () => void
}

/**
 * One session of the writer's connection. Once it is lost every step fails, so that no transaction goes on in another session:
 * neither its BEGIN nor its locks are there, and what was read here may not hold there. Not for concurrent use.
 */
export class WriterSession {
  readonly #client: pg.Client
  readonly #options: WriterSessionOptions
  #transaction: CopyTransaction | undefined
  #isLost = false

  constructor(client: pg.Client, options: WriterSessionOptions) {
    this.#client = client
    this.#options = options
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** Whether only the server knows how the transaction under way ends. */
  get isCommitSent(): boolean {
    return this.#transaction?.isCommitSent ?? false
  }

  /** Runs one prepared statement with text parameters. */
  async query({ name, text }: Statement, values: readonly string[] = []): Promise<TextRows> {
    const asked = { name, text, values: [...values], rowMode: 'array' as const, types: asText }
    const result = await this.#step(() => this.#client.query<(string | null)[]>(asked))
    return result.rows
  }

  async command(text: string): Promise<void> {
    await this.#step(() => this.#client.query(text))
  }

  async copyTransaction(steps: CopyTransactionSteps): Promise<void> {
    this.#assertNotLost()
    const transaction = new CopyTransaction(steps, (again) => this.#client.query(again))
    this.#transaction = transaction
    const { stepDeadlineMs, commitDeadlineMs, overdue } = this.#options
    const beforeCommit = setTimeout(() => transaction.isCommitSent || overdue(), stepDeadlineMs)
    const timers = [beforeCommit, setTimeout(overdue, commitDeadlineMs)]
    try {
      await this.#client.query(transaction).done
    } finally {
      this.#transaction = undefined
      for (const timer of timers) clearTimeout(timer)
    }
  }

  /** Waits for this part of making the session, no longer than for a step. */
  async bounded<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(this.#options.overdue, this.#options.stepDeadlineMs)
    try {
      return await work
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends it at once, also in the middle of a step; the server rolls back what was not committed. */
  lose(): void {
    this.#isLost = true
    this.#client.connection.stream.destroy()
  }

  end(): Promise<void> {
    return endClient(this.#client, this.#options.stepDeadlineMs)
  }

  async #step<T>(ask: () => Promise<T>): Promise<T> {
    this.#assertNotLost()
    const answer = await this.bounded(ask())
    // The loss may have come right behind the answer. Whoever remembers by session has forgotten by now, and must not learn this.
    this.#assertNotLost()
    return answer
  }

  #assertNotLost(): void {
    if (this.#isLost) throw new Error('the session was lost')
  }
}

/** Columns arrive as the text the server sent. */
const asText: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value }
