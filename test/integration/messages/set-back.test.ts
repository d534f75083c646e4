import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'
import { KnownHeads } from '../../../src/messages/known-heads.ts'
import type { MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import { pendingMessage, positionChange } from '../../support/builders.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { messagesOver } from '../../support/messages.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { rowsOf } from '../../support/transactions.ts'

let created: TestDatabase
let database: Database
let heads: KnownHeads
let store: MessageStore

beforeEach(async () => {
  created = await createDatabase()
  database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  heads = new KnownHeads()
  store = postgresStore(database, silentLogger, heads)
})
afterEach(async () => {
  await store.close()
  await database.close()
  await created.drop()
})

/** Three messages, of which the database has lost the last. */
async function loseTheLast(): Promise<void> {
  const sent = ['one', 'two', 'three'].map((content) => pendingMessage('ann', 'bob', content))
  await store.commit(sent, [], 'fast')
  for (const { conversation, seq } of sent) heads.saw(conversation, seq)
  await execute(created.dsn, 'delete from messages where seq > 2; update conversations set last_seq = 2')
}

test.each([
  ['fast', false],
  ['fast', true],
  ['careful', false],
] as const)(
  'a conversation that was set back takes nothing on the %s path before its heads are forgotten (doubted: %s)',
  async (path, isDoubted) => {
    await loseTheLast()
    let found = 0
    const behind = (): void => {
      found += 1
    }
    heads.listen({ behind, suspected: () => undefined })
    if (isDoubted) heads.doubt()
    const message = pendingMessage('bob', 'ann', 'another three')
    await expect(store.commit([message], [], path)).rejects.toMatchObject({ failure: 'aborted' })
    expect(found).toBe(1)
    expect(await rowsOf(created.dsn, 'select seq from messages order by seq')).toHaveLength(2)
    heads.forget()
    await store.commit([message], [], path)
    expect(message).toMatchObject({ fate: 'stored', seq: 3 })
  },
)

const POSITIONS = 'select hi_delivered_seq, hi_read_seq from conversations'

test('a position of a line that has ended counts nothing in the next', async () => {
  await store.commit([pendingMessage('ann', 'bob'), pendingMessage('ann', 'bob')], [], 'fast')
  const read = { ...positionChange('bob', 'ann', { delivered: 2, read: 2 }), line: heads.line }
  heads.forget()
  expect(await store.commit([], [read], 'fast')).toEqual([])
  expect(await rowsOf(created.dsn, POSITIONS)).toEqual([{ hi_delivered_seq: '0', hi_read_seq: '0' }])
  const again = { ...read, read: 1, line: heads.line }
  expect(await store.commit([], [again], 'fast')).toMatchObject([{ user: 'bob', delivered: 2, read: 1 }])
})

test('an acknowledgement that waits for a look while a line ends counts nothing in the next, and teaches no head', async () => {
  const sent = pendingMessage('ann', 'bob')
  await store.commit([sent], [], 'fast')
  const lastSeq: MessageStore['lastSeq'] = async (conversation) => {
    const head = await store.lastSeq(conversation)
    heads.forget()
    return head
  }
  const { messages } = messagesOver({ store: { ...store, lastSeq }, clock: systemClock, listeners: [], heads })
  const read = { type: 'read', with: 'ann', seq: 1 } as const
  await messages.advance('bob', read, { line: messages.line })
  await messages.allSettled()
  expect(heads.of(sent.conversation)).toBe(0)
  expect(await rowsOf(created.dsn, POSITIONS)).toEqual([{ hi_delivered_seq: '0', hi_read_seq: '0' }])
  messages.advanceStored('bob', read, { line: messages.line })
  await messages.allSettled()
  expect(await rowsOf(created.dsn, POSITIONS)).toEqual([{ hi_delivered_seq: '1', hi_read_seq: '1' }])
})

test('where a clock was ahead, times go on from there in that conversation alone, as its row says', async () => {
  await store.commit([pendingMessage('ann', 'bob'), pendingMessage('ann', 'cid')], [], 'fast')
  await execute(
    created.dsn,
    `update conversations set last_message_at = '2100-01-02T03:04:05.678Z' where user_hi = 'bob'`,
  )
  const [ahead, other] = [pendingMessage('ann', 'bob'), pendingMessage('ann', 'cid')]
  await store.commit([other, ahead], [], 'fast')
  expect(ahead).toMatchObject({ seq: 2, created_at: '2100-01-02T03:04:05.678Z' })
  expect(other.created_at < '2100').toBe(true)
  expect(
    await rowsOf(
      created.dsn,
      `select user_hi, seq from messages join conversations using (conversation_id)
       where created_at = last_message_at and seq = last_seq order by user_hi`,
    ),
  ).toEqual([
    { user_hi: 'bob', seq: '2' },
    { user_hi: 'cid', seq: '2' },
  ])
})
