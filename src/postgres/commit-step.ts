import type { Connection, Submittable } from 'pg'
import { escapedArrayLiteral } from './array.ts'
import { goesOn, prepare, type Statement } from './statement.ts'
import { bindAndExecute, sync } from './wire.ts'

/** What a transaction does last, with its parameters: texts, and arrays of them. */
export interface LastStatement {
  readonly statement: Statement
  readonly values: readonly (string | readonly string[])[]
}

const COMMIT: Statement = { name: 'commit', text: 'COMMIT' }

/**
 * The last statements of a transaction and its COMMIT, in one write: after an error the server skips everything up to Sync, so
 * nothing is committed without them. What they lock is held while the server works, and never while it waits for this process.
 *
 * Given to `client.query()`; settles `done` once. After a failure the connection must not be used again: it may lack a statement
 * that it should have prepared, or still be in the transaction.
 */
export class CommitStep implements Submittable {
  readonly done: Promise<void>
  /** Of the driver, which limits how long it waits: told that it need wait no more. */
  callback: (() => void) | undefined
  readonly #last: readonly LastStatement[]
  #isCommitted = false
  #resolve!: () => void
  #reject!: (error: Error) => void

  constructor(last: readonly LastStatement[]) {
    this.#last = last
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: Connection): void {
    const steps = [...this.#last, { statement: COMMIT, values: [] }]
    const messages = steps.flatMap(({ statement, values }) => [
      prepare(connection, statement),
      bindAndExecute(statement.name, values.map(asText)),
    ])
    if (connection.stream.writable) connection.stream.write(Buffer.concat([...messages, sync]))
  }

  handleDataRow(): void {
    // Nobody asks for rows.
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#isCommitted = text === 'COMMIT'
  }

  /** From the server, or from the driver when the connection is lost or takes too long. */
  async handleError(error: Error, connection: Connection): Promise<void> {
    await goesOn(error, connection)
    this.#settle(error)
  }

  handleReadyForQuery(): void {
    this.#settle(this.#isCommitted ? undefined : new Error('not committed'))
  }

  #settle(error: Error | undefined): void {
    this.callback?.()
    if (error) this.#reject(error)
    else this.#resolve()
  }
}

function asText(value: string | readonly string[]): string {
  return typeof value === 'string' ? value : escapedArrayLiteral(value)
}
