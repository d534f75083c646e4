// The client SDK on the real service, over links that really break.
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { App } from '../../src/app.ts'
import { type Client, type ClientOptions, createClient, memoryStorage } from '../../src/client/index.ts'
import { seededRandom } from '../../src/client/testing/index.ts'
import { TcpProxy } from '../faults/tcp-proxy.ts'
import { startOn } from '../support/app.ts'
import { hurried, live, until, watchRows } from '../support/chat-client.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { contentsOf, rowsOf, told } from '../support/fake-chat.ts'
import { useServices } from '../support/service.ts'
import { faultySockets } from '../support/ws-faults.ts'

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

let people = 0
/** A user of this test alone. */
function somebody(name: string): string {
  people += 1
  return `${name}-${people}`
}

function connect(user: string, options: Partial<ClientOptions> & { readonly port?: number } = {}): Client {
  const { port = app.port, ...rest } = options
  const client = createClient({ url: `ws://127.0.0.1:${port}/ws`, auth: { userId: user }, WebSocket, ...rest })
  onTestFinished(() => client.close())
  return client
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

test('two people talk, and the sender sees how far each message is', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const [hers, his] = [connect(amy), connect(ben)]
  await Promise.all([live(hers), live(his)])
  const sending = hers.conversation(ben).send('hello')
  expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 1, with: ben, duplicate: false })
  await until(hers.conversation(ben).messages, ([row]) => row?.state === 'delivered')
  his.conversation(amy).markRead(1)
  await until(hers.conversation(ben).messages, ([row]) => row?.state === 'read')
  expect(rowsOf(his, amy)).toEqual(['hello received'])
  expect(his.conversation(amy).summary.get()).toMatchObject({ unread: 0, read_seq: 1, last_seq: 1 })
})

test('a reply that is lost after the commit makes no second message', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  let cuts = 0
  const cutsBefore = (frame: string): boolean => frame.includes('"type":"sent"') && cuts++ === 0
  const hers = connect(amy, { WebSocket: faultySockets({ cutsBefore }) })
  const his = connect(ben)
  const messages = told(his)
  await Promise.all([live(hers), live(his)])
  const { settled, id } = hers.conversation(ben).send('once')
  expect(await settled).toMatchObject({ outcome: 'ok', id, seq: 1 })
  expect(cuts).toBeGreaterThanOrEqual(1)
  await hers.conversation(ben).send('and then').settled
  await until(his.conversation(amy).messages, (rows) => rows.length === 2)
  expect(contentsOf(messages)).toEqual(['once', 'and then'])
})

test('a link that breaks right after the write loses nothing, also when the program ends there', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const storage = memoryStorage()
  const first = connect(amy, {
    storage,
    WebSocket: faultySockets({ cutsAfterWrite: (frame) => frame.includes('"send"') }),
  })
  await live(first)
  const { id } = first.conversation(ben).send('in the buffer')
  await until(first.status, ({ state }) => state === 'waiting')
  await first.close()
  const second = connect(amy, { storage })
  await until(second.conversation(ben).messages, ([row]) => row?.state === 'sent')
  const his = connect(ben)
  await until(his.conversation(amy).messages, ([row]) => row?.id === id)
  expect(rowsOf(his, amy)).toEqual(['in the buffer received'])
})

test('a hundred messages keep their order and their number while links break at random', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const random = seededRandom(19_101)
  const WebSocket = faultySockets({
    cutsBefore: (frame) => frame.includes('"type":"sent"') && random() < 0.02,
    cutsAfterWrite: (frame) => frame.includes('"send"') && random() < 0.02,
  })
  const hers = connect(amy, { WebSocket, random, clock: hurried })
  const his = connect(ben)
  const messages = told(his)
  const all = numbers(1, 100).map((text) => hers.conversation(ben).send(text))
  const outcomes = await Promise.all(all.map(({ settled }) => settled))
  expect(outcomes.map((outcome) => (outcome.outcome === 'ok' ? outcome.seq : outcome.outcome))).toEqual(
    numbers(1, 100).map(Number),
  )
  await until(his.conversation(amy).summary, ({ last_seq }) => last_seq === 100)
  await until(his.conversation(amy).messages, (rows) => rows.at(-1)?.seq === 100)
  expect(contentsOf(messages)).toEqual(numbers(1, 100))
})

test('a server that falls silent after the commit gets each message once a connection, and keeps it once', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  let connection = 0
  const written: string[] = []
  const isSilent = (): boolean => connection === 1 && written.length > 0
  const hers = connect(amy, {
    clock: hurried,
    WebSocket: faultySockets({
      swallows: (frame) => {
        if (frame.includes('"type":"welcome"')) connection += 1
        return isSilent()
      },
      cutsAfterWrite: (frame) => {
        if (frame.includes('"send"')) written.push(`${connection} ${JSON.parse(frame).id}`)
        return false
      },
    }),
  })
  await live(hers)
  const { id, settled } = hers.conversation(ben).send('patience')
  expect(await settled).toMatchObject({ outcome: 'ok', seq: 1, duplicate: true })
  expect(written).toEqual([`1 ${id}`, `2 ${id}`])
  const his = connect(ben)
  await until(his.conversation(amy).messages, (rows) => rows.length > 0)
  expect(rowsOf(his, amy)).toEqual(['patience received'])
})

