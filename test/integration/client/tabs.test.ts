// Several tabs of one origin: one database, one channel, and locks that the death of a tab releases.
import { IDBFactory } from 'fake-indexeddb'
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { host } from '../../../src/client/environment.ts'
import { type Client, type ClientOptions, createClient, indexedDbStorage } from '../../../src/client/index.ts'
import { queued } from '../../../src/client/outbox.ts'
import { FakeServer, seededRandom } from '../../../src/client/testing/index.ts'
import { contentsOf, rowsOf } from '../../support/fake-chat.ts'
import { type FakeDocument, setNavigator, stubPage } from '../../support/fake-page.ts'

const NAME = 'messaging-server-client http://fake.test ben'

let document: FakeDocument
let page: EventTarget
let factory: InstanceType<typeof IDBFactory>

beforeEach(() => {
  ;({ document, page, factory } = stubPage())
})
// The files that come after this one in the same process are no pages.
afterAll(() => void vi.unstubAllGlobals())

function tabs(count: number, options: Partial<ClientOptions> = {}, server = new FakeServer()) {
  const clients = Array.from({ length: count }, (_, index): Client => {
    const client = createClient({
      ...{
        url: 'ws://fake.test/ws',
        auth: { userId: 'ben' },
        WebSocket: server.WebSocket,
        fetch: server.fetch,
        storage: indexedDbStorage(),
      },
      ...{ clock: server.clock, random: seededRandom(index + 1) },
      ...options,
    })
    onTestFinished(() => client.close())
    return client
  })
  // Databases and channels take turns of their own. Where nothing happens for minutes, few will do.
  const advance = async (ms: number, stepMs = 50): Promise<void> => {
    for (let left = ms; left >= 0; left -= stepMs) {
      for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      await server.clock.advance(Math.min(stepMs, left))
    }
  }
  return { server, clients, advance }
}

test('what is typed in one tab is shown in all, once, and stored once', async () => {
  const { server, clients, advance } = tabs(3)
  await advance(500)
  server.isDown = true
  server.cut()
  clients[0]?.conversation('amy').send('from the first')
  await advance(50)
  clients[1]?.conversation('amy').send('from the second')
  await advance(500)
  for (const client of clients)
    expect(contentsOf(client.conversation('amy').messages.get())).toEqual(['from the first', 'from the second'])
  server.isDown = false
  await advance(30_000)
  const { messages } = server.log.of('ben', 'amy')
  expect(contentsOf(messages).toSorted()).toEqual(['from the first', 'from the second'])
  for (const client of clients) {
    expect(rowsOf(client, 'amy')).toEqual(messages.map(({ content }) => `${content} sent`))
    expect(client.pending.get()).toBe(0)
  }
})

test('what is shown where nobody looks is read when somebody does', async () => {
  const { server, clients, advance } = tabs(1)
  const ben = clients[0] as Client
  await advance(500)
  const { messages, markRead } = ben.conversation('amy')
  messages.subscribe(() => markRead(messages.get().at(-1)?.seq ?? 0))
  const read = (): number => server.log.positions('ben', 'amy').read_seq
  server.write('amy', 'ben', 'seen at once')
  await advance(1000)
  expect(read()).toBe(1)
  document.visibilityState = 'hidden'
  document.dispatchEvent(new Event('visibilitychange'))
  server.write('amy', 'ben', 'behind another tab')
  await advance(1000)
  expect([read(), ben.conversation('amy').summary.get().unread]).toEqual([1, 1])
  document.visibilityState = 'visible'
  document.dispatchEvent(new Event('visibilitychange'))
  await advance(1000)
  expect(read()).toBe(2)
  // The screen stays as it is, and the person has gone.
  await advance(40_000)
  server.write('amy', 'ben', 'before an empty chair')
  await advance(1000)
  expect(read()).toBe(2)
  // What comes scrolls the list, and nobody has touched anything.
  page.dispatchEvent(new Event('scroll'))
  await advance(1000)
  expect(read()).toBe(2)
  page.dispatchEvent(new Event('pointermove'))
  await advance(1000)
  expect(read()).toBe(3)
})

