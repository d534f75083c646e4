import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import type { Connection } from 'pg'
import { describe, expect, it } from 'vitest'
import {
  CopyTransaction,
  type CopyTransactionSteps,
  type FailureStage,
  TransactionError,
} from '../../../src/postgres/copy-transaction.ts'

const statement = { name: 'number', text: 'select 1' }

/** As much of a connection as a transaction uses. */
function connectionOn(stream: PassThrough): Connection {
  return Object.assign(new EventEmitter(), { stream }) as unknown as Connection
}

/** A transaction whose first statement was answered, and which has sent the rest. */
function numbered(steps: CopyTransactionSteps, connection: Connection): CopyTransaction {
  const transaction = new CopyTransaction(steps, (again) => again.submit(connection))
  transaction.submit(connection)
  expect(messageTypes(connection.stream as unknown as PassThrough)).toMatch(/S$/)
  transaction.handleCommandComplete({ text: 'SELECT 1' })
  transaction.handleReadyForQuery()
  return transaction
}

/** How far a transaction counts as having come when its COMMIT is on its way, and this error comes, then that. */
async function stageAfterCommit(error: object, follows: 'readyForQuery' | 'end'): Promise<FailureStage> {
  const connection = connectionOn(new PassThrough())
  const steps = { begin: false, first: statement, values: [], copy: statement, rows: () => [] }
  const transaction = numbered(steps, connection)
  expect(transaction.isCommitSent).toBe(true)
  void transaction.handleError(Object.assign(new Error('the server says so'), error), connection)
  connection.emit(follows)
  const failure: unknown = await transaction.done.catch((thrown: unknown) => thrown)
  if (!(failure instanceof TransactionError)) throw new Error('it did not fail')
  return failure.stage
}

/** Takes everything that these tests write at once. */
const roomyStream = () => new PassThrough({ highWaterMark: 1_000_000 })

/** The types of the messages written to this stream since it was last asked. */
function messageTypes(stream: PassThrough): string {
  const bytes: Buffer = stream.read() ?? Buffer.alloc(0)
  let types = ''
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) types += String.fromCharCode(bytes[at] ?? 0)
  return types
}

describe('rows', () => {
  function afterNumbering(rows: () => Iterable<string>, stream = roomyStream()) {
    const connection = connectionOn(stream)
    const transaction = numbered({ begin: false, first: statement, values: [], copy: statement, rows }, connection)
    return { stream, connection, transaction }
  }

  /** Two of these make a part. */
  const LARGE = 'x'.repeat(20_000)

  it('that are many are sent while the next are made, the COMMIT with the last', () => {
    const stream = roomyStream()
    const sent: string[] = []
    const { transaction } = afterNumbering(function* () {
      for (let row = 0; row < 5; row += 1) {
        yield LARGE
        sent.push(messageTypes(stream))
      }
    }, stream)
    expect(sent).toEqual(['', expect.stringMatching(/BEd$/), '', 'd', ''])
    expect(messageTypes(stream)).toBe('dcBES')
    expect(transaction.isCommitSent).toBe(true)
  })

  it('that are few travel in one write, with the COMMIT', () => {
    const stream = roomyStream()
    const sent: string[] = []
    afterNumbering(function* () {
      yield 'a\n'
      yield 'b\n'
      sent.push(messageTypes(stream))
    }, stream)
    expect(sent).toEqual([''])
    expect(messageTypes(stream)).toMatch(/BEdcBES$/)
  })

  it('that cannot be made end the COPY and the step, once, whatever the server answers', async () => {
    const { stream, connection, transaction } = afterNumbering(function* () {
      yield LARGE
      yield LARGE
      throw new Error('a row is missing')
    })
    expect(transaction.isCommitSent).toBe(false)
    expect(messageTypes(stream)).toMatch(/dfS$/)
    const refusal = Object.assign(new Error('COPY from stdin failed'), { code: '57014', severity: 'ERROR' })
    void transaction.handleError(refusal, connection)
    connection.emit('readyForQuery')
    expect(messageTypes(stream)).toBe('')
    await expect(transaction.done).rejects.toMatchObject({ stage: 'aborted', message: 'a row is missing' })
  })
})

describe('an error that comes when COMMIT is on its way', () => {
  it.each([
    ['58030', 'PANIC', 'the log could not be flushed'],
    ['57P01', 'FATAL', 'an administrator ended the session'],
    ['08006', 'ERROR', 'a pooler that lost the server'],
    ['08P01', 'ERROR', 'a pooler that lost the server, of another kind'],
  ])('leaves open what is stored when the connection ends: %s %s (%s)', async (code, severity) => {
    expect(await stageAfterCommit({ code, severity }, 'end')).toBe('unknown')
  })

  it.each([
    ['53100', 'ERROR', 'the table has no room'],
    ['23505', 'ERROR', 'a duplicate'],
    ['53100', 'FEHLER', 'the table has no room, in German'],
  ])('says that nothing is stored when the server goes on: %s %s (%s)', async (code, severity) => {
    expect(await stageAfterCommit({ code, severity }, 'readyForQuery')).toBe('refused')
  })

  it.each(['ECONNRESET', 'EPIPE'])('and is the driver’s own is about a connection that is lost: %s', async (code) => {
    expect(await stageAfterCommit({ code }, 'readyForQuery')).toBe('unknown')
  })
})

describe('a COMMIT that succeeded', () => {
  const answer = async (warning?: string): Promise<unknown> => {
    const connection = connectionOn(roomyStream())
    const steps = { begin: false, first: statement, values: [], copy: statement, rows: () => [] }
    const transaction = numbered(steps, connection)
    connection.emit('notice', { code: '01000' })
    transaction.handleCommandComplete({ text: 'COPY 0' })
    if (warning !== undefined) connection.emit('notice', { code: warning })
    transaction.handleCommandComplete({ text: 'COMMIT' })
    transaction.handleReadyForQuery()
    const outcome = await transaction.done.then(
      () => 'stored',
      (error: TransactionError) => error.stage,
    )
    expect((connection as unknown as EventEmitter).listenerCount('notice')).toBe(0)
    return outcome
  }

  it('is stored', async () => {
    expect(await answer()).toBe('stored')
    expect(await answer('00000')).toBe('stored')
  })

  it('but whose wait for its standby was cancelled leaves open what a failover would keep', async () => {
    expect(await answer('01000')).toBe('unknown')
  })
})
