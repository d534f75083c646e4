import { PassThrough } from 'node:stream'
import type { Connection } from 'pg'
import { describe, expect, it } from 'vitest'
import { CopyTransaction, type FailureStage, TransactionError } from '../../../src/postgres/copy-transaction.ts'

const statement = { name: 'number', text: 'select 1' }

/** How far a transaction counts as having come when its COMMIT is on its way and this comes from the server. */
async function stageAfterCommit(code: string, severity: string): Promise<FailureStage> {
  const connection = { stream: new PassThrough() } as unknown as Connection
  const steps = { begin: false, first: statement, values: [], copy: statement, rows: () => '' }
  const transaction = new CopyTransaction(steps)
  transaction.submit(connection)
  transaction.handleCommandComplete({ text: 'SELECT 1' }, connection)
  expect(transaction.isCommitSent).toBe(true)
  transaction.handleError(Object.assign(new Error('the server says so'), { code, severity }), connection)
  const failure: unknown = await transaction.done.catch((error: unknown) => error)
  if (!(failure instanceof TransactionError)) throw new Error('it did not fail')
  return failure.stage
}

describe('an error that comes when COMMIT is on its way', () => {
  it.each([
    ['58030', 'PANIC', 'the log could not be flushed'],
    ['53100', 'PANIC', 'the log has no room'],
    ['57P01', 'FATAL', 'an administrator ended the session'],
    ['58030', 'PANIK', 'the same in German'],
  ])('leaves open what is stored: %s %s (%s)', async (code, severity) => {
    expect(await stageAfterCommit(code, severity)).toBe('unknown')
  })

  it.each([
    ['53100', 'ERROR', 'the table has no room'],
    ['23505', 'ERROR', 'a duplicate'],
    ['23505', 'FEHLER', 'a duplicate, in German'],
    ['22021', 'FEHLER', 'a text that can not be held, in German'],
  ])('says that nothing is stored: %s %s (%s)', async (code, severity) => {
    expect(await stageAfterCommit(code, severity)).toBe('refused')
  })
})
