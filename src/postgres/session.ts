import pg from 'pg'
import type { Logger } from '../lib/logger.ts'
import { CopyTransaction, type CopyTransactionSteps } from './copy-transaction.ts'
import type { Statement, TextRows } from './statement.ts'

export interface SessionOptions {
  readonly config: pg.ClientConfig
  readonly logger: Logger
  /** How long connecting, or a step after which nothing is committed yet, may take; milliseconds. */
  readonly stepDeadlineMs: number
  /** How long a transaction may take whose COMMIT is on its way; milliseconds. */
  readonly commitDeadlineMs: number
}

/**
 * One dedicated connection for work that must never wait for a pool: connects when it is first needed, and again after it
 * was lost or discarded. Whatever takes longer than its deadline loses the connection. Not for concurrent use.
 */
export class Session {
  readonly #options: SessionOptions
  #client: pg.Client | undefined
  #isConnected = false
  #connecting: Promise<pg.Client> | undefined
  #stopWaiting: ((reason: Error) => void) | undefined
  #transaction: CopyTransaction | undefined
  #isClosed = false
  #whenLost = (): void => undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** Called in the same turn in which a connection is lost or given up: what was read over it may no longer be so. */
  whenLost(listener: () => void): void {
    this.#whenLost = listener
  }

  /** Runs one prepared statement with text parameters. */
  async query(statement: Statement, values: readonly string[] = []): Promise<TextRows> {
    const client = await this.#connected()
    const { name, text } = statement
    const result = await this.#bounded(
      client.query<(string | null)[]>({ name, text, values: [...values], rowMode: 'array', types: asText }),
    )
    return result.rows
  }

  async command(text: string): Promise<void> {
    const client = await this.#connected()
    await this.#bounded(client.query(text))
  }

  async copyTransaction(steps: CopyTransactionSteps): Promise<void> {
    // Not awaited when it is there: the first step is then on its way when this returns.
    const client = this.#ready ?? (await this.#connected())
    const transaction = new CopyTransaction(steps)
    this.#transaction = transaction
    const { stepDeadlineMs, commitDeadlineMs } = this.#options
    const timers = [setTimeout(() => this.cancel(), stepDeadlineMs), setTimeout(() => this.#drop(), commitDeadlineMs)]
    try {
      await client.query(transaction).done
    } finally {
      this.#transaction = undefined
      for (const timer of timers) clearTimeout(timer)
    }
  }

  /**
   * Gives up what is under way, unless a COMMIT is on its way: that one is waited for. A connection that is being made stays
   * for whoever needs it next: given up again and again, it would never be there when the server is far away.
   */
  cancel(): void {
    if (this.#stopWaiting) this.#stopWaiting(new Error('given up while connecting'))
    else if (!this.#transaction?.isCommitSent) this.#drop()
  }

  /** Drops the connection at once, whatever it is doing; the server rolls back what was not committed. */
  discard(): void {
    // One that is being made has done nothing yet, and has a deadline of its own.
    if (!this.#connecting) this.#drop()
  }

  #drop(): void {
    const client = this.#client
    this.#client = undefined
    this.#isConnected = false
    this.#whenLost()
    client?.connection.stream.destroy()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#client
    this.#client = undefined
    await client?.end()
  }

  get #ready(): pg.Client | undefined {
    return this.#isConnected && !this.#isClosed ? this.#client : undefined
  }

  async #connected(): Promise<pg.Client> {
    if (this.#isClosed) throw new Error('the session is closed')
    if (this.#ready) return this.#ready
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    const givenUp = new Promise<never>((_resolve, reject) => {
      this.#stopWaiting = reject
    })
    try {
      return await Promise.race([this.#connecting, givenUp])
    } finally {
      this.#stopWaiting = undefined
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#options.config)
    this.#client = client
    // Without a listener a lost connection is an uncaught exception; two events may come for one loss.
    client.on('error', (error) => this.#lost(client, error))
    client.on('end', () => this.#lost(client))
    await this.#bounded(client.connect())
    if (this.#client !== client) throw new Error('the connection was discarded')
    this.#isConnected = true
    return client
  }

  #lost(client: pg.Client, error?: unknown): void {
    if (this.#client !== client) return
    if (this.#isConnected) this.#options.logger.warn({ err: error }, 'lost a database connection')
    // An error that nothing asked for need not end it, and whoever still waits on it can end it no more when it is forgotten.
    this.#drop()
  }

  async #bounded<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#drop(), this.#options.stepDeadlineMs)
    try {
      return await work
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Columns arrive as the text the server sent. */
const asText: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value }
