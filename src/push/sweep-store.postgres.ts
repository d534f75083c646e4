import type { Queryable } from '../postgres/queries.ts'
import { FORGET_HOSTS, FORGET_JOBS, HURRY, READ_AGAIN, SWEEP, SWEPT, TAKE_SWEEP } from './job-statements.postgres.ts'
import type { SweepStore } from './sweeper.ts'

const START = ['', '0'] as const

/** By the lease in `push_sweep`: a lock of a session would be lost in a pooler, and with every connection. */
export class PostgresSweepStore implements SweepStore {
  readonly #queries: Queryable
  /** Up to where jobs were looked at for what was read. */
  #after: readonly [string, string] = START

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async take(owner: string): Promise<{ sweptUntilMs: number | undefined; nowMs: number } | undefined> {
    const [row] = await this.#queries.query<{ swept: string | null; now: string }>(TAKE_SWEEP, [owner])
    return row && { sweptUntilMs: row.swept === null ? undefined : Number(row.swept), nowMs: Number(row.now) }
  }

  async sweep(fromMs: number, toMs: number): Promise<number> {
    return (await this.#queries.query(SWEEP, [fromMs, toMs])).length
  }

  async swept(owner: string, untilMs: number): Promise<void> {
    await this.#queries.query(SWEPT, [owner, untilMs])
  }

  async readAgain(): Promise<number> {
    type Row = { user_id: string; conversation_id: string; taken: number }
    const [row] = await this.#queries.query<Row>(READ_AGAIN, this.#after)
    this.#after = row ? [row.user_id, row.conversation_id] : START
    return row?.taken ?? 0
  }

  async forget(): Promise<void> {
    await this.#queries.query(HURRY)
    await this.#queries.query(FORGET_JOBS)
    await this.#queries.query(FORGET_HOSTS)
  }
}
