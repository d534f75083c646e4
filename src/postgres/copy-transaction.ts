import type { Connection, Submittable } from 'pg'
import { goesOn, prepare, type Statement, sqlStateOf, type TextRows } from './statement.ts'
import { bindAndExecute, copyDataHeader, copyDone, copyFail, sync } from './wire.ts'

export interface CopyTransactionSteps {
  /** False when the session is already in a transaction: this one then only ends it. */
  readonly begin: boolean
  readonly first: Statement
  readonly values: readonly string[]
  readonly copy: Statement
  /**
   * Makes the COPY rows from the first statement's rows; many are sent in parts, so the server stores the first while the next
   * are made. What it throws aborts the transaction before COMMIT is sent.
   */
  rows(result: TextRows): Iterable<string>
}

/**
 * How far a failed transaction had come.
 * `aborted`: COMMIT was not sent, nothing is stored. `refused`: the server itself reported an error, nothing is stored,
 * `cause` has its SQLSTATE. `unknown`: COMMIT was sent and no answer came, one other than COMMIT, or one with a warning.
 */
export type FailureStage = 'aborted' | 'refused' | 'unknown'

export class TransactionError extends Error {
  readonly stage: FailureStage
  readonly sqlState: string | undefined

  constructor(stage: FailureStage, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause })
    this.name = 'TransactionError'
    this.stage = stage
    this.sqlState = sqlStateOf(cause)
  }
}

const BEGIN: Statement = { name: 'begin', text: 'BEGIN' }
const COMMIT: Statement = { name: 'commit', text: 'COMMIT' }
/** Large enough to be worth a system call and a wake-up of the server, small enough that it never waits long for the next. */
const PART_CHARS = 32 * 1024

/**
 * One transaction, `BEGIN · statement · COPY … FROM STDIN · COMMIT`, in two round trips instead of four:
 * the second carries the COPY data and the COMMIT together, which the extended protocol allows (after an error the server
 * skips everything up to Sync, so a failed COPY cannot be committed).
 *
 * Each round trip ends in Sync. After Flush the session would not be idle in its transaction but active, and no time limit of
 * PostgreSQL looks at one that waits for its next message so: if this process is stopped there, the rows would be locked for
 * as long as that lasts.
 *
 * Given to `client.query()`, and by `again` a second time; settles `done` exactly once.
 */
export class CopyTransaction implements Submittable {
  readonly done: Promise<void>
  readonly #steps: CopyTransactionSteps
  readonly #rows: (string | null)[][] = []
  #resolve!: () => void
  #reject!: (error: TransactionError) => void
  readonly #again: (transaction: CopyTransaction) => void
  #isNumbered = false
  #commitSent = false
  #copied = false
  #committed = false
  #isWarned = false
  #failure: TransactionError | undefined

  constructor(steps: CopyTransactionSteps, again: (transaction: CopyTransaction) => void) {
    this.#steps = steps
    this.#again = again
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** From here on only the server knows how the transaction ends. */
  get isCommitSent(): boolean {
    return this.#commitSent
  }

  submit(connection: Connection): void {
    if (this.#isNumbered) return this.#copyAndCommit(connection)
    const { begin, first, values } = this.#steps
    write(connection, [
      ...(begin ? [prepare(connection, BEGIN), bindAndExecute(BEGIN.name)] : []),
      prepare(connection, first),
      bindAndExecute(first.name, values),
      sync,
    ])
  }

  handleDataRow(message: { fields: (string | null)[] }): void {
    this.#rows.push(message.fields)
  }

  handleCommandComplete({ text }: { text: string }): void {
    if (!this.#commitSent) return
    this.#committed = text === 'COMMIT'
    this.#copied = true
  }

  /** From the server, or from the driver when the connection is lost. */
  async handleError(error: Error, connection: Connection): Promise<void> {
    const isRefused = await goesOn(error, connection)
    this.#fail(new TransactionError(isRefused ? 'refused' : this.#stageWhenLost, error))
  }

  handleReadyForQuery(): void {
    if (this.#failure) return
    if (!this.#isNumbered) {
      this.#isNumbered = true
      // In the same turn: the driver sends it before it returns.
      return this.#again(this)
    }
    if (this.#committed && !this.#isWarned) this.#resolve()
    else this.#fail(new TransactionError(this.#stageWhenLost, new Error('not committed')))
  }

  get #stageWhenLost(): FailureStage {
    return this.#commitSent ? 'unknown' : 'aborted'
  }

  handleCopyInResponse(): void {
    // COPY's data is already on its way.
  }

  #copyAndCommit(connection: Connection): void {
    const { copy, rows } = this.#steps
    let unsent = [prepare(connection, copy), prepare(connection, COMMIT), bindAndExecute(copy.name)]
    let text = ''
    try {
      for (const row of rows(this.#rows)) {
        text += row
        if (text.length < PART_CHARS) continue
        write(connection, [...unsent, ...copyData(text)])
        unsent = []
        text = ''
      }
    } catch (error) {
      this.#fail(new TransactionError('aborted', error))
      return write(connection, [...unsent, copyFail, sync])
    }
    this.#commitSent = true
    this.#heedWarnings(connection)
    write(connection, [...unsent, ...copyData(text), copyDone, bindAndExecute(COMMIT.name), sync])
  }

  /**
   * A COMMIT whose wait for a standby was cancelled succeeds with a warning (class 01) that the standby may lack it, and one
   * without a transaction (25P01) with a warning that there was none: what came before it was then committed piece by piece.
   * Source: PostgreSQL, SyncRepWaitForLSN and EndTransactionBlock.
   */
  #heedWarnings(connection: Connection): void {
    const heed = ({ code }: { code?: string | undefined }): void => {
      if (this.#copied && (code?.startsWith('01') || code === '25P01')) this.#isWarned = true
    }
    connection.on('notice', heed)
    const forget = (): unknown => connection.off('notice', heed)
    this.done.then(forget, forget)
  }

  #fail(failure: TransactionError): void {
    this.#failure ??= failure
    this.#reject(failure)
  }
}

function copyData(text: string): Buffer[] {
  const body = Buffer.from(text, 'utf8')
  return [copyDataHeader(body.length), body]
}

function write(connection: Connection, parts: readonly Buffer[]): void {
  const { stream } = connection
  if (!stream.writable) return
  stream.cork()
  for (const part of parts) if (part.length > 0) stream.write(part)
  stream.uncork()
}