test('later messages do not overtake those that are refused for now', async () => {
  const slow = await startOn(database.dsn, { USER_COMMANDS_PER_SECOND: '5' })
  onTestFinished(() => slow.stop())
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  let refused = 0
  const hers = connect(amy, {
    port: slow.port,
    WebSocket: faultySockets({
      cutsBefore: (frame) => {
        if (frame.includes('"rate_limited"')) refused += 1
        return false
      },
    }),
  })
  await live(hers)
  const all = numbers(1, 20).map((text) => hers.conversation(ben).send(text))
  const outcomes = await Promise.all(all.map(({ settled }) => settled))
  expect(outcomes.map((outcome) => outcome.outcome === 'ok' && outcome.seq)).toEqual(numbers(1, 20).map(Number))
  expect(refused).toBeGreaterThan(0)
})

test('while it sends and reconnects, each row is shown exactly once at every moment, and each message is told once', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const proxy = new TcpProxy(() => ({ port: app.port, host: '127.0.0.1' }))
  const port = await proxy.listen()
  onTestFinished(() => proxy.close())
  const hers = connect(amy, { port, clock: hurried })
  const his = connect(ben)
  const messages = told(hers)
  await Promise.all([live(hers), live(his)])
  await hers.conversation(ben).send('0').settled
  const rows = watchRows(hers, ben)
  const sent: Promise<unknown>[] = []
  for (let round = 1; round <= 5; round += 1) {
    sent.push(hers.conversation(ben).send(`hers ${round}`).settled, his.conversation(amy).send(`his ${round}`).settled)
    proxy.reset()
    await until(hers.status, ({ state }) => state !== 'live')
    await live(hers)
  }
  await Promise.all(sent)
  await until(hers.conversation(ben).messages, (all) => all.length === 11 && all.every(({ seq }) => seq !== undefined))
  expect(rows.most).toBe(1)
  expect(proxy.connections).toBe(1)
  await until(hers.conversation(ben).summary, ({ last_seq }) => last_seq === 11)
  const hisWords = contentsOf(messages).filter((content) => content.startsWith('his'))
  expect(hisWords).toEqual(numbers(1, 5).map((round) => `his ${round}`))
})

test('what waited for a day is not sent without asking, and nothing goes out for the next user after a logout', async () => {
  const [amy, ben, cleo] = [somebody('amy'), somebody('ben'), somebody('cleo')]
  const storage = memoryStorage()
  let isThere = false
  const proxy = new TcpProxy(() => (isThere ? { port: app.port, host: '127.0.0.1' } : undefined))
  const port = await proxy.listen()
  onTestFinished(() => proxy.close())
  const away = connect(amy, { port, storage })
  const { id } = away.conversation(ben).send('stale')
  await until(away.conversation(ben).messages, ([row]) => row?.state === 'queued')
  await away.close()
  isThere = true
  const tomorrow = { ...hurried, wall: () => Date.now() + 25 * 3_600_000 }
  const later = connect(amy, { port, storage, clock: tomorrow })
  await live(later)
  await until(later.conversation(ben).messages, ([row]) => row?.state === 'held')
  expect(await later.conversation(ben).retry(id)?.settled).toMatchObject({ outcome: 'ok', id, seq: 1 })
  await later.close()
  isThere = false
  const again = connect(amy, { port, storage })
  const secret = again.conversation(ben).send('secret')
  await until(again.conversation(ben).messages, (rows) => rows.at(-1)?.state === 'queued')
  await again.logout()
  expect(await secret.settled).toMatchObject({ outcome: 'cancelled' })
  isThere = true
  const next = connect(cleo, { port, storage })
  await live(next)
  await next.conversation(ben).send('hello').settled
  expect(rowsOf(next, ben)).toEqual(['hello sent'])
  const his = connect(ben)
  await live(his)
  await until(his.conversation(cleo).messages, (rows) => rows.length > 0)
  await until(his.conversation(amy).messages, (rows) => rows.length > 0)
  expect([...rowsOf(his, amy), ...rowsOf(his, cleo)]).toEqual(['stale received', 'hello received'])
})

