import pg from 'pg'
import type { Logger } from '../lib/logger.ts'
import { CopyTransaction, type CopyTransactionSteps, type Statement } from './copy-transaction.ts'

/** Rows as PostgreSQL sent them: text, or null. */
export type TextRows = readonly (readonly (string | null)[])[]

export interface SessionOptions {
  readonly config: pg.ClientConfig
  readonly logger: Logger
  /** A step that takes longer destroys the connection; milliseconds. */
  readonly deadlineMs: number
}

/**
 * One dedicated connection for work that must never wait for a pool: connects when it is first needed, and again after it
 * was lost or discarded. Not for concurrent use.
 */
export class Session {
  readonly #options: SessionOptions
  #client: pg.Client | undefined
  #closed = false

  constructor(options: SessionOptions) {
    this.#options = options
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
    const client = await this.#connected()
    await this.#bounded(client.query(new CopyTransaction(steps)).done)
  }

  /** Drops the connection at once, whatever it is doing; the server rolls back what was not committed. */
  discard(): void {
    const client = this.#client
    this.#client = undefined
    if (client) void client.end().catch((error: unknown) => this.#lost(client, error))
  }

  async close(): Promise<void> {
    this.#closed = true
    const client = this.#client
    this.#client = undefined
    await client?.end()
  }

  async #connected(): Promise<pg.Client> {
    if (this.#closed) throw new Error('the session is closed')
    if (this.#client) return this.#client
    const client = new pg.Client(this.#options.config)
    // Without a listener a lost connection is an uncaught exception; two events may come for one loss.
    client.on('error', (error) => this.#lost(client, error))
    client.on('end', () => this.#lost(client))
    await client.connect()
    this.#client = client
    return client
  }

  #lost(client: pg.Client, error?: unknown): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#options.logger.warn({ err: error }, 'lost a database connection')
  }

  async #bounded<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.discard(), this.#options.deadlineMs)
    try {
      return await work
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Columns arrive as the text the server sent. */
const asText: pg.CustomTypesConfig = { getTypeParser: () => (value: string) => value }
