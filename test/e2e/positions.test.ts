import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { backlogOf, startOn } from '../support/app.ts'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { ExternalPostgres } from '../support/external-postgres.ts'
import { figure } from '../support/figures.ts'
import { type Event, Reader, seqs } from '../support/reader.ts'
import { get, post } from '../support/rest-client.ts'

let database: TestDatabase
let app: App

beforeAll(async () => {
  database = await createDatabase()
  app = await startOn(database.dsn)
})
afterAll(async () => {
  await app.stop()
  await database.drop()
})

const text = (receiver_id: string) => () => ({ receiver_id, content: 'text' })
const closeAll = (...readers: Reader[]): Promise<unknown> => Promise.all(readers.map((reader) => reader.kill()))

/** Receipts since the last call, once everything that the mover moved is stored and told. */
async function receipts(mover: Reader, ...readers: Reader[]): Promise<object[][]> {
  await mover.ask({ type: 'conversations' })
  await Promise.all(readers.map((reader) => reader.ask({ type: 'ping' })))
  return readers.map((reader) => {
    const found = reader.events.filter(({ type }) => type === 'receipt')
    const others = reader.events.filter(({ type }) => type !== 'receipt')
    reader.events.splice(0, reader.events.length, ...others)
    return found.map(({ type: _, ...fields }) => fields)
  })
}

/** The only conversation, by the command and by REST, which must agree. */
async function conversation(reader: Reader): Promise<Event> {
  const { conversations } = await reader.ask({ type: 'conversations' })
  const answer = await get(app, `/api/conversations?user_id=${reader.user}`)
  expect(answer.body).toEqual({ conversations, next_cursor: null })
  const [only, ...more] = conversations as Event[]
  expect(more).toEqual([])
  return only ?? { type: 'none' }
}

test('shows receipts and reads to whom they concern, at every step, on every device but the one that moved', async () => {
  const ann = await Reader.connect(app, 'ann')
  const [phone, laptop] = [await Reader.connect(app, 'bob'), await Reader.connect(app, 'bob')]
  await Promise.all([ann, phone, laptop].map((reader) => reader.event('synced')))
  await ann.sendMany(3, text('bob'))
  expect(await receipts(ann, ann, phone, laptop)).toEqual([[], [], []])
  expect([phone, laptop].map(({ arrivals }) => arrivals.get('ann'))).toEqual([seqs(1, 3), seqs(1, 3)])
  expect(await conversation(phone)).toMatchObject({
    with: 'ann',
    last_seq: 3,
    delivered_seq: 0,
    read_seq: 0,
    unread: 3,
  })

  phone.send({ type: 'ack', with: 'ann', seq: 2 })
  expect(await receipts(phone, ann, phone, laptop)).toEqual([
    [{ with: 'bob', delivered_seq: 2, read_seq: 0 }],
    [],
    [{ with: 'ann', delivered_seq: 2, read_seq: 0, user_id: 'bob' }],
  ])
  expect(await conversation(laptop)).toMatchObject({ delivered_seq: 2, read_seq: 0, unread: 3, peer_delivered_seq: 3 })
  expect(await conversation(ann)).toMatchObject({ with: 'bob', unread: 0, peer_delivered_seq: 2, peer_read_seq: 0 })

  laptop.send({ type: 'read', with: 'ann', seq: 1 })
  expect(await receipts(laptop, ann, phone, laptop)).toEqual([
    [{ with: 'bob', delivered_seq: 2, read_seq: 1 }],
    [{ with: 'ann', delivered_seq: 2, read_seq: 1, user_id: 'bob' }],
    [],
  ])
  expect(await conversation(phone)).toMatchObject({ delivered_seq: 2, read_seq: 1, unread: 2 })

  // Reading implies receiving.
  phone.send({ type: 'read', with: 'ann', seq: 3 })
  expect(await receipts(phone, ann, phone, laptop)).toEqual([
    [{ with: 'bob', delivered_seq: 3, read_seq: 3 }],
    [],
    [{ with: 'ann', delivered_seq: 3, read_seq: 3, user_id: 'bob' }],
  ])
  expect(await conversation(laptop)).toMatchObject({ delivered_seq: 3, read_seq: 3, unread: 0 })

  // A reply: whoever writes at the head has received and read what they wrote.
  await phone.sendMany(1, text('ann'))
  expect(await receipts(phone, ann, phone, laptop)).toEqual([[], [], []])
  expect([ann.arrivals.get('bob'), phone.arrivals.get('ann'), laptop.arrivals.get('ann')]).toEqual([
    [4],
    seqs(1, 3),
    seqs(1, 4),
  ])
  expect(await conversation(laptop)).toMatchObject({ last_seq: 4, delivered_seq: 4, read_seq: 4, unread: 0 })
  expect(await conversation(ann)).toMatchObject({ last_seq: 4, delivered_seq: 3, unread: 1, peer_read_seq: 4 })
  ann.send({ type: 'ack', with: 'bob', seq: 4 })
  const delivered = { with: 'ann', delivered_seq: 4, read_seq: 3 }
  expect(await receipts(ann, ann, phone, laptop)).toEqual([[], [delivered], [delivered]])
  await closeAll(ann, phone, laptop)
})