test('what one tab has sent does not vanish from another that has no connection yet', async () => {
  const { server, clients, advance } = tabs(2)
  const [first, second] = clients as [Client, Client]
  await advance(500)
  server.isDown = true
  server.cut()
  const sending = first.conversation('amy').send('seen at once')
  await advance(5000)
  const { messages } = second.conversation('amy')
  const counts: number[] = []
  messages.subscribe(() => counts.push(messages.get().length))
  server.isDown = false
  first.connect()
  await advance(100)
  expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 1 })
  expect(second.status.get().state).toBe('waiting')
  expect(rowsOf(second, 'amy')).toEqual(['seen at once sent'])
  await advance(30_000)
  expect(rowsOf(second, 'amy')).toEqual(['seen at once sent'])
  expect(new Set(counts)).toEqual(new Set([1]))
})

test('goes on with what waits when another tab knows before the reply that a message is stored', async () => {
  const { server, clients, advance } = tabs(1)
  const [client] = clients as [Client]
  await advance(500)
  server.stall(1000)
  const { id } = client.conversation('amy').send('one')
  client.conversation('amy').send('two')
  await advance(200)
  const other = new BroadcastChannel('messaging-server-client http://fake.test ben')
  onTestFinished(() => other.close())
  const stored = {
    id,
    seq: 1,
    sender_id: 'ben',
    receiver_id: 'amy',
    content: 'one',
    created_at: '2026-01-01T00:00:00Z',
  }
  other.postMessage({ type: 'outbox', id, with: 'amy', stored })
  await advance(5000)
  expect(contentsOf(server.log.of('ben', 'amy').messages)).toEqual(['one', 'two'])
  expect(rowsOf(client, 'amy')).toEqual(['one sent', 'two sent'])
})

test('another tab sends what a tab had not sent when it was closed', async () => {
  const { server, clients, advance } = tabs(2)
  await advance(500)
  server.isDown = true
  server.cut()
  clients[0]?.conversation('amy').send('orphan')
  await advance(500)
  const [first, second] = clients as [Client, Client]
  expect(rowsOf(second, 'amy')).toEqual(['orphan queued'])
  await first.close()
  server.isDown = false
  await advance(30_000)
  expect(contentsOf(server.log.of('ben', 'amy').messages)).toEqual(['orphan'])
  expect(rowsOf(second, 'amy')).toEqual(['orphan sent'])
})

test('a message on its way in one tab is not taken for unsent in another, nor when its tab is gone', async () => {
  const { server, clients, advance } = tabs(2)
  const [first, second] = clients as [Client, Client]
  await advance(500)
  server.stall(60_000)
  const { id } = first.conversation('amy').send('on its way')
  const waiting = first.conversation('amy').send('behind it')
  await advance(500)
  expect(rowsOf(second, 'amy')).toEqual(['on its way sending', 'behind it queued'])
  const { messages, takeBack, discard } = second.conversation('amy')
  expect(messages.get().map(({ isUnstored }) => isUnstored)).toEqual([undefined, undefined])
  // The other tab may be writing it at this moment.
  expect([takeBack(id), takeBack(waiting.id)]).toEqual([false, false])
  await first.close()
  await advance(500)
  expect([takeBack(id), takeBack(waiting.id), discard(id)]).toEqual([false, true, false])
})

test.each([
  ['at once where there are locks', true, 1000],
  ['after a while where there are none', false, 40_000],
])(
  'a message that waits in a tab is sent by another that is live when its tab is closed: %s',
  async (_when, has, ms) => {
    if (!has) setNavigator({ onLine: true })
    const { server, clients, advance } = tabs(2)
    const [first, second] = clients as [Client, Client]
    await advance(500)
    server.sendFault = () => ({ error: 'rate_limited', retryAfterMs: 3000 })
    first.conversation('amy').send('orphan')
    await advance(500)
    await first.close()
    server.sendFault = () => undefined
    await advance(ms)
    expect(contentsOf(server.log.of('ben', 'amy').messages)).toEqual(['orphan'])
    expect([second.status.get().state, rowsOf(second, 'amy')]).toEqual(['live', ['orphan sent']])
  },
)

