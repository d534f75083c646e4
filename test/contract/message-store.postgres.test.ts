import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Logger } from '../../src/lib/logger.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { CommitError, type MessageStore } from '../../src/messages/store.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { pendingMessage, positionChange, strangers } from '../support/builders.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { postgresStore } from '../support/postgres-store.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { WAITING_FOR_LOCK } from '../support/transactions.ts'
import { describeMessageStore, type StoreUnderTest } from './message-store.ts'
import { everything, order } from './message-store-commits.ts'

let database: TestDatabase
let admin: pg.Client
const warnings: string[] = []
const logger: Logger = { ...silentLogger, warn: (_fields, msg) => warnings.push(msg) }

beforeAll(async () => {
  database = await createDatabase()
  admin = new pg.Client(parseDsn(database.dsn))
  await admin.connect()
})

afterAll(async () => {
  await admin.end()
  await database.drop()
})

async function openStore(): Promise<StoreUnderTest> {
  const opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 3, logger })
  const store = postgresStore(opened, logger)
  return {
    store,
    close: async () => {
      await store.close()
      await opened.close()
    },
  }
}

/** Runs `task` while another transaction holds what `lock` locks, then lets go. */
async function whileLocked<T>(lock: string, task: () => Promise<T>): Promise<T> {
  await admin.query('begin')
  await admin.query(lock)
  try {
    return await task()
  } finally {
    await admin.query('rollback')
  }
}

/** Resolves when a backend of this database waits for a lock. */
async function oneWaits(): Promise<void> {
  while ((await admin.query(WAITING_FOR_LOCK)).rowCount === 0) await new Promise((resolve) => setImmediate(resolve))
}

/** Ends the backend that waits for a lock, as soon as there is one. */
async function killWaiting(): Promise<void> {
  const waiting = `select pg_terminate_backend(pid) from (${WAITING_FOR_LOCK}) waiting`
  while ((await admin.query(waiting)).rowCount === 0) await new Promise((resolve) => setImmediate(resolve))
}

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => 'committed',
    (error: unknown) => (error instanceof CommitError ? error.failure : error),
  )

/** Conversations in which the numbers, the head and the rows disagree. */
async function inconsistent(): Promise<unknown[]> {
  const { rows } = await admin.query(`select c.conversation_id, c.last_seq, count(m.*), max(m.seq), count(distinct m.id)
    from conversations c left join messages m using (conversation_id) group by 1, 2
    having c.last_seq <> count(m.*) or c.last_seq <> coalesce(max(m.seq), 0) or count(m.*) <> count(distinct m.id)`)
  return rows
}

describeMessageStore('PostgreSQL', openStore)

