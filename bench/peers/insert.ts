/** One prepared INSERT per message in autocommit, through a pool: how most people store what they relay. */
import { Pool } from 'pg'
import { resolveDsn } from '../../src/postgres/dsn.ts'
import { createRows, insertRow } from '../lib/rows.ts'
import type { RelayEvents } from './relay.ts'

const connections = 16

export class RowStore {
  readonly #pool: Pool
  readonly #lastBySender = new Map<string, Promise<unknown>>()

  private constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Makes the table in the database that `PEER_POSTGRES_DSN` names. */
  static async open(): Promise<RowStore> {
    const pool = new Pool({ ...(await resolveDsn(process.env['PEER_POSTGRES_DSN'] ?? '')), max: connections })
    await pool.query(createRows)
    return new RowStore(pool)
  }

  /**
   * Resolves when it is committed, and everything that its sender sent before as well: INSERTs run side by side, but a
   * sender's messages arrive in order. A failed INSERT ends the process, as nobody would hear of it otherwise.
   */
  insert({ message, conversationId }: RelayEvents): Promise<unknown> {
    const { id, seq, sender_id, content, created_at } = message
    const values = [conversationId, seq, id, sender_id, content, created_at]
    const before = this.#lastBySender.get(sender_id)
    const inserted = this.#pool.query({ name: 'insert-row', text: insertRow, values }).then(() => before)
    this.#lastBySender.set(sender_id, inserted)
    return inserted
  }
}