test('a token that is long in coming is asked for once, and one that never comes holds up no other tab', async () => {
  const server = new FakeServer({ userOf: (token) => token, tokenLifetimeMs: 600_000 })
  const asked: string[] = []
  const slow = tabs(
    1,
    {
      auth: {
        getToken: ({ reason }) => {
          asked.push(reason)
          return new Promise((resolve) => server.clock.after(reason === 'refresh' ? 22_000 : 0, () => resolve('ben')))
        },
      },
    },
    server,
  )
  await slow.advance(540_000, 500)
  expect(asked).toEqual(['connect', 'refresh'])
  await slow.clients[0]?.close()
  const hung: AbortSignal[] = []
  tabs(
    1,
    {
      auth: {
        getToken: ({ reason, signal }) => {
          if (reason === 'connect') return Promise.resolve('ben')
          hung.push(signal)
          return new Promise(() => undefined)
        },
      },
    },
    server,
  )
  await slow.advance(520_000, 500)
  expect(hung.length).toBeGreaterThan(0)
  const other = tabs(1, { auth: { getToken: () => Promise.resolve('ben') } }, server)
  await other.advance(31_000)
  expect(hung[0]?.aborted).toBe(true)
  expect(other.clients[0]?.status.get().state).toBe('live')
})

test('without locks, as over plain http, tabs race and the message is still stored once', async () => {
  setNavigator({ onLine: true })
  const { server, clients, advance } = tabs(2)
  for (const client of clients) expect(rowsOf(client, 'amy')).toEqual([])
  await advance(500)
  server.isDown = true
  server.cut()
  clients[0]?.conversation('amy').send('raced')
  await advance(500)
  server.isDown = false
  await advance(30_000)
  expect(contentsOf(server.log.of('ben', 'amy').messages)).toEqual(['raced'])
  for (const client of clients) expect(rowsOf(client, 'amy')).toEqual(['raced sent'])
})

test('what a tab has left goes out in its order when one that takes it over has said so of the first message alone', async () => {
  const { server, clients, advance } = tabs(1)
  const [client] = clients as [Client]
  await advance(500)
  server.isDown = true
  server.cut()
  const locks = host().navigator?.locks
  const ends = new Map<string, () => void>()
  for (const tab of ['left', 'next'])
    void locks?.request(`${NAME} tab ${tab}`, {}, () => new Promise<void>((end) => void ends.set(tab, end)))
  const channel = new BroadcastChannel(NAME)
  onTestFinished(() => channel.close())
  const say = (n: number, owner: string, from?: string): void => {
    const entry = {
      ...queued(`0000000${n}-0000-7000-8000-000000000000`, 'amy', String(n), { n, at: server.clock.wall(), owner }),
      from,
    }
    channel.postMessage({
      type: 'outbox',
      id: entry.id,
      with: 'amy',
      entry: { ...entry, state: 'queued', isNoted: true },
    })
  }
  for (const n of [1, 2, 3]) say(n, 'left')
  await advance(100)
  say(1, 'next', 'left')
  await advance(100)
  ends.get('left')?.()
  server.isDown = false
  client.connect()
  await advance(1000)
  const stored = (): string[] => contentsOf(server.log.of('ben', 'amy').messages)
  expect([client.status.get().state, stored()]).toEqual(['live', []])
  ends.get('next')?.()
  await advance(5000)
  expect(stored()).toEqual(['1', '2', '3'])
})

