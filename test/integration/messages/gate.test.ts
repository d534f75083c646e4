// Conversations that take no messages, and those that may not begin: what the accounts ask of the message path.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PostgresAccountStore } from '../../../src/accounts/account-store.postgres.ts'
import { PostgresAdminStore } from '../../../src/accounts/admin-store.postgres.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { conversationBetween } from '../../../src/messages/conversation.ts'
import { CONVERSATION_GATE, moveGate } from '../../../src/messages/gate.postgres.ts'
import { OPEN_FOR_ACCOUNTS } from '../../../src/messages/statements.postgres.ts'
import { CommitError, type MessageStore } from '../../../src/messages/store.ts'
import { type Database, openDatabase } from '../../../src/postgres/database.ts'
import type { Queries } from '../../../src/postgres/queries.ts'
import { longUserId, pendingMessage, positionChange } from '../../support/builders.ts'
import { createDatabase, execute, type TestDatabase } from '../../support/databases.ts'
import { messagesOver } from '../../support/messages.ts'
import { postgresStore } from '../../support/postgres-store.ts'
import { silentLogger } from '../../support/silent-logger.ts'
import { openTransaction, rowsOf, WAITING_FOR_LOCK } from '../../support/transactions.ts'

let created: TestDatabase
let database: Database
let queries: Queries
let store: MessageStore
let people = 0

beforeAll(async () => {
  created = await createDatabase()
  database = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  queries = database.openQueries(1)
  store = postgresStore(database, silentLogger, undefined, 'accounts')
})

afterAll(async () => {
  await store.close()
  await database.close()
  await created.drop()
})

/** An id with an active account and a password. */
async function somebody(): Promise<string> {
  people += 1
  const id = longUserId(people % 2 === 0 ? 'x' : 'd', people)
  await queries.query('insert into accounts (user_id, username, username_key) values ($1, $2, $2)', [
    id,
    `name${people}`,
  ])
  await queries.query(`insert into passwords (user_id, phc) values ($1, 'phc')`, [id])
  return id
}

const ALL = { from: { side: 'lower', after: '' }, limit: 100 } as const
const close = (user: string) => queries.transaction((open) => moveGate(open, user, { ...ALL, isOpen: false }))
const reopen = (user: string) => queries.transaction((open) => moveGate(open, user, { ...ALL, isOpen: true }))
const headOf = (a: string, b: string): Promise<number> => store.lastSeq(conversationBetween(a, b))

/** The failure of a commit and the conversations that it is about. */
async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof CommitError)) throw new Error('the commit did not fail', { cause: error })
  return [error.failure, [...error.conversations]]
}

async function waiting(count: number): Promise<void> {
  await expect.poll(() => queries.query(WAITING_FOR_LOCK), { interval: 5, timeout: 60_000 }).toHaveLength(count)
}

/** Whatever writes to the audit goes as far as its commit, and waits there with all that it has locked. */
const holdCommits = () => openTransaction(created.dsn, 'select from audit_head for update')
const ACTOR = { kind: 'command_line', id: '', address: '', requestId: '' } as const
/** On a connection of its own, because it waits. */
const administration = (gateSlice?: number) =>
  new PostgresAdminStore({
    queries: database.openQueries(1),
    life: { lifetimeSeconds: 60 },
    gate: CONVERSATION_GATE,
    ...(gateSlice !== undefined && { gateSlice }),
  })

async function signIn(userId: string): Promise<unknown> {
  const accounts = new PostgresAccountStore(database.openQueries(1), { lifetimeSeconds: 60 })
  const verified = await accounts.credentialsOf(userId)
  const secret = { kind: 'cookie', secretHash: Buffer.from(userId) } as const
  const session = { secret, deviceName: undefined, userAgent: undefined, address: '' }
  const opening = { session, deviceHash: Buffer.from(userId), replaces: undefined, actor: ACTOR }
  return verified && accounts.login(verified, opening, undefined)
}

/** Sends from one person through the writer in one batch; `send` gives the id of a message that is sent again. */
function bench() {
  const all = messagesOver({ store, clock: systemClock, listeners: [] })
  const send = (from: string, to: string, id?: string): Promise<string> =>
    new Promise((resolve) => {
      const settled = ({ refusal, fate }: { refusal: string | undefined; fate: string }) => resolve(refusal ?? fate)
      all.messages.send(from, { receiver_id: to, content: 'hi', id }, { settled })
    })
  return { ...all, send }
}