test('refuses a position above the head, and ignores one that is lower than before', async () => {
  const [cat, dan] = [await Reader.connect(app, 'cat'), await Reader.connect(app, 'dan')]
  expect(await dan.ask({ type: 'ack', with: 'cat', seq: 1 })).toMatchObject({ type: 'error', code: 'invalid_ack' })
  await cat.sendMany(5, text('dan'))
  for (const type of ['ack', 'read']) {
    expect(await dan.ask({ type, with: 'cat', seq: 6 })).toMatchObject({ type: 'error', code: 'invalid_ack' })
    expect(await dan.ask({ type, with: 'cat', seq: 2 ** 53 })).toMatchObject({ type: 'error' })
  }
  expect(await conversation(dan)).toMatchObject({ delivered_seq: 0, read_seq: 0 })
  dan.send({ type: 'read', with: 'cat', seq: 4 })
  expect(await conversation(dan)).toMatchObject({ delivered_seq: 4, read_seq: 4, unread: 1 })
  dan.send({ type: 'ack', with: 'cat', seq: 1 })
  dan.send({ type: 'read', with: 'cat', seq: 2 })
  expect(await conversation(dan)).toMatchObject({ delivered_seq: 4, read_seq: 4, unread: 1 })
  await dan.kill()
  const again = await Reader.connect(app, 'dan')
  await again.event('synced')
  expect(again.arrivals.get('cat')).toEqual([5])
  await closeAll(cat, again)
})

test('needs no acknowledgement of what one wrote oneself', async () => {
  const eve = await Reader.connect(app, 'eve')
  await eve.sendMany(300, text('fay'))
  await eve.kill()
  const again = await Reader.connect(app, 'eve')
  await again.event('synced')
  expect(again.messages).toBe(0)
  await again.kill()
})

test('lets a command see what the commands before it on the connection did', async () => {
  const gus = await Reader.connect(app, 'gus')
  for (let round = 1; round <= 5; round += 1) {
    for (let count = 0; count < 100; count += 1) gus.send({ type: 'send', receiver_id: 'hal', content: 'text' })
    const [history, sync, list] = await Promise.all([
      gus.ask({ type: 'history', with: 'hal', limit: 1 }),
      gus.ask({ type: 'sync', heads: [['hal', 0]] }),
      gus.ask({ type: 'conversations' }),
    ])
    expect(history.messages).toMatchObject([{ seq: round * 100 }])
    expect(sync.changed).toMatchObject([{ with: 'hal', last_seq: round * 100 }])
    expect(list.conversations).toMatchObject([{ with: 'hal', last_seq: round * 100 }])
  }
  const hal = await Reader.connect(app, 'hal')
  await hal.event('synced')
  for (const seq of [100, 200, 300]) {
    hal.send({ type: 'ack', with: 'gus', seq })
    const { changed } = await hal.ask({ type: 'sync' })
    expect(changed).toMatchObject([{ delivered_seq: seq }])
  }
  await closeAll(gus, hal)
})

test('shows a message to GET as soon as its 201 or its sent was given', async () => {
  const ida = await Reader.connect(app, 'ida')
  for (let round = 1; round <= 150; round += 1) {
    const stored = await post(app, { sender_id: 'ida', receiver_id: 'joe', content: `text ${round}` })
    const page = await get(app, '/api/messages?user_id=joe&with=ida&limit=1')
    expect(page.body?.messages).toMatchObject([{ id: stored.body?.id, seq: 2 * round - 1 }])
    const sent = await ida.ask({ type: 'send', receiver_id: 'joe', content: 'text' })
    const next = await get(app, '/api/messages?user_id=joe&with=ida&limit=1')
    expect(next.body?.messages).toMatchObject([{ id: sent.id, seq: 2 * round }])
  }
  await ida.kill()
})

