// A commit whose session is lost between two of its statements: it must not go on in the next one, where its locks are not, and
// where the server may be another one, with other ids.
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { pendingMessage } from '../../support/builders.ts'
import { createDatabase, type TestDatabase } from '../../support/databases.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'

let created: TestDatabase
let database: Database
let store: MessageStore

beforeEach(async () => {
  created = await createDatabase()
  database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  store = postgresStore(database, silentLogger)
})
afterEach(async () => {
  await store.close()
  await database.close()
  await created.drop()
})

/** Loses the session in the turn in which the step with this number is answered, as when the server's farewell comes with it. */
async function loseAfter(step: number): Promise<void> {
  const { writerConnection } = database
  const session = await writerConnection.session()
  let answered = 0
  const counted = async <T>(answer: Promise<T>): Promise<T> => {
    const result = await answer
    answered += 1
    if (answered === step) writerConnection.discard()
    return result
  }
  const query = session.query.bind(session)
  const command = session.command.bind(session)
  session.query = (statement, values) => counted(query(statement, values))
  session.command = (text) => counted(command(text))
}

test.each([
  ['careful', 'BEGIN', 1],
  ['careful', 'the locks', 2],
  ['careful', 'the look-up', 3],
] as const)('a %s commit whose session is lost after %s stores nothing', async (path, _what, step) => {
  const first = pendingMessage('ann', 'bob')
  await store.commit([first], [], 'fast')
  await loseAfter(step)
  await expect(store.commit([pendingMessage('ann', 'bob')], [], path)).rejects.toMatchObject({ failure: 'aborted' })
  expect(await store.lastSeq(first.conversation)).toBe(1)
  const next = pendingMessage('ann', 'bob')
  await store.commit([next], [], 'careful')
  expect(next).toMatchObject({ fate: 'stored', seq: 2 })
})

test('a fast commit that has just learned its ids goes on in no other session', async () => {
  const message = pendingMessage('ann', 'bob')
  // Found, opened, found again: the ids are known then.
  await loseAfter(3)
  await expect(store.commit([message], [], 'fast')).rejects.toMatchObject({ failure: 'aborted' })
  expect(await store.lastSeq(message.conversation)).toBe(0)
})