describe('the PostgreSQL message store', () => {
  let opened: StoreUnderTest
  let store: MessageStore

  beforeAll(async () => {
    opened = await openStore()
    store = opened.store
  })
  afterAll(() => opened.close())

  test('numbers and moves beyond 2^31', async () => {
    const [a, b] = strangers()
    const before = 2 ** 31 - 2
    await store.commit([], [positionChange(a, b, { delivered: 1 })], 'fast')
    await admin.query('update conversations set last_seq = $1, lo_delivered_seq = $1 where user_lo = $2', [before, a])
    const messages = [pendingMessage(a, b), pendingMessage(b, a), pendingMessage(a, b)]
    const position = positionChange(b, a, { delivered: before + 2, read: before + 2 })
    const states = await store.commit(messages, [position], 'careful')
    const seqs = [before + 1, before + 2, before + 3]
    expect(messages.map(({ seq }) => seq)).toEqual(seqs)
    expect(states).toMatchObject([{ delivered: before + 2, read: before + 2 }])
    const conversation = conversationBetween(a, b)
    const page = await store.page(conversation, { after: before, before: before + 4, limit: 5 })
    expect(page.messages.map(({ seq }) => seq)).toEqual(seqs)
    expect(await store.lastSeq(conversation)).toBe(before + 3)
    expect((await store.backlog(a)).found).toEqual([{ with: b, deliveredSeq: before + 1, lastSeq: before + 3 }])
    await admin.query('delete from conversations where user_lo = $1', [a])
  })

  test('keeps times in order when the clock of the server went back', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await admin.query(`update conversations set last_message_at = '2100-01-01' where user_lo = $1`, [a])
    const next = pendingMessage(a, b)
    await store.commit([next], [], 'fast')
    expect(next.created_at).toBe('2100-01-01T00:00:00.000Z')
  })

  test.each(['fast', 'careful'] as const)(
    'calls a row that PostgreSQL cannot hold rejected on the %s path, stores nothing, and goes on',
    async (path) => {
      const [a, b] = strangers()
      const before = warnings.length
      const bad = [pendingMessage(a, b, 'before'), pendingMessage(a, b, 'a\0b'), pendingMessage(a, b, 'after')]
      expect(await failureOf(store.commit(bad, [], path))).toBe('rejected')
      expect(bad.map(({ fate, seq }) => [fate, seq])).toEqual(bad.map(() => ['pending', 0]))
      expect(await everything(store, a, b)).toEqual([])
      const next = pendingMessage(a, b, 'next')
      await store.commit([next], [], path)
      expect(next.seq).toBe(1)
      expect(warnings.slice(before)).toEqual([])
    },
  )

  test('calls a batch aborted whose backend died before COMMIT was sent, and commits the next', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b, 'first')], [], 'fast')
    const lost = pendingMessage(a, b, 'second')
    await whileLocked('select 1 from conversations for update', async () => {
      const outcome = failureOf(store.commit([lost], [], 'fast'))
      await killWaiting()
      expect(await outcome).toBe('aborted')
    })
    expect(lost).toMatchObject({ fate: 'pending', seq: 0, created_at: '' })
    await store.commit([lost], [], 'fast')
    expect((await everything(store, a, b)).map(({ content }) => content)).toEqual(['first', 'second'])
  })

  test('calls a batch unknown whose backend died after COMMIT was sent, and the careful path resolves it', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b, 'first')], [], 'fast')
    const lost = pendingMessage(a, b, 'second')
    await whileLocked('lock table messages in share mode', async () => {
      const outcome = failureOf(store.commit([lost], [], 'fast'))
      await killWaiting()
      expect(await outcome).toBe('unknown')
    })
    expect(lost).toMatchObject({ fate: 'pending', seq: 0, created_at: '' })
    await store.commit([lost], [], 'careful')
    expect(lost).toMatchObject({ fate: 'stored', seq: 2 })
    expect((await everything(store, a, b)).map(({ content }) => content)).toEqual(['first', 'second'])
  })

  test('calls a careful batch aborted whose backend died while it waited for the lock', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b, 'first')], [], 'fast')
    const lost = pendingMessage(a, b, 'second')
    await whileLocked('select 1 from conversations for update', async () => {
      const outcome = failureOf(store.commit([lost], [], 'careful'))
      await killWaiting()
      expect(await outcome).toBe('aborted')
    })
    await store.commit([lost], [], 'careful')
    expect(lost).toMatchObject({ fate: 'stored', seq: 2 })
  })

  test('ends a commit as it ends when it is cancelled after COMMIT was sent', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b, 'first')], [], 'fast')
    const { committing } = await whileLocked('lock table messages in share mode', async () => {
      const outcome = failureOf(store.commit([pendingMessage(a, b, 'second')], [], 'fast'))
      await oneWaits()
      store.cancelCommit()
      return { committing: outcome }
    })
    expect(await committing).toBe('committed')
    expect((await everything(store, a, b)).map(({ content }) => content)).toEqual(['first', 'second'])
  })

  test('aborts a commit that is cancelled before COMMIT was sent', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b, 'first')], [], 'fast')
    await whileLocked('select 1 from conversations for update', async () => {
      const outcome = failureOf(store.commit([pendingMessage(a, b, 'second')], [], 'fast'))
      await oneWaits()
      store.cancelCommit()
      expect(await outcome).toBe('aborted')
    })
    expect(await everything(store, a, b)).toHaveLength(1)
  })

  test('commits again after its idle connection was ended', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`)
    const outcomes: unknown[] = []
    const next = pendingMessage(a, b)
    while (next.fate === 'pending') outcomes.push(await failureOf(store.commit([next], [], 'careful')))
    expect(next).toMatchObject({ fate: 'stored', seq: 2 })
    expect(outcomes.length).toBeLessThanOrEqual(2)
  })

  test('notices that the database was put back to before a conversation, and opens it again', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await admin.query(
      `with gone as (delete from conversations where user_lo = $1 returning conversation_id)
      delete from messages where conversation_id in (select conversation_id from gone)`,
      [a],
    )
    const next = pendingMessage(a, b)
    expect(await failureOf(store.commit([next], [], 'fast'))).toBe('unnumbered')
    expect(await failureOf(store.commit([next], [], 'careful'))).toBe('aborted')
    await store.commit([next], [], 'fast')
    expect(next).toMatchObject({ fate: 'stored', seq: 1 })
  })

  test('notices the same when only a position is to be stored', async () => {
    const [a, b] = strangers()
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await admin.query(
      `with gone as (delete from conversations where user_lo = $1 returning conversation_id)
      delete from messages where conversation_id in (select conversation_id from gone)`,
      [a],
    )
    const position = positionChange(b, a, { delivered: 1 })
    expect(await failureOf(store.commit([], [position], 'fast'))).toBe('unnumbered')
    expect(await failureOf(store.commit([], [position], 'careful'))).toBe('aborted')
    expect(await store.commit([], [position], 'fast')).toMatchObject([{ user: b, delivered: 0 }])
  })

  test('asks again which conversation is whose after it lost its connection: the database may have been restored', async () => {
    const [a, b] = strangers()
    const [c, d] = strangers()
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await admin.query(
      `with restored as (update conversations set user_lo = $2, user_hi = $3, last_seq = 0 where user_lo = $1 returning conversation_id)
      delete from messages where conversation_id in (select conversation_id from restored)`,
      [a, ...[c, d].sort()],
    )
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`)
    const next = pendingMessage(a, b)
    while (next.fate === 'pending') await failureOf(store.commit([next], [], 'fast'))
    expect((await everything(store, a, b)).map(({ id }) => id)).toEqual([next.id])
    expect(await everything(store, c, d)).toEqual([])
  })

  test('throws StoreUnavailable from every read of a database that is gone', async () => {
    const other = await createDatabase()
    const gone = await openDatabase({ dsn: other.dsn, dataDir: '', poolMax: 1, logger })
    const reader = postgresStore(gone, logger)
    await other.drop()
    const conversation = conversationBetween('a', 'b')
    const unavailable = { name: 'StoreUnavailable' }
    await expect(reader.page(conversation, { limit: 1 })).rejects.toMatchObject(unavailable)
    await expect(reader.page(conversation, { after: 0, limit: 1 })).rejects.toMatchObject(unavailable)
    await expect(reader.lastSeq(conversation)).rejects.toMatchObject(unavailable)
    await expect(reader.conversations('a', 1)).rejects.toMatchObject(unavailable)
    await expect(reader.changes('a')).rejects.toMatchObject(unavailable)
    await expect(reader.backlog('a')).rejects.toMatchObject(unavailable)
    await expect(reader.check()).rejects.toMatchObject(unavailable)
    expect(await failureOf(reader.commit([pendingMessage('a', 'b')], [], 'fast'))).toBe('aborted')
    await reader.close()
    await gone.close()
  })
})