describe('a client without a subprotocol', () => {
  const COUNT = 9000
  // More than the kernel's buffers of both ends take: at most 4 MiB and 32 MiB by default of current kernels.
  const CONTENT_LENGTH = 8000

  test('has received what left the service, and gets the rest again', async () => {
    await execute(database.dsn, backlogOf('kim', 'liz', COUNT, CONTENT_LENGTH))
    const first = await Reader.connect(app, 'liz', { protocol: null })
    await first.until(() => first.messages >= 200, 'the first pages')
    first.pause()
    const kim = await Reader.connect(app, 'kim')
    const reached = await stalled(kim)
    expect(reached).toBeGreaterThan(100)
    expect(reached).toBeLessThan(COUNT)
    figure(`the kernel took ${reached} messages of ${CONTENT_LENGTH} bytes; the client had read ${first.messages}`)
    await first.kill()
    const second = await Reader.connect(app, 'liz', { protocol: null })
    await second.event('synced')
    expect(second.arrivals.get('kim')).toEqual(seqs(reached + 1, COUNT))
    await kim.until(() => kim.events.some(({ delivered_seq }) => delivered_seq === COUNT), 'the last receipt')
    expect((await second.ask({ type: 'sync' })).changed).toMatchObject([{ delivered_seq: COUNT, read_seq: 0 }])
    await second.kill()
    const third = await Reader.connect(app, 'liz', { protocol: null })
    await third.event('synced')
    expect(third.messages).toBe(0)
    await closeAll(kim, third)
  })

  /** How far the reader's position comes while it does not read: until it has not moved for many looks, and for a while. */
  async function stalled(observer: Reader): Promise<number> {
    let [reached, still, sinceMs] = [0, 0, performance.now()]
    await eventually(async () => {
      const { changed } = await observer.ask({ type: 'sync' })
      const now = Number((changed as Event[])[0]?.peer_delivered_seq)
      still += 1
      if (now !== reached || now === 0) [still, sinceMs] = [0, performance.now()]
      reached = now
      return still >= 20 && performance.now() - sinceMs > 2_000
    }, 'a position that stays')
    return reached
  }

  test('has received what came live, too', async () => {
    const [max, ned] = [await Reader.connect(app, 'max'), await Reader.connect(app, 'ned', { protocol: null })]
    await ned.event('synced')
    await max.sendMany(20, text('ned'))
    await ned.until(() => ned.messages === 20, 'all')
    await max.until(() => max.events.some(({ delivered_seq }) => delivered_seq === 20), 'the receipt')
    await closeAll(max, ned)
  })
})

describe('after a restart', () => {
  let postgres: ExternalPostgres
  beforeAll(async () => {
    postgres = await ExternalPostgres.start()
  })
  afterAll(() => postgres.remove())

  test('positions stand, of the service and of a PostgreSQL that was killed', async () => {
    const before = await startOn(postgres.dsn)
    const [oli, pia] = [await Reader.connect(before, 'oli'), await Reader.connect(before, 'pia')]
    await oli.sendMany(10, text('pia'))
    pia.send({ type: 'ack', with: 'oli', seq: 7 })
    pia.send({ type: 'read', with: 'oli', seq: 4 })
    await pia.ask({ type: 'conversations' })
    await postgres.kill()
    await postgres.startAgain()
    await before.stop()
    const after = await startOn(postgres.dsn)
    const again = await Reader.connect(after, 'pia')
    await again.event('synced')
    expect(again.arrivals.get('oli')).toEqual([8, 9, 10])
    const { conversations } = await again.ask({ type: 'conversations' })
    expect(conversations).toMatchObject([{ delivered_seq: 7, read_seq: 4, unread: 6, peer_delivered_seq: 10 }])
    // Positions of a process that is drained right after they were moved stand as well.
    again.send({ type: 'ack', with: 'oli', seq: 8 })
    await again.ask({ type: 'conversations' })
    again.send({ type: 'ack', with: 'oli', seq: 9 })
    await again.ask({ type: 'ping' })
    await after.stop()
    const last = await startOn(postgres.dsn)
    const third = await Reader.connect(last, 'pia')
    await third.event('synced')
    expect(third.arrivals.get('oli')).toEqual([10])
    await third.kill()
    await last.stop()
  })
})
