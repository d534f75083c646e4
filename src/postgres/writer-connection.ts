import pg from 'pg'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { CopyTransaction, type CopyTransactionSteps } from './copy-transaction.ts'
import { endClient } from './pool.ts'
import { type Queryable, queryableOf } from './queries.ts'
import type { Statement, TextRows } from './statement.ts'

export interface WriterConnectionOptions {
  readonly config: pg.ClientConfig
  /** Told of a lost connection. */
  readonly health: DependencyLog
  /** Makes a new session what it must be. One that this rejects is dropped, and the step that needs it fails with that reason. */
  readonly establish?: (client: pg.ClientBase) => Promise<unknown>
  /** How long connecting, establishing, or a step after which nothing is committed yet, may take; milliseconds. */
  readonly stepDeadlineMs: number
  /** How long a transaction may take whose COMMIT is on its way; milliseconds. */
  readonly commitDeadlineMs: number
}

/** Names this connection in what is told about PostgreSQL. */
const PART = 'writer'

/**
 * One dedicated connection for work that must never wait for a pool: connects when it is first needed, and again after it
 * was lost or discarded. A step that takes longer than its deadline loses the connection. Not for concurrent use.
 */
export class WriterConnection {
  readonly #options: WriterConnectionOptions
  #client: pg.Client | undefined
  #isConnected = false
  #connecting: Promise<pg.Client> | undefined
  #stopWaiting: ((reason: Error) => void) | undefined
  #transaction: CopyTransaction | undefined
  #isClosed = false
  readonly #lostListeners: (() => void)[] = []
  readonly #sessionChecks: ((session: Queryable) => Promise<void>)[] = []

  constructor(options: WriterConnectionOptions) {
    this.#options = options
  }

  /** Called in the same turn in which a connection is lost or given up: what was read over it may no longer be so. */
  whenLost(listener: () => void): void {
    this.#lostListeners.push(listener)
  }

  /** Called with every session before it is used. One that a check rejects is dropped, and whoever needs it hears why. */
  checkSessions(check: (session: Queryable) => Promise<void>): void {
    this.#sessionChecks.push(check)
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
    const transaction = new CopyTransaction(steps, (again) => client.query(again))
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

  /** Drops the connection at once, also in the middle of a step; the server rolls back what was not committed. */
  discard(): void {
    // One that is being made has done nothing yet, and has a deadline of its own.
    if (!this.#connecting) this.#drop()
  }

  #drop(): void {
    const client = this.#client
    this.#client = undefined
    this.#isConnected = false
    for (const listener of this.#lostListeners) listener()
    client?.connection.stream.destroy()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#client
    this.#client = undefined
    if (client) await endClient(client, this.#options.stepDeadlineMs)
  }

  get #ready(): pg.Client | undefined {
    return this.#isConnected && !this.#isClosed ? this.#client : undefined
  }

  async #connected(): Promise<pg.Client> {
    if (this.#isClosed) throw new Error('the connection is closed')
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
    await this.#established(client)
    if (this.#client !== client) throw new Error('the connection was discarded')
    this.#isConnected = true
    this.#options.health.works(PART)
    return client
  }

  async #established(client: pg.Client): Promise<void> {
    try {
      await this.#bounded(this.#establish(client))
    } catch (error) {
      if (this.#client === client) this.#drop()
      throw error
    }
  }

  async #establish(client: pg.Client): Promise<void> {
    await this.#options.establish?.(client)
    for (const check of this.#sessionChecks) await check(queryableOf(client))
  }

  #lost(client: pg.Client, error?: unknown): void {
    if (this.#client !== client) return
    if (this.#isConnected) this.#options.health.failed(PART, error ?? new Error('the connection was lost'))
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
