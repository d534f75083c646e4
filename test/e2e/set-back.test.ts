// A database that loses what was acknowledged, while the service and its clients stay: after a failover to an older standby, or
// a restore.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { parseDsn } from '../../src/postgres/dsn.ts'
import { startOn } from '../support/app.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { RedisServer } from '../support/redis.ts'
import { get, post } from '../support/rest-client.ts'
import { type Frame, SocketClient } from '../support/socket-client.ts'
import { rowsOf, WAITING_FOR_LOCK } from '../support/transactions.ts'

const SET_BACK = `
  delete from messages where seq > 10;
  update conversations set last_seq = least(last_seq, 10),
    lo_delivered_seq = least(lo_delivered_seq, 10), hi_delivered_seq = least(hi_delivered_seq, 10),
    lo_read_seq = least(lo_read_seq, 10), hi_read_seq = least(hi_read_seq, 10)`
const END_SESSIONS = `select pg_terminate_backend(pid) from pg_stat_activity
  where datname = current_database() and pid <> pg_backend_pid()`

/** One person's only device, as the contract wants it: comes back after 1012, and compares what it keeps with a new epoch. */
class Person {
  readonly name: string
  readonly peer: string
  readonly epochs: string[] = []
  readonly closings: number[] = []
  /** Of the peer: how far the receipts say they are, since the epoch began. */
  readSeq = 0
  /** Texts by seq. */
  kept = new Map<number, { id: string; content: string }>()
  readonly #app: App
  readonly #outbox = new Map<string, string>()
  #client: SocketClient | undefined
  #seen = 0
  #isOver = false

  constructor(app: App, name: string, peer: string) {
    this.#app = app
    this.name = name
    this.peer = peer
  }

