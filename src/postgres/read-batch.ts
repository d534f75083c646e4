import type { Connection, Submittable } from 'pg'
import { goesOn, prepare, type Statement, type TextRows } from './statement.ts'
import { bindAndExecute, sync } from './wire.ts'

/** One statement that changes nothing, and the promise of its rows. */
export interface Read {
  readonly statement: Statement
  readonly values: readonly string[]
  resolve(rows: TextRows): void
  reject(error: unknown): void
}

/**
 * Several reads in one write and one round trip: what they cost beside their rows, on either side of the socket, is paid
 * once. They run one after the other, each on a snapshot of its own; PostgreSQL sends their answers when all are done.
 * Given to `client.query()`. Every read settles, or is among what `done` resolves with: those that the server skipped because
 * one before them failed. `done` rejects when the connection was lost.
 */
export class ReadBatch implements Submittable {
  readonly done: Promise<readonly Read[]>
  readonly #reads: readonly Read[]
  #next = 0
  #hasFailed = false
  #rows: (string | null)[][] = []
  #resolve!: (skipped: readonly Read[]) => void
  #reject!: (error: unknown) => void

  constructor(reads: readonly Read[]) {
    this.#reads = reads
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** A read was refused; the connection must not be used again: it may lack a statement that it should have prepared. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  submit(connection: Connection): void {
    const messages = this.#reads.flatMap(({ statement, values }) => [
      prepare(connection, statement),
      bindAndExecute(statement.name, values),
    ])
    if (connection.stream.writable) connection.stream.write(Buffer.concat([...messages, sync]))
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    this.#rows.push(message.fields)
  }

  handleCommandComplete(): void {
    const rows = this.#rows
    this.#rows = []
    this.#reads[this.#next]?.resolve(rows)
    this.#next += 1
  }

  /** From the server, or from the driver when the connection is lost. */
  async handleError(error: Error, connection: Connection): Promise<void> {
    this.#hasFailed = true
    if (await goesOn(error, connection)) {
      this.#reads[this.#next]?.reject(error)
      this.#next += 1
      return this.#resolve(this.#reads.slice(this.#next))
    }
    for (const read of this.#reads.slice(this.#next)) read.reject(error)
    this.#next = this.#reads.length
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#reads.slice(this.#next))
  }
}
