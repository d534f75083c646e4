// Tabs that do not hear of each other, and write to one database: what one has kept of what nobody else knows stays.
import { describe, expect, test } from 'vitest'
import { type Client, indexedDbStorage, type Kept } from '../../../src/client/index.ts'
import { contentsOf, type FakeChat } from '../../support/fake-chat.ts'
import { chatWithDatabase, useDatabase } from '../../support/fake-database.ts'

const NAME = 'messaging-server-client http://fake.test ben'
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

useDatabase()

/** A tab whose way to the server can be shut, for it alone. */
function tabOf({ server, client }: FakeChat): { readonly tab: Client; readonly door: { isShut: boolean } } {
  const door = { isShut: false }
  const WebSocket = new Proxy(server.WebSocket, {
    construct(socket, [url, protocols]) {
      if (door.isShut) throw new Error('there is no way')
      return new socket(url, protocols)
    },
  })
  return { tab: client('ben', { storage: indexedDbStorage(), WebSocket }), door }
}

async function kept(): Promise<Kept> {
  const storage = await indexedDbStorage().open(NAME, () => undefined)
  const all = await storage.load()
  storage.close()
  return all
}

async function epochKept(): Promise<string | undefined> {
  return (await kept()).meta.find(({ key }) => key === 'epoch')?.value
}

/** Amy has written three messages, which two tabs have; the first of them is then cut off. */
async function twoTabs(chat: FakeChat) {
  const { server, advance } = chat
  const [first, second] = [tabOf(chat), tabOf(chat)]
  for (const { tab } of [first, second]) void tab.conversation('amy').messages.get()
  await advance(100)
  for (const text of numbers(1, 3)) server.write('amy', 'ben', text)
  await advance(1000)
  return { first, second }
}

const readOf = ({ server }: FakeChat): number => server.log.positions('ben', 'amy').read_seq

test('what was read in a tab that dies without a connection is said by the next, though another tab has written since', async () => {
  const chat = chatWithDatabase()
  const { server, advance } = chat
  const { first, second } = await twoTabs(chat)
  first.door.isShut = true
  server.cut()
  first.tab.conversation('amy').markRead(3)
  await advance(5000)
  server.write('amy', 'ben', '4')
  await advance(1000)
  expect((await kept()).conversations).toMatchObject([{ last_seq: 4, reading: 3 }])
  expect(readOf(chat)).toBe(0)
  await second.tab.close()
  const third = tabOf(chat)
  await advance(2000)
  expect(readOf(chat)).toBe(3)
  expect(third.tab.conversation('amy').summary.get()).toMatchObject({ read_seq: 3, unread: 1 })
  await advance(60_000)
  expect((await kept()).conversations).toMatchObject([{ reading: 0 }])
})

test('what was read counts no more for messages that took the place of those, though the server has not noticed yet', async () => {
  const chat = chatWithDatabase()
  const { server, advance } = chat
  const { first, second } = await twoTabs(chat)
  await second.tab.close()
  server.commandFault = ({ type }) => (type === 'read' ? { error: 'overloaded', retryAfterMs: 60_000 } : undefined)
  first.tab.conversation('amy').markRead(3)
  await advance(1000)
  expect((await kept()).conversations).toMatchObject([{ reading: 3 }])
  server.log.setBack(2)
  for (const text of ['new 2', 'new 3']) server.write('amy', 'ben', text)
  await advance(1000)
  await first.tab.close()
  server.commandFault = () => undefined
  const { tab } = tabOf(chat)
  void tab.conversation('amy').messages.get()
  await advance(5000)
  expect(contentsOf(tab.conversation('amy').messages.get()).slice(-2)).toEqual(['new 2', 'new 3'])
  expect([readOf(chat), (await kept()).conversations[0]?.reading]).toEqual([0, 0])
})

describe('an instance that has not noticed yet that the line of history was left', () => {
  /** Connects this tab to it: what is kept stays in the new line. */
  async function comesToOther({ server, advance }: FakeChat, { tab, door }: ReturnType<typeof tabOf>): Promise<void> {
    server.epoch = 'first'
    door.isShut = false
    tab.connect()
    await advance(500)
    expect(tab.status.get().state).toBe('live')
    expect(await epochKept()).toBe('first again')
  }

  test('does not take the storage back to it by saying again what a tab knew', async () => {
    const chat = chatWithDatabase()
    const { server, advance } = chat
    const { first, second } = await twoTabs(chat)
    second.door.isShut = true
    server.setBack(1)
    await advance(6000)
    expect(first.tab.status.get().state).toBe('live')
    expect(await epochKept()).toBe('first again')
    await comesToOther(chat, second)
    server.write('amy', 'ben', 'new 3')
    await advance(500)
    expect((await kept()).conversations).toMatchObject([{ epoch: 'first again', last_seq: 3 }])
    // It notices, and ends its connections.
    server.epoch = 'first again'
    server.cut(1012)
    await advance(6000)
    for (const { tab } of [first, second])
      expect(contentsOf(tab.conversation('amy').messages.get())).toEqual(['1', '2', 'new 3'])
  })

  test('keeps no tab out of the storage for good when a tab that came to it has gone before', async () => {
    const chat = chatWithDatabase()
    const { server, advance } = chat
    server.epoch = 'second'
    const { first, second } = await twoTabs(chat)
    await second.tab.close()
    server.epoch = 'first'
    const { tab: gone } = tabOf(chat)
    await advance(100)
    await gone.close()
    expect(await epochKept()).toBe('first')
    server.epoch = 'second'
    await advance(70_000)
    server.cut()
    await advance(5000)
    expect(await epochKept()).toBe('second')
    server.write('amy', 'ben', '4')
    await advance(1000)
    expect(first.tab.status.get().state).toBe('live')
    expect((await kept()).conversations).toMatchObject([{ epoch: 'second', last_seq: 4 }])
  })

  test('does not do so either after a comparison that never came to its end in the new line', async () => {
    const chat = chatWithDatabase()
    const { server, advance } = chat
    const { first, second } = await twoTabs(chat)
    second.door.isShut = true
    server.setBack(1)
    server.frameFault = ({ type }) => (type === 'sync' || type === 'conversations' ? 'drop' : undefined)
    await advance(6000)
    server.cut()
    await advance(6000)
    expect(first.tab.status.get().state).toBe('live')
    await comesToOther(chat, second)
  })
})