  async connect(): Promise<void> {
    const client = await SocketClient.connect(this.#app, this.name)
    const epoch = String(client.frames[0]?.['epoch'])
    const before = this.epochs.at(-1)
    this.#client = client
    this.#seen = 0
    if (before !== epoch) this.epochs.push(epoch)
    if (before !== undefined && before !== epoch) await this.#compare(client)
    for (const [id, content] of this.#outbox) client.send({ type: 'send', receiver_id: this.peer, content, id })
    void client.closed.then(({ code }) => {
      this.closings.push(code)
      if (!this.#isOver) void this.connect()
    })
  }

  async #compare(client: SocketClient): Promise<void> {
    this.readSeq = 0
    const head = Math.max(0, ...this.kept.keys())
    const [same] = await this.#history(client, { before: head + 1, limit: 1 })
    if (same?.seq === head && same.id === this.kept.get(head)?.id) return
    this.kept.clear()
    for (const message of await this.#history(client, { after: 0, limit: 500 })) this.#keep(message)
  }

  async #history(client: SocketClient, bounds: object): Promise<readonly Frame[]> {
    const ref = randomUUID()
    client.send({ type: 'history', with: this.peer, ref, ...bounds })
    const reply = await client.next((frame) => frame.type === 'history' && frame.ref === ref)
    return reply.messages ?? []
  }

  say(content: string): void {
    const id = randomUUID()
    this.#outbox.set(id, content)
    this.#client?.send({ type: 'send', receiver_id: this.peer, content, id })
  }

  read(seq: number): void {
    this.#client?.send({ type: 'read', with: this.peer, seq })
  }

  /** Takes in what has arrived, and returns the texts in order. */
  screen(): string[] {
    const frames = this.#client?.frames ?? []
    for (; this.#seen < frames.length; this.#seen += 1) this.#take(frames[this.#seen] as Frame)
    return [...this.kept].sort(([a], [b]) => a - b).map(([seq, { content }]) => `${seq} ${content}`)
  }

  get hasSentAll(): boolean {
    this.screen()
    return this.#outbox.size === 0
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#client?.close()
  }

  #take(frame: Frame): void {
    if (frame.type === 'message') this.#keep(frame)
    if (frame.type === 'receipt' && !frame['user_id']) this.readSeq = Math.max(this.readSeq, Number(frame['read_seq']))
    if (frame.type !== 'sent') return
    const content = this.#outbox.get(String(frame.id))
    if (content !== undefined) this.#keep({ ...frame, content })
    this.#outbox.delete(String(frame.id))
  }

  /** What is not above the last is a repeat. */
  #keep({ seq = 0, id = '', content = '' }: Frame): void {
    if (!this.kept.has(seq)) this.kept.set(seq, { id, content })
  }
}

let database: TestDatabase
let redis: RedisServer | undefined
let apps: App[]
let people: Person[]

beforeEach(async () => {
  database = await createDatabase()
  redis = undefined
  apps = []
  people = []
})
afterEach(async () => {
  await Promise.all(people.map((person) => person.close()))
  await Promise.all(apps.map((app) => app.stop()))
  await redis?.stop()
  await database.drop()
})

/** Ann and Bob have twenty messages, all of them read. With Redis each is on an instance of their own. */
async function twentyRead(withRedis: boolean): Promise<readonly [Person, Person]> {
  if (withRedis) redis = await RedisServer.start()
  const env = redis ? { REDIS_ADDR: redis.url } : {}
  apps = await Promise.all(Array.from({ length: redis ? 2 : 1 }, () => startOn(database.dsn, env)))
  const [first, last] = [apps[0] as App, apps.at(-1) as App]
  const [ann, bob] = [new Person(first, 'ann', 'bob'), new Person(last, 'bob', 'ann')]
  people = [ann, bob]
  await Promise.all(people.map((person) => person.connect()))
  for (let count = 1; count <= 20; count += 1) ann.say(`old ${count}`)
  await eventually(() => ann.hasSentAll && bob.screen().length === 20, 'twenty messages')
  bob.read(20)
  await eventually(() => ann.screen().length === 20 && ann.readSeq === 20, 'the receipt')
  return [ann, bob]
}

const RIGHT = [
  ...Array.from({ length: 10 }, (_, index) => `${index + 1} old ${index + 1}`),
  ...Array.from({ length: 5 }, (_, index) => `${index + 11} new ${index + 1}`),
]

describe.each([
  ['alone', false],
  ['with others over Redis', true],
])('an instance %s', (_where, withRedis) => {
  test.each([
    ['ended', async () => execute(database.dsn, `${SET_BACK}; ${END_SESSIONS}`)],
    ['kept', async () => execute(database.dsn, SET_BACK)],
    [
      'ended before, and new ones at work',
      async () => {
        await execute(database.dsn, END_SESSIONS)
        await anotherLook()
        await execute(database.dsn, SET_BACK)
      },
    ],
  ])(
    'notices that its database was set back, its sessions %s, and makes everybody look again',
    async (_how, setBack) => {
      const [ann, bob] = await twentyRead(withRedis)
      await setBack()
      for (let count = 1; count <= 5; count += 1) ann.say(`new ${count}`)
      await eventually(
        () => ann.hasSentAll && people.every((person) => person.screen().join() === RIGHT.join()),
        'the right messages on both screens',
      )
      bob.read(15)
      await eventually(() => ann.screen().length === 15 && ann.readSeq === 15, 'a receipt of the new line')
      const stored = await rowsOf(database.dsn, 'select seq, content from messages order by seq')
      expect(stored.map((row) => Object.values(row).join(' '))).toEqual(RIGHT)
      for (const { closings, epochs } of people) {
        expect(closings).toEqual([1012])
        expect(epochs).toHaveLength(2)
      }
      expect(ann.epochs).toEqual(bob.epochs)
      const [state] = await rowsOf(database.dsn, 'select epoch from service_state')
      expect(ann.epochs.at(-1)).toBe(state?.epoch)
    },
  )

  test('notices it also where its writer had no session left to lose', async () => {
    await twentyRead(withRedis)
    // Nobody writes from here on.
    await execute(database.dsn, END_SESSIONS)
    await anotherLook()
    await execute(database.dsn, SET_BACK)
    await execute(database.dsn, END_SESSIONS)
    await eventually(() => people.every(({ epochs }) => epochs.length === 2), 'a new epoch')
    await eventually(
      () => people.every((person) => person.screen().join() === RIGHT.slice(0, 10).join()),
      'what is stored on both screens',
    )
  })

  test('whose sessions are ended, and nothing else, disturbs nobody', async () => {
    const [ann, bob] = await twentyRead(withRedis)
    await execute(database.dsn, END_SESSIONS)
    ann.say('more')
    await eventually(() => ann.hasSentAll && bob.screen().length === 21, 'one more message')
    bob.read(21)
    await eventually(() => ann.screen().length === 21 && ann.readSeq === 21, 'a receipt')
    await anotherLook()
    for (const { closings, epochs } of people) {
      expect(closings).toEqual([])
      expect(epochs).toHaveLength(1)
    }
  })
})

test('a new epoch is asked again which conversation is whose, though no session ended', async () => {
  const app = await startOn(database.dsn)
  apps = [app]
  const send = (id: string) => post(app, { sender_id: 'ann', receiver_id: 'bob', content: id, id })
  await send(randomUUID())
  // The row is another pair's after the restore, and the operator renews the epoch.
  await execute(
    database.dsn,
    `delete from messages; update conversations set user_lo = 'cid', user_hi = 'dan', last_seq = 0;
     update service_state set epoch = 'restored', renewed_at = renewed_at + interval '1 second'`,
  )
  await eventually(async () => {
    const client = await SocketClient.connect(app, 'eve')
    await client.close()
    return client.frames[0]?.['epoch'] === 'restored'
  }, 'the new epoch')
  const second = randomUUID()
  expect((await send(second)).status).toBe(201)
  expect(
    await rowsOf(database.dsn, 'select user_lo, user_hi, id from messages join conversations using (conversation_id)'),
  ).toEqual([{ user_lo: 'ann', user_hi: 'bob', id: second }])
})

/** What an instance has done that was quicker to see that the database had lost ten messages: ten others have their numbers. */
const NEXT_EPOCH = `${SET_BACK};
  insert into messages (conversation_id, seq, id, sender_id, content, created_at)
    select conversation_id, seq, gen_random_uuid(), 'ann', 'new', now() from conversations, generate_series(11, 20) seq;
  update conversations set last_seq = 20;
  update service_state set epoch = 'next', renewed_at = renewed_at + interval '1 second'`

async function sendTwenty(app: App): Promise<void> {
  for (let count = 1; count <= 20; count += 1)
    await post(app, { sender_id: 'ann', receiver_id: 'bob', content: `old ${count}`, id: randomUUID() })
}

test('what was read in the epoch before counts nothing in the next, where others have its numbers', async () => {
  const app = await startOn(database.dsn)
  apps = [app]
  await sendTwenty(app)
  const bob = await SocketClient.connect(app, 'bob')
  await bob.next((frame) => frame.seq === 20)
  const failover = new pg.Client(parseDsn(database.dsn))
  await failover.connect()
  try {
    await failover.query(
      'begin; lock table service_state in access exclusive mode; select from conversations for update',
    )
    bob.send({ type: 'read', with: 'ann', seq: 20 })
    await eventually(
      async () =>
        (await rowsOf(database.dsn, `${WAITING_FOR_LOCK} and query like '%update conversations%'`)).length === 1,
      'the position on its way',
    )
    await failover.query(`${NEXT_EPOCH}; ${END_SESSIONS}; commit`)
  } finally {
    await failover.end()
  }
  expect(await bob.closed).toMatchObject({ code: 1012 })
  // Behind whatever waited.
  expect((await post(app, { sender_id: 'ann', receiver_id: 'bob', content: 'more', id: randomUUID() })).status).toBe(
    201,
  )
  expect(await rowsOf(database.dsn, 'select hi_delivered_seq, hi_read_seq from conversations')).toEqual([
    { hi_delivered_seq: '0', hi_read_seq: '0' },
  ])
})

test('nobody reads of the next epoch over a socket of the one before, whose server hangs', async () => {
  const postgres = await ExternalPostgres.start()
  onTestFinished(() => postgres.remove())
  const app = await startOn(postgres.dsn)
  apps = [app]
  await sendTwenty(app)
  const bob = await SocketClient.connect(app, 'bob')
  await bob.next((frame) => frame.seq === 20)
  // What answers from here on is another server, and no look is told so.
  postgres.hang()
  await execute(postgres.dsn, NEXT_EPOCH)
  // Each has a connection of its own, as those before it hang; at last one that is new.
  for (let ref = 1; ref <= 4; ref += 1) {
    bob.send({ type: 'history', with: 'ann', after: 15, ref })
    await bob.settled()
  }
  expect(await bob.next(({ type }) => type === 'history' || type === 'error')).toMatchObject({
    type: 'error',
    code: 'unavailable',
  })
  postgres.loseHung()
  expect(await bob.closed).toMatchObject({ code: 1012 })
  expect(bob.frames.filter(({ type }) => type === 'history')).toEqual([])
})

test('an address that leads elsewhere is followed, although the server of before lives on', async () => {
  const postgres = await ExternalPostgres.start()
  onTestFinished(() => postgres.remove())
  await (await startOn(postgres.dsn)).stop()
  await postgres.run('create database chat_two template chat_app owner "user"')
  const app = await startOn(postgres.dsn)
  apps = [app]
  const send = (content: string) => post(app, { sender_id: 'ann', receiver_id: 'bob', content, id: randomUUID() })
  expect((await send('to the first')).status).toBe(201)
  const bob = await SocketClient.connect(app, 'bob')
  await bob.next('synced')
  postgres.leadTo('chat_two')
  // Of all sessions the writer's alone is lost.
  await postgres.run(`select pg_terminate_backend(pid) from pg_stat_activity where query = 'COMMIT'`)
  await eventually(async () => (await send('to the second')).status === 201, 'a message stored')
  expect(await bob.closed).toMatchObject({ code: 1012 })
  expect(await rowsOf(postgres.dsn, 'select distinct content from messages')).toEqual([{ content: 'to the second' }])
  const history = await get(app, '/api/messages?user_id=bob&with=ann')
  expect(history.body).toMatchObject({ messages: [{ seq: 1, content: 'to the second' }] })
})

/** Who has read the backlog of a user last. */
const LAST_READER = `select pid from pg_stat_activity where datname = current_database()
  and query like '%lo_delivered_seq, last_seq from conversations where user_lo%' and pid <> pg_backend_pid()
  order by query_start desc limit 1`

test('in a new epoch nothing is read over a session of the one before', async () => {
  const app = await startOn(database.dsn)
  apps = [app]
  const bob = await SocketClient.connect(app, 'bob')
  await bob.next('synced')
  const [before] = await rowsOf(database.dsn, LAST_READER)
  await execute(database.dsn, `update service_state set epoch = 'next', renewed_at = renewed_at + interval '1 second'`)
  expect(await bob.closed).toMatchObject({ code: 1012 })
  const again = await SocketClient.connect(app, 'bob')
  await again.next('synced')
  const [after] = await rowsOf(database.dsn, LAST_READER)
  expect([before?.pid, after?.pid]).toEqual([expect.any(Number), expect.any(Number)])
  expect(after?.pid).not.toBe(before?.pid)
  await again.close()
})

/** Which sessions have read the epoch, and when. */
const EPOCH_READS = `select pid, state_change::text as at from pg_stat_activity
  where datname = current_database() and query like '%service_state%' and pid <> pg_backend_pid() and state = 'idle'`

/**
 * As long as it takes every instance to look at the epoch, with all that a look compares: then it looks again, over the same session.
 * Those of writers and readers read it once.
 */
async function anotherLook(): Promise<void> {
  const observer = new pg.Client(parseDsn(database.dsn))
  const timesOf = new Map<number, Set<string>>()
  await observer.connect()
  try {
    await eventually(async () => {
      for (const { pid, at } of (await observer.query<{ pid: number; at: string }>(EPOCH_READS)).rows)
        timesOf.set(pid, (timesOf.get(pid) ?? new Set()).add(at))
      return [...timesOf.values()].filter((times) => times.size > 1).length >= apps.length
    }, 'another look')
  } finally {
    await observer.end()
  }
}