test('what a tab that is gone left a day ago is not sent without asking', async () => {
  const { server, clients, advance } = tabs(1)
  await advance(500)
  const channel = new BroadcastChannel(NAME)
  onTestFinished(() => channel.close())
  const id = '00000000-0000-7000-8000-000000000001'
  const order = { n: 1, at: server.clock.wall() - 25 * 3_600_000, owner: 'gone' }
  const entry = { ...queued(id, 'amy', 'stale', order), state: 'queued' }
  channel.postMessage({ type: 'outbox', id, with: 'amy', entry })
  await advance(40_000)
  expect(rowsOf(clients[0] as Client, 'amy')).toEqual(['stale held'])
  expect(server.log.of('ben', 'amy').messages).toEqual([])
})

test('what another tab says is stored in the line before is not put into the new one', async () => {
  const { server, clients, advance } = tabs(1)
  await advance(500)
  const channel = new BroadcastChannel(NAME)
  onTestFinished(() => channel.close())
  server.setBack(0)
  await advance(5000)
  const id = '00000000-0000-7000-8000-000000000001'
  const fields = { content: 'lost', created_at: '2026-01-01T00:00:00.000Z', sender_id: 'ben', receiver_id: 'amy' }
  channel.postMessage({ type: 'outbox', id, with: 'amy', stored: { id, seq: 1, ...fields }, epoch: 'first' })
  await advance(500)
  expect(rowsOf(clients[0] as Client, 'amy')).toEqual([])
  // Of the line that it is on now it is.
  const { epoch } = server
  channel.postMessage({ type: 'outbox', id, with: 'amy', stored: { id, seq: 1, ...fields }, epoch })
  await advance(500)
  expect(rowsOf(clients[0] as Client, 'amy')).toEqual(['lost sent'])
})

test('tabs share a new token', async () => {
  const asked: string[] = []
  const getToken = ({ reason }: { readonly reason: string }): Promise<string> => {
    asked.push(reason)
    return Promise.resolve('ben')
  }
  const server = new FakeServer({ userOf: (token) => token, tokenLifetimeMs: 600_000 })
  // Their refreshes fall due in the same moment.
  const { clients, advance } = tabs(3, { auth: { getToken }, random: () => 0.5 }, server)
  await advance(1000)
  expect(asked).toEqual(['connect', 'connect', 'connect'])
  for (const client of clients) expect(client.userId).toBe('ben')
  for (let minute = 0; minute < 9; minute += 1) await advance(60_000, 500)
  expect(asked.slice(3)).toEqual(['refresh'])
  for (const client of clients) expect(client.status.get().state).toBe('live')
})

test('a logout in one tab ends all of them and leaves no database', async () => {
  const { server, clients, advance } = tabs(2)
  const [first, second] = clients as [Client, Client]
  await advance(500)
  first.conversation('amy').draft.set('half')
  await advance(500)
  expect(second.conversation('amy').draft.get()).toBe('half')
  const ended: string[] = []
  second.on('logout', ({ user_id }) => ended.push(user_id))
  const leaving = first.logout()
  await advance(500)
  await leaving
  await advance(500)
  expect(ended).toEqual(['ben'])
  expect(second.status.get()).toMatchObject({ state: 'stopped', why: 'closed' })
  second.conversation('amy').draft.set('late')
  await advance(500)
  expect(await factory.databases()).toEqual([])
  expect(server.openCount).toBe(0)
})