describe('a closed conversation', () => {
  test('fails the fast path; the careful one refuses what is new, knows what is not, and moves positions', async () => {
    const [a, b, c] = [await somebody(), await somebody(), await somebody()]
    const first = pendingMessage(a, b)
    await store.commit([first, pendingMessage(a, c)], [], 'fast')
    await close(b)
    const batch = [
      pendingMessage(a, b, 'new'),
      pendingMessage(a, c, 'new'),
      pendingMessage(a, b, 'hi', first.id),
      pendingMessage(b, a, 'from the one who is gone'),
      pendingMessage(a, b, 'other', first.id),
    ]
    expect(await failureOf(store.commit(batch, [], 'fast'))).toEqual(['unnumbered', [first.conversation.key]])
    expect(batch.map(({ fate }) => fate)).toEqual(batch.map(() => 'pending'))
    const states = await store.commit(batch, [positionChange(b, a, { delivered: 1, read: 1 })], 'careful')
    expect(batch.map(({ fate, seq }) => [fate, seq])).toEqual([
      ['closed', 0],
      ['stored', 2],
      ['duplicate', 1],
      ['closed', 0],
      ['conflict', 1],
    ])
    expect(states).toMatchObject([{ user: b, delivered: 1, read: 1 }])
    expect([await headOf(a, b), await headOf(a, c)]).toEqual([1, 2])
  })

  test('is found also where only other conversations are suspected, and refuses equal ids of one batch', async () => {
    const [a, b, c] = [await somebody(), await somebody(), await somebody()]
    await store.commit([pendingMessage(a, b), pendingMessage(a, c)], [], 'fast')
    await close(c)
    const twice = pendingMessage(a, c, 'twice')
    const batch = [pendingMessage(a, b), twice, pendingMessage(a, c, 'twice', twice.id)]
    await store.commit(batch, [], new Set([conversationBetween(a, b).key]))
    expect(batch.map(({ fate }) => fate)).toEqual(['stored', 'closed', 'closed'])
  })

  test('moves positions on the fast path', async () => {
    const [a, b] = [await somebody(), await somebody()]
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await close(a)
    const states = await store.commit([], [positionChange(b, a, { delivered: 1 })], 'fast')
    expect(states).toMatchObject([{ user: b, delivered: 1 }])
  })

  test('costs one failed attempt, however many sends follow, and those of others nothing', async () => {
    const [a, b, c] = [await somebody(), await somebody(), await somebody()]
    const { send, failures, paths, counted } = bench()
    expect(await Promise.all([send(a, b), send(a, c)])).toEqual(['stored', 'stored'])
    await close(c)
    for (let round = 0; round < 5; round += 1) {
      expect(await Promise.all([send(a, b), send(a, c), send(c, a)])).toEqual(['stored', 'closed', 'closed'])
    }
    expect(failures).toEqual(['unnumbered'])
    expect(paths).toEqual(['fast', ...Array.from({ length: 5 }, () => new Set([conversationBetween(a, c).key]))])
    expect(counted.filter((outcome) => outcome === 'closed')).toHaveLength(10)
  })

  test('leaves no dead row for each send that it refuses', async () => {
    const [a, b] = [await somebody(), await somebody()]
    await store.commit([pendingMessage(a, b)], [], 'fast')
    await close(b)
    const version = `select xmin::text, ctid::text from conversations where '${a}' in (user_lo, user_hi)`
    const before = await rowsOf(created.dsn, version)
    const refused = pendingMessage(a, b)
    await store.commit([refused], [], 'careful')
    expect(refused.fate).toBe('closed')
    expect(await rowsOf(created.dsn, version)).toEqual(before)
  })

  test('answers a send that was stored before the closing as it was answered then', async () => {
    const [a, b] = [await somebody(), await somebody()]
    const { send } = bench()
    const id = '0197c1f8-1111-7000-8000-000000000001'
    expect(await send(a, b, id)).toBe('stored')
    await close(b)
    expect(await send(a, b, id)).toBe('duplicate')
    expect(await send(a, b)).toBe('closed')
  })

  test('takes nothing of a batch that waited for the closing', async () => {
    const [a, b] = [await somebody(), await somebody()]
    await store.commit([pendingMessage(a, b)], [], 'fast')
    const closing = await openTransaction(
      created.dsn,
      `update conversations set gate = 16 where '${a}' in (user_lo, user_hi)`,
    )
    const outcome = failureOf(store.commit([pendingMessage(a, b)], [], 'fast'))
    await waiting(1)
    await closing.end()
    expect(await outcome).toEqual(['unnumbered', [conversationBetween(a, b).key]])
    expect(await headOf(a, b)).toBe(1)
  })

  test('takes nothing after the closing is committed, while two instances send as fast as they can', async () => {
    const other = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
    const otherStore = postgresStore(other, silentLogger, undefined, 'accounts')
    const [a, b] = [await somebody(), await somebody()]
    const sending = async (one: MessageStore): Promise<void> => {
      for (;;) {
        const message = pendingMessage(a, b)
        if ((await one.commit([message], [], 'fast').catch(() => 'closed')) === 'closed') return
      }
    }
    const senders = [sending(store), sending(otherStore)]
    await expect.poll(() => headOf(a, b), { interval: 1, timeout: 60_000 }).toBeGreaterThan(20)
    await close(a)
    const head = await headOf(a, b)
    await Promise.all(senders)
    expect(await headOf(a, b)).toBe(head)
    await otherStore.close()
    await other.close()
  })

  test('opens again for the one who comes back, and stays closed while the other is gone', async () => {
    const [a, b, c] = [await somebody(), await somebody(), await somebody()]
    const { send } = bench()
    await Promise.all([send(a, b), send(a, c), send(a, a)])
    await close(a)
    await close(b)
    await close(a)
    expect(await Promise.all([send(a, b), send(a, c), send(a, a)])).toEqual(['closed', 'closed', 'closed'])
    await reopen(a)
    expect(await Promise.all([send(a, b), send(c, a), send(a, a)])).toEqual(['closed', 'stored', 'stored'])
    await reopen(b)
    expect(await send(a, b)).toBe('stored')
  })
})

