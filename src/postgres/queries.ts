import { createHash } from 'node:crypto'
import type pg from 'pg'
import { reasonOf, Unavailable, UnstorableText } from '../lib/errors.ts'
import { CommitStep, type LastStatement } from './commit-step.ts'
import type { Pool } from './pool.ts'
import { RenewablePool } from './renewable-pool.ts'
import { sqlStateOf } from './statement.ts'

/** A text of SQL and its parameters, answered by rows; all that a statement beside the message path needs. */
export interface Queryable {
  query<Row extends object>(text: string, values?: readonly unknown[]): Promise<Row[]>
}

export interface Transaction extends Queryable {
  /**
   * Does this when everything else is done, in one write with COMMIT: what it locks is held for as long as a commit takes, also
   * when this process is stopped at any moment. For what nobody asks for rows of.
   */
  atCommit(last: LastStatement): void
}

/** More are refused at once, as reads are: they would wait for longer than their callers do, and hold what they bring. */
const MAX_WAITING = 10_000

/**
 * Statements beside the message path: few, small, and on connections of their own, so that they neither wait for messages nor
 * hold them up. Every wait is bounded by the pool's limits. Rejects with the server's error when it refuses, with `UnstorableText`
 * when a parameter holds a character that no text can, and with `Unavailable` when it hangs, is away or has no room.
 */
export class Queries implements Queryable {
  readonly #pool: RenewablePool
  /** By the text of a statement; undefined where each is planned anew. */
  readonly #names: Map<string, string> | undefined

  /** `keepsPlans`: each text is prepared once per connection; there may be only a few. */
  constructor(pool: Pool, { keepsPlans = false }: { readonly keepsPlans?: boolean } = {}) {
    this.#pool = new RenewablePool(pool)
    this.#names = keepsPlans ? new Map() : undefined
  }

  async query<Row extends object>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    this.#requireRoom()
    const { rows } = await answered(() => this.#ask<Row>(this.#statement(text, values)))
    return rows
  }

  /** Connections made so far are used no more: they may lead to a server that is none any more. */
  renew(): void {
    this.#pool.renew()
  }

  async #ask<Row extends object>(statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    const client = await this.#pool.connect()
    let failure: Error | undefined
    try {
      return await client.query<Row>(statement)
    } catch (error) {
      failure = asError(error)
      throw error
    } finally {
      client.release(failure)
    }
  }

  #requireRoom(): void {
    if (this.#pool.waiting >= MAX_WAITING) throw new Unavailable('too many statements wait for a connection')
  }

  #statement(text: string, values: readonly unknown[]): pg.QueryConfig {
    const name = this.#nameOf(text)
    return { text, values: [...values], ...(name !== undefined && { name }) }
  }

  #nameOf(text: string): string | undefined {
    const known = this.#names?.get(text)
    if (known !== undefined || !this.#names) return known
    const name = createHash('sha256').update(text).digest('base64url').slice(0, 22)
    this.#names.set(text, name)
    return name
  }

  /** All or nothing: commits when `work` resolves, rolls back when it rejects. */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    this.#requireRoom()
    const client = await answered(() => this.#pool.connect())
    // A connection whose transaction did not end as it should is not used again.
    let failure: Error | undefined
    let isCommitting = false
    try {
      await answered(() => client.query('begin'))
      const last: LastStatement[] = []
      const result = await work(this.#transactionOn(client, last))
      isCommitting = last.length > 0
      await answered(() => commit(client, last))
      return result
    } catch (error) {
      failure = isCommitting ? asError(error) : await client.query('rollback').then(() => undefined, asError)
      throw error
    } finally {
      client.release(failure)
    }
  }

  #transactionOn(client: pg.ClientBase, last: LastStatement[]): Transaction {
    return {
      query: (text, values = []) => rowsOf(client, this.#statement(text, values)),
      atCommit: (statement) => void last.push(statement),
    }
  }
}

export function queryableOf(client: pg.ClientBase): Queryable {
  return { query: (text, values = []) => rowsOf(client, { text, values: [...values] }) }
}

async function rowsOf<Row extends object>(client: pg.ClientBase, statement: pg.QueryConfig): Promise<Row[]> {
  const { rows } = await answered(() => client.query<Row>(statement))
  return rows
}

async function commit(client: pg.ClientBase, last: readonly LastStatement[]): Promise<void> {
  if (last.length === 0) await client.query('commit')
  else await client.query(new CommitStep(last)).done
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

/** Connection, resources, intervention of an operator and time limits (PostgreSQL documentation, Appendix A). */
const AWAY = ['08', '53', '57', '55']
/** `character_not_in_repertoire`: of what comes from JSON, U+0000 alone. */
const NO_TEXT = '22021'

async function answered<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const state = sqlStateOf(error)
    if (state === NO_TEXT) throw new UnstorableText(reasonOf(error), { cause: error })
    if (state !== undefined && !AWAY.includes(state.slice(0, 2))) throw error
    throw new Unavailable(reasonOf(error), { cause: error })
  }
}
