import type pg from 'pg'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { Client } from './client.ts'
import { type Queryable, queryableOf } from './queries.ts'
import { WriterSession, type WriterSessionOptions } from './writer-session.ts'

export interface WriterConnectionOptions extends Omit<WriterSessionOptions, 'overdue'> {
  readonly config: pg.ClientConfig
  /** Told of a lost connection. */
  readonly health: DependencyLog
  /** Makes a new session what it must be. One that this rejects is dropped, and whoever needs it hears that reason. */
  readonly establish?: (client: pg.ClientBase) => Promise<unknown>
}

/** Names this connection in what is told about PostgreSQL. */
const PART = 'writer'

/**
 * One dedicated connection for work that must never wait for a pool: connects when a session is first needed, and again after
 * it was lost or discarded. A step that takes longer than its deadline loses the session. Not for concurrent use.
 */
export class WriterConnection {
  readonly #options: WriterConnectionOptions
  #session: WriterSession | undefined
  #isConnected = false
  #connecting: Promise<WriterSession> | undefined
  #stopWaiting: ((reason: Error) => void) | undefined
  #isClosed = false
  readonly #lostListeners: (() => void)[] = []
  readonly #sessionChecks: ((session: Queryable) => Promise<void>)[] = []

  constructor(options: WriterConnectionOptions) {
    this.#options = options
  }

  /** Called in the same turn in which a session is lost or given up: what was read over it may no longer be so. */
  whenLost(listener: () => void): void {
    this.#lostListeners.push(listener)
  }

  /** Called with every session before it is used. One that a check rejects is dropped, and whoever needs it hears why. */
  checkSessions(check: (session: Queryable) => Promise<void>): void {
    this.#sessionChecks.push(check)
  }

  /** The session, when it is there: without waiting, so that the first step is on its way in the same turn. */
  get ready(): WriterSession | undefined {
    return this.#isConnected && !this.#isClosed ? this.#session : undefined
  }

  /** What belongs together, as a transaction does, goes through one session. */
  async session(): Promise<WriterSession> {
    if (this.#isClosed) throw new Error('the connection is closed')
    if (this.ready) return this.ready
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

  /**
   * Gives up what is under way, unless a COMMIT is on its way: that one is waited for. A connection that is being made stays
   * for whoever needs it next: given up again and again, it would never be there when the server is far away.
   */
  cancel(): void {
    if (this.#stopWaiting) this.#stopWaiting(new Error('given up while connecting'))
    else if (!this.#session?.isCommitSent) this.#drop()
  }

  /** Drops the session at once, also in the middle of a step; the server rolls back what was not committed. */
  discard(): void {
    // One that is being made has done nothing yet, and has a deadline of its own.
    if (!this.#connecting) this.#drop()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const session = this.#session
    this.#session = undefined
    await session?.end()
  }

  async #connect(): Promise<WriterSession> {
    const client = new Client(this.#options.config)
    const { stepDeadlineMs, commitDeadlineMs } = this.#options
    const overdue = (): void => this.#dropIf(session)
    const session = new WriterSession(client, { stepDeadlineMs, commitDeadlineMs, overdue })
    this.#session = session
    // Without a listener a lost connection is an uncaught exception; two events may come for one loss.
    client.on('error', (error) => this.#lost(session, error))
    client.on('end', () => this.#lost(session))
    await session.bounded(client.connect())
    await this.#established(session, client)
    if (this.#session !== session) throw new Error('the connection was discarded')
    this.#isConnected = true
    this.#options.health.works(PART)
    return session
  }

  async #established(session: WriterSession, client: pg.Client): Promise<void> {
    try {
      await session.bounded(this.#establish(client))
    } catch (error) {
      this.#dropIf(session)
      throw error
    }
  }

  async #establish(client: pg.Client): Promise<void> {
    await this.#options.establish?.(client)
    for (const check of this.#sessionChecks) await check(queryableOf(client))
  }

  #lost(session: WriterSession, error?: unknown): void {
    if (this.#session !== session) return
    if (this.#isConnected) this.#options.health.failed(PART, error ?? new Error('the connection was lost'))
    // An error that nothing asked for need not end it, and whoever still waits on it can end it no more when it is forgotten.
    this.#drop()
  }

  #dropIf(session: WriterSession): void {
    if (this.#session === session) this.#drop()
  }

  #drop(): void {
    const session = this.#session
    this.#session = undefined
    this.#isConnected = false
    session?.lose()
    for (const listener of this.#lostListeners) listener()
  }
}