describe('the conversations of somebody with many', () => {
  /** Somebody who wrote to nine others, of whom some sort before and some behind them, and to themselves. */
  async function busy(): Promise<{ own: string; closed: () => Promise<number>; others: readonly string[] }> {
    const people = await Promise.all(Array.from({ length: 10 }, () => somebody()))
    people.sort()
    const [own = '', ...others] = [...people.slice(4), ...people.slice(0, 4)]
    await store.commit(
      people.map((other) => pendingMessage(own, other)),
      [],
      'fast',
    )
    const closed = async () => {
      const rows = await queries.query('select from conversations where $1 in (user_lo, user_hi) and gate <> 0', [own])
      return rows.length
    }
    return { own, closed, others }
  }
  const isBehind = async (own: string) =>
    (await queries.query('select from accounts where user_id = $1 and gate_side is not null', [own])).length > 0

  test('are closed some at a time, and stay so for those who come back in between', async () => {
    const { own, closed } = await busy()
    const store = administration(3)
    expect(await store.suspend(own, ACTOR)).toBe('done')
    expect([await closed(), await isBehind(own)]).toEqual([3, true])
    await store.finishGate(own)
    expect([await closed(), await isBehind(own)]).toEqual([10, false])
    await store.unsuspend(own, ACTOR)
    // The one with themselves is open once both of its bits are gone.
    expect([await closed(), await isBehind(own)]).toEqual([8, true])
    await store.finishGate(own)
    expect([await closed(), await isBehind(own)]).toEqual([0, false])
  })

  test('that an instance left in the middle are closed by the next look, and no new one begins meanwhile', async () => {
    const { own, closed } = await busy()
    await administration(2).suspend(own, ACTOR)
    expect(await bench().send(await somebody(), own)).toBe('not_found')
    const [one, two] = [administration(2), administration(3)]
    await Promise.all([one.finishGates(), two.finishGates(), one.finishGate(own)])
    expect([await closed(), await isBehind(own)]).toEqual([10, false])
    const { send } = bench()
    expect(await send(own, own)).toBe('closed')
  })

  test('are closed though somebody before them fails, and by nobody while the database answers nothing', async () => {
    const [one, two] = [await busy(), await busy()]
    const [first, second] = one.own < two.own ? [one, two] : [two, one]
    for (const { own } of [one, two]) await administration(2).suspend(own, ACTOR)
    const life = { lifetimeSeconds: 60 }
    const asked: string[] = []
    const failing = (fail: () => Promise<unknown>) => ({
      async move(...[open, userId, move]: Parameters<typeof moveGate>) {
        asked.push(userId)
        if (userId === first.own) await fail()
        return moveGate(open, userId, move)
      },
    })
    const away = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
    let closing: Promise<void> | undefined
    const goAway = () => {
      closing = away.close()
      return Promise.reject(new Error('gone'))
    }
    const cutOff = new PostgresAdminStore({ queries: away.openQueries(1), life, gate: failing(goAway) })
    await expect(cutOff.finishGates()).rejects.toThrow('pool')
    await closing
    expect(asked).toEqual([first.own])
    const gate = failing(() => Promise.reject(new Error('a lasting fault')))
    const other = new PostgresAdminStore({ queries, life, gate })
    await expect(other.finishGates()).rejects.toThrow(
      `1 people could not be followed, such as ${first.own}: a lasting fault`,
    )
    expect([await isBehind(first.own), await isBehind(second.own)]).toEqual([true, false])
    await administration().finishGates()
    expect([await first.closed(), await isBehind(first.own)]).toEqual([10, false])
  })

  test('are as the last state wants them, however many changes cross', async () => {
    const { own, closed } = await busy()
    const [one, two] = [administration(2), administration(3)]
    for (let round = 0; round < 4; round += 1) {
      await one.suspend(own, ACTOR)
      await Promise.all([one.finishGate(own), two.unsuspend(own, ACTOR), two.finishGate(own)])
      await Promise.all([one.finishGates(), two.finishGates()])
      expect([await closed(), await isBehind(own)]).toEqual([0, false])
    }
    await two.unsuspend(own, ACTOR)
    await Promise.all([one.remove(own, ACTOR), two.finishGate(own)])
    await one.finishGates()
    expect([await closed(), await isBehind(own)]).toEqual([10, false])
  })

  test('take what is sent until their turn has come, and wait for no other step', async () => {
    const { own, others } = await busy()
    const store = administration(2)
    await store.suspend(own, ACTOR)
    const account = await openTransaction(created.dsn, `select from accounts where user_id = '${own}' for update`)
    const finishing = store.finishGate(own)
    await waiting(1)
    const last = others.at(-1) ?? ''
    expect(await bench().send(last, own)).toBe('stored')
    await account.end()
    await finishing
    expect(await bench().send(last, own)).toBe('closed')
  })
})