describe('a page', () => {
  /** What is in the field after a reload by which the storage had got no further than to `kept`. */
  async function reloaded(texts: readonly string[], { kept = '', pauseMs = 0 } = {}): Promise<string> {
    const { clients, advance, server } = tabs(1)
    const { draft } = (clients[0] as Client).conversation('amy')
    await advance(500)
    for (const text of texts) draft.set(text)
    page.dispatchEvent(new Event('pagehide'))
    factory = new IDBFactory()
    vi.stubGlobal('indexedDB', factory)
    const storage = await indexedDbStorage().open('messaging-server-client http://fake.test ben', () => undefined)
    await storage.write([{ put: 'drafts', row: { with: 'amy', text: kept } }], true)
    storage.close()
    await advance(pauseMs)
    const again = (tabs(1, {}, server).clients[0] as Client).conversation('amy').draft
    await advance(500)
    return again.get()
  }

  test('takes the last keys over a reload that its storage did not wait for', async () => {
    expect(await reloaded(['half', 'half a word'], { kept: 'half' })).toBe('half a word')
  })

  test('does not bring back what was sent in the last moment', async () => {
    expect(await reloaded(['sent', ''], { kept: 'sent' })).toBe('')
  })

  test('leaves keys of more than a minute ago: the draft may have gone on in another tab', async () => {
    expect(await reloaded(['old'], { kept: 'newer', pauseMs: 61_000 })).toBe('newer')
  })

  test('leaves the server before the browser keeps it for "back", and is there again at once when it is shown', async () => {
    const { server, clients, advance } = tabs(1)
    await advance(500)
    expect(server.openCount).toBe(1)
    page.dispatchEvent(new Event('pagehide'))
    await advance(50)
    expect([server.openCount, clients[0]?.status.get().state]).toEqual([0, 'idle'])
    page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }))
    await advance(300)
    expect([server.openCount, clients[0]?.status.get().state]).toEqual([1, 'live'])
  })

  test('says whether somebody looks, after each connection and whenever it changes', async () => {
    const { server, advance } = tabs(1)
    await advance(500)
    document.visibilityState = 'hidden'
    document.dispatchEvent(new Event('visibilitychange'))
    await advance(100)
    server.cut()
    await advance(2000)
    const told = server.commands.flatMap(({ command }) => ((command.type as string) === 'state' ? [command] : []))
    expect(told).toMatchObject([{ active: true }, { active: false }, { active: false }])
  })

  test('says it again after the pause when the server refused it for now', async () => {
    const { server, advance } = tabs(1)
    const refused: unknown[] = []
    server.commandFault = ({ type }) => {
      if (type !== 'state' || refused.push(type) > 2) return undefined
      return { error: 'rate_limited', retryAfterMs: 3000 }
    }
    await advance(2500)
    expect(refused).toHaveLength(1)
    document.visibilityState = 'hidden'
    document.dispatchEvent(new Event('visibilitychange'))
    await advance(20_000)
    const told = server.commands.flatMap(({ command }) => (command.type === 'state' ? [command.active] : []))
    expect([refused.length, told.at(-1)]).toEqual([3, false])
  })

  test('compares with the server when it is seen again', async () => {
    const { server, advance } = tabs(1)
    await advance(20_000)
    const compared = (): number => server.commands.filter(({ command }) => command.type === 'sync').length
    const before = compared()
    for (const visibilityState of ['hidden', 'visible']) {
      document.visibilityState = visibilityState
      document.dispatchEvent(new Event('visibilitychange'))
      await advance(100)
    }
    expect(compared()).toBe(before + 1)
    page.dispatchEvent(new Event('online'))
    await advance(100)
    expect(compared()).toBe(before + 1)
    for (const [index, wakes] of [
      () => page.dispatchEvent(new Event('online')),
      () => document.dispatchEvent(new Event('resume')),
    ].entries()) {
      await advance(6_000)
      wakes()
      await advance(100)
      expect(compared()).toBe(before + 2 + index)
    }
  })

  test('does not believe the browser that there is no network, and hurries when it says that there is one', async () => {
    const { server, clients, advance } = tabs(1)
    const [client] = clients as [Client]
    await advance(15_000)
    server.isDown = true
    server.cut()
    for (let turn = 0; turn < 6; turn += 1) await advance(10_000)
    page.dispatchEvent(new Event('offline'))
    expect(client.status.get().state).toBe('offline')
    server.isDown = false
    page.dispatchEvent(new Event('online'))
    await advance(600)
    expect(client.status.get().state).toBe('live')
  })
})