test('a database that takes no more writes is said to store nothing', async () => {
  const full = await createDatabase()
  const opened = await openDatabase({ dsn: full.dsn, dataDir: '', poolMax: 1, logger })
  const store = postgresStore(opened, logger)
  const owner = new pg.Client(parseDsn(full.dsn))
  await owner.connect()
  // Before the reader has a connection.
  await owner.query(`do $$ begin
    execute format('alter database %I set default_transaction_read_only = on', current_database());
  end $$`)
  await owner.end()
  await expect(store.check()).rejects.toMatchObject({ name: 'StoreUnavailable', message: 'it is read-only' })
  await store.close()
  await opened.close()
  await full.drop()
})

describe('two PostgreSQL message stores on one database', () => {
  let one: StoreUnderTest
  let two: StoreUnderTest

  beforeAll(async () => {
    one = await openStore()
    two = await openStore()
  })
  afterAll(async () => {
    await one.close()
    await two.close()
  })

  test('number the same conversations densely at the same time, without a deadlock', async () => {
    const pairs = Array.from({ length: 12 }, strangers)
    const shuffled = () => pairs.map((pair) => ({ pair, at: Math.random() })).sort((x, y) => x.at - y.at)
    const write = async (store: MessageStore, path: 'fast' | 'careful', author: string) => {
      for (let batch = 0; batch < 40; batch += 1) {
        const chosen = shuffled().slice(0, 8)
        const messages = chosen.flatMap(({ pair: [a, b] }, index) =>
          [0, 1].map(() => pendingMessage(...order((batch + index) % 2 === 0, a, b), `${author} ${batch}`)),
        )
        const moves = chosen.map(({ pair: [a, b] }) => positionChange(b, a, { delivered: batch }))
        await store.commit(messages, moves, batch % 5 === 4 ? 'careful' : path)
      }
    }
    await Promise.all([write(one.store, 'fast', 'one'), write(two.store, 'fast', 'two')])
    expect(await inconsistent()).toEqual([])
    const seqs = await Promise.all(pairs.map(async ([a, b]) => everything(one.store, a, b)))
    expect(seqs.flat()).toHaveLength(2 * 40 * 8 * 2)
    for (const messages of seqs) {
      expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_message, index) => index + 1))
      const times = messages.map(({ created_at }) => created_at)
      expect(times).toEqual([...times].sort())
      // Each author's batches stay in the order in which they were committed.
      for (const author of ['one', 'two']) {
        const own = messages.filter(({ content }) => content.startsWith(author))
        const batches = own.map(({ content }) => Number(content.split(' ')[1]))
        expect(batches).toEqual([...batches].sort((x, y) => x - y))
      }
    }
  })

  test('store the same ids once when one comes the fast and the other the careful way', async () => {
    const pairs = Array.from({ length: 4 }, strangers)
    for (let round = 0; round < 30; round += 1) {
      const ids = pairs.map(() => randomUUID())
      const batch = () => pairs.map(([a, b], index) => pendingMessage(a, b, `round ${round}`, ids[index]))
      const [quick, sure] = [batch(), batch()]
      const [fast] = await Promise.all([
        failureOf(one.store.commit(quick, [], 'fast')),
        two.store.commit(sure, [], 'careful'),
      ])
      expect(['committed', 'duplicate']).toContain(fast)
      expect(sure.map(({ fate }) => fate)).toEqual(pairs.map(() => (fast === 'committed' ? 'duplicate' : 'stored')))
      if (fast === 'committed') {
        expect(sure.map(({ seq, created_at }) => [seq, created_at])).toEqual(
          quick.map(({ seq, created_at }) => [seq, created_at]),
        )
      }
      expect(sure.map(({ seq }) => seq)).toEqual(pairs.map(() => round + 1))
    }
    expect(await inconsistent()).toEqual([])
  })

  test('open the same new conversation at the same time', async () => {
    for (let round = 0; round < 20; round += 1) {
      const [a, b] = strangers()
      const [left, right] = [pendingMessage(a, b), pendingMessage(b, a)]
      await Promise.all([one.store.commit([left], [], 'fast'), two.store.commit([right], [], 'fast')])
      expect([left.seq, right.seq].sort()).toEqual([1, 2])
    }
  })
})