describe('a new conversation', () => {
  test('begins between active accounts alone; whoever cannot be found takes nothing else of the batch with them', async () => {
    const [a, b, suspended, deleted] = [await somebody(), await somebody(), await somebody(), await somebody()]
    await queries.query('update accounts set state = 1 where user_id = $1', [suspended])
    await queries.query('update accounts set state = 2, username = null, username_key = null where user_id = $1', [
      deleted,
    ])
    const { send, failures } = bench()
    const outcomes = [send(a, 'nobody'), send(a, b), send(a, suspended), send(a, deleted), send('ghost', b), send(a, a)]
    expect(await Promise.all(outcomes)).toEqual([
      'not_found',
      'stored',
      'not_found',
      'not_found',
      'not_found',
      'stored',
    ])
    expect(failures).toEqual(['unknown_person'])
    expect(await queries.query(`select 1 from conversations where 'nobody' in (user_lo, user_hi)`)).toEqual([])
  })

  test('that exists is proof of its people: nobody looks for them again', async () => {
    const [a, b] = [await somebody(), await somebody()]
    const { send, failures } = bench()
    await send(a, b)
    await queries.query('update accounts set state = 1 where user_id = $1', [b])
    expect(await send(a, b)).toBe('stored')
    expect(failures).toEqual([])
  })

  test.each(['suspend', 'remove'] as const)(
    'does not begin with somebody while a %s of them is committed',
    async (end) => {
      const [a, b] = [await somebody(), await somebody()]
      const commits = await holdCommits()
      const ending = administration()[end](b, ACTOR)
      await waiting(1)
      const outcome = failureOf(store.commit([pendingMessage(a, b)], [], 'fast'))
      await waiting(2)
      await commits.end()
      expect(await ending).toBe('done')
      expect(await outcome).toEqual(['unknown_person', [conversationBetween(a, b).key]])
    },
  )

  test('that began first is found by the suspension, which waits for it', async () => {
    const [a, b] = [await somebody(), await somebody()]
    const [lo, hi] = [a, b].sort()
    const open = OPEN_FOR_ACCOUNTS.text.replaceAll('$1', `'{${lo}}'`).replaceAll('$2', `'{${hi}}'`)
    const opening = await openTransaction(created.dsn, open)
    const suspending = administration().suspend(b, ACTOR)
    await waiting(1)
    await opening.end()
    expect(await suspending).toBe('done')
    expect(await bench().send(a, b)).toBe('closed')
  })

  test.each<[string, (userId: string) => Promise<unknown>]>([
    ['signs in', (userId) => signIn(userId)],
    ['gets another role', (userId) => administration().setRole(userId, 'admin', ACTOR)],
    ['is let in again', (userId) => administration().unsuspend(userId, ACTOR)],
  ])('begins while somebody in it %s, and waits for nothing', async (_, change) => {
    const [a, b] = [await somebody(), await somebody()]
    const commits = await holdCommits()
    const changing = change(b)
    await waiting(1)
    const message = pendingMessage(a, b)
    await store.commit([message], [], 'fast')
    expect(message.fate).toBe('stored')
    await waiting(1)
    await commits.end()
    expect(await changing).toBeTruthy()
  })

  test('is anybody’s where there are no accounts', async () => {
    const plain = await openDatabase({ dsn: created.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
    const anybody = postgresStore(plain, silentLogger)
    const message = pendingMessage('ann', 'bob')
    await anybody.commit([message], [], 'fast')
    expect(message.fate).toBe('stored')
    await anybody.close()
    await plain.close()
    await execute(created.dsn, `delete from messages where id = '${message.id}'`)
  })
})