test('misses nothing that is committed while it connects', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const hers = connect(amy)
  await live(hers)
  const seen: string[][] = []
  for (let round = 0; round < 20; round += 1) {
    const his = connect(ben)
    const messages = told(his)
    for (let turn = 0; turn < round; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    await hers.conversation(ben).send(String(round)).settled
    await until(his.conversation(amy).messages, (rows) => rows.at(-1)?.content === String(round))
    await live(his)
    await until(hers.conversation(ben).messages, (rows) => rows.at(-1)?.state === 'delivered')
    seen.push(contentsOf(messages))
    await his.close()
  }
  expect(seen).toEqual(seen.map((_, round) => [String(round)]))
})

test('fetches what never came, once something behind it has', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const swallowed: string[] = []
  const swallows = (frame: string): boolean => {
    const is = frame.includes('"type":"message"') && frame.includes('"content":"two"')
    if (is) swallowed.push(frame)
    return is
  }
  const hers = connect(amy)
  const his = connect(ben, { WebSocket: faultySockets({ swallows }) })
  const messages = told(his)
  await Promise.all([live(hers), live(his)])
  for (const text of ['one', 'two', 'three']) await hers.conversation(ben).send(text).settled
  await until(his.conversation(amy).messages, (rows) => rows.length === 3)
  await until(hers.conversation(ben).messages, (rows) => rows.at(-1)?.state === 'delivered')
  expect(contentsOf(messages)).toEqual(['one', 'two', 'three'])
  expect(swallowed).toHaveLength(1)
})

test('reads on one device clear the number of unread messages on the other, now and after a time away', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const hers = connect(amy)
  const [phone, laptop] = [connect(ben), connect(ben)]
  await Promise.all([live(hers), live(phone), live(laptop)])
  await hers.conversation(ben).send('one').settled
  await until(laptop.conversation(amy).summary, ({ unread }) => unread === 1)
  await until(phone.conversation(amy).summary, ({ unread }) => unread === 1)
  phone.conversation(amy).markRead(1)
  await until(laptop.conversation(amy).summary, ({ unread }) => unread === 0)
  await laptop.close()
  await hers.conversation(ben).send('two').settled
  await until(phone.conversation(amy).summary, ({ last_seq }) => last_seq === 2)
  phone.conversation(amy).markRead(2)
  await until(hers.conversation(ben).messages, (rows) => rows.at(-1)?.state === 'read')
  const back = connect(ben)
  await until(back.conversations, ([first]) => first?.last_seq === 2)
  expect(back.conversations.get()).toMatchObject([{ with: amy, unread: 0, read_seq: 2 }])
})

test('shows a screen of a long conversation and fetches what is older on demand', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const hers = connect(amy)
  const all = numbers(1, 130).map((text) => hers.conversation(ben).send(text))
  await Promise.all(all.map(({ settled }) => settled))
  await hers.close()
  const again = connect(amy)
  await live(again)
  const { messages, loadOlder } = again.conversation(ben)
  onTestFinished(messages.subscribe(() => undefined))
  await until(messages, (rows) => rows.length >= 50)
  expect(contentsOf(messages.get())).toEqual(numbers(81, 130))
  expect(await loadOlder()).toBe(true)
  expect(await loadOlder()).toBe(true)
  expect(contentsOf(messages.get())).toEqual(numbers(1, 130))
})

test('sees who is there and who is typing', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  const hers = connect(amy)
  const presence = hers.presence(ben)
  onTestFinished(presence.subscribe(() => undefined))
  await until(presence, ({ status }) => status === 'offline')
  const his = connect(ben)
  await until(presence, ({ status }) => status === 'online')
  await live(his)
  his.conversation(amy).typing()
  await until(hers.conversation(ben).isTyping, (is) => is)
  his.conversation(amy).typing(false)
  await until(hers.conversation(ben).isTyping, (is) => !is)
})

const services = useServices()

test('a service that is killed and started again gets what was typed meanwhile, once and in order', async () => {
  const [amy, ben] = [somebody('amy'), somebody('ben')]
  let service = await services.start({ POSTGRES_DSN: database.dsn })
  const proxy = new TcpProxy(() => ({ port: service.port, host: '127.0.0.1' }))
  const port = await proxy.listen()
  onTestFinished(() => proxy.close())
  const [hers, his] = [connect(amy, { port, clock: hurried }), connect(ben, { port, clock: hurried })]
  const messages = told(his)
  await Promise.all([live(hers), live(his)])
  const all = numbers(1, 40).map((text) => hers.conversation(ben).send(text))
  await all[5]?.settled
  await service.kill9()
  await until(hers.status, ({ state }) => state === 'waiting')
  all.push(...numbers(41, 60).map((text) => hers.conversation(ben).send(text)))
  service = await services.start({ POSTGRES_DSN: database.dsn })
  const outcomes = await Promise.all(all.map(({ settled }) => settled))
  expect(outcomes.every(({ outcome }) => outcome === 'ok')).toBe(true)
  await until(his.conversation(amy).messages, (rows) => rows.at(-1)?.seq === 60)
  expect(contentsOf(messages)).toEqual(numbers(1, 60))
})
