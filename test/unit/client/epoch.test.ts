// A server whose database was set back, and what a client had of the line of history before.
import { describe, expect, test } from 'vitest'
import type { Client, Storage, StorageDriver } from '../../../src/client/index.ts'
import { memoryStorage } from '../../../src/client/index.ts'
import { MemoryStorage } from '../../../src/client/memory-storage.ts'
import { contentsOf, type FakeChat, fakeChat, rowsOf, told } from '../../support/fake-chat.ts'

const KEPT_AS = 'messaging-server-client http://fake.test ben'
const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

/** One storage whose methods a test may slow down. */
function slow(change: (storage: Storage) => Partial<Storage>): StorageDriver {
  const storage = new MemoryStorage()
  const real: Pick<Storage, 'messages' | 'write'> = {
    messages: storage.messages.bind(storage),
    write: storage.write.bind(storage),
  }
  return { kind: 'persistent', open: () => Promise.resolve(Object.assign(storage, change(real as Storage))) }
}

/** Amy has written so many messages to ben, who looks at them and has received them all. */
async function received(chat: FakeChat, count: number, storage = memoryStorage()): Promise<Client> {
  const ben = chat.client('ben', { storage })
  void ben.conversation('amy').messages.get()
  await chat.advance(100)
  for (const text of numbers(1, count)) chat.server.write('amy', 'ben', text)
  await chat.advance(1000)
  return ben
}

function resetsOf(client: Client): string[] {
  const all: string[] = []
  client.on('reset', ({ with: other }) => all.push(other))
  return all
}

/** The database is set back while nobody is connected, and others go on with it. */
function setBack({ server }: FakeChat, lost: number, written: readonly string[]): void {
  server.setBack(lost)
  for (const text of written) server.write('amy', 'ben', text)
}

describe('positions', () => {
  test('of the line before are not said into the new one, and what took the place of the lost is told', async () => {
    const chat = fakeChat()
    const ben = await received(chat, 5)
    const messages = told(ben)
    ben.conversation('amy').markRead(5)
    await chat.advance(1000)
    setBack(chat, 1, ['new 5'])
    await chat.advance(10_000)
    expect(contentsOf(messages)).toEqual(['new 5'])
    expect(chat.server.log.positions('ben', 'amy')).toMatchObject({ delivered_seq: 5, read_seq: 4 })
    expect(ben.conversation('amy').summary.get()).toMatchObject({ last_seq: 5, read_seq: 4, unread: 1 })
  })

  test('up to where somebody looked, above what is here, do not count what nobody has seen as read', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    const ben = await received(chat, 5)
    server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
    server.write('amy', 'ben', 'lost 6')
    server.frameFault = () => undefined
    server.write('amy', 'ben', 'lost 7')
    await advance(50)
    ben.conversation('amy').markRead(7)
    setBack(chat, 2, [])
    await advance(10_000)
    for (const text of ['new 6', 'new 7']) server.write('amy', 'ben', text)
    await advance(10_000)
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 5), 'new 6', 'new 7'])
    expect(server.log.positions('ben', 'amy').read_seq).toBeLessThanOrEqual(5)
  })

  test('that were refused for now are not said again either', async () => {
    const chat = fakeChat()
    const ben = chat.client('ben')
    void ben.conversation('amy').messages.get()
    await chat.advance(100)
    for (const text of numbers(1, 5)) chat.server.write('amy', 'ben', text)
    chat.server.commandFault = ({ type }) =>
      type === 'ack' ? { error: 'overloaded', retryAfterMs: 60_000 } : undefined
    await chat.advance(1000)
    chat.server.commandFault = ({ type }) =>
      type === 'history' ? { error: 'overloaded', retryAfterMs: 2000 } : undefined
    setBack(chat, 1, ['new 5'])
    chat.server.commands.length = 0
    await chat.advance(1900)
    const said = chat.server.commands.filter(({ command }) => command.type === 'ack' || command.type === 'read')
    expect(said).toEqual([])
    chat.server.commandFault = () => undefined
    await chat.advance(60_000)
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 4), 'new 5'])
    expect(chat.server.log.positions('ben', 'amy').delivered_seq).toBe(5)
  })

  test('that the server has forgotten of a conversation that is the same are lowered, and said again', async () => {
    const chat = fakeChat()
    const ben = await received(chat, 3)
    ben.conversation('amy').send('mine')
    await chat.advance(100)
    chat.server.log.move('amy', 'ben', 4, true)
    ben.conversation('amy').markRead(3)
    await chat.advance(120_000)
    chat.server.cut()
    await chat.advance(5000)
    expect(rowsOf(ben, 'amy').at(-1)).toBe('mine read')
    const { delivered, read } = chat.server.log.of('amy', 'ben')
    for (const position of [delivered, read]) for (const user of ['amy', 'ben']) position.set(user, 1)
    chat.server.setBack(0)
    const resets = resetsOf(ben)
    await chat.advance(10_000)
    expect(resets).toEqual([])
    expect(rowsOf(ben, 'amy').at(-1)).toBe('mine sent')
    expect(chat.server.log.positions('ben', 'amy')).toMatchObject({ delivered_seq: 4, read_seq: 3 })
  })

  test('and heads of a conversation that is only listed are those of the new line', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    for (const text of numbers(1, 5)) server.write('amy', 'ben', text)
    server.log.move('ben', 'amy', 5, true)
    const ben = chat.client('ben')
    const messages = told(ben)
    await advance(1000)
    expect(ben.conversation('amy').summary.get()).toMatchObject({ last_seq: 5, read_seq: 5 })
    server.setBack(2)
    await advance(10_000)
    expect(ben.conversation('amy').summary.get()).toMatchObject({
      ...{ last_seq: 3, delivered_seq: 3, read_seq: 3, unread: 0 },
      last_message: { content: '3' },
    })
    server.write('amy', 'ben', 'new 4')
    await advance(1000)
    expect(contentsOf(messages)).toEqual(['new 4'])
  })
})

describe('while it is not known whether a conversation is the same', () => {
  test('nothing is put on top of it: a lost connection does not make the old line look new', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    const ben = await received(chat, 10)
    setBack(chat, 2, ['new 9', 'new 10'])
    server.log.move('ben', 'amy', 10, false)
    server.frameFault = ({ type }) => (type === 'history' ? 'drop' : undefined)
    await advance(3000)
    server.write('amy', 'ben', 'new 11')
    await advance(100)
    server.frameFault = () => undefined
    server.cut()
    await advance(10_000)
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 8), 'new 9', 'new 10', 'new 11'])
  })

  test('what comes is shown once it is, and what waited above the head of the line before is not', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    const ben = await received(chat, 5)
    const messages = told(ben)
    const resets = resetsOf(ben)
    server.frameFault = ({ type, seq }) => (type === 'history' || seq === 6 ? 'drop' : undefined)
    for (const text of ['old 6', 'old 7']) server.write('amy', 'ben', text)
    await advance(100)
    server.frameFault = ({ type }) => (type === 'history' ? { delayMs: 1000 } : undefined)
    setBack(chat, 2, [])
    await advance(1500)
    server.write('amy', 'ben', 'new 6')
    await advance(10_000)
    expect(contentsOf(messages)).toEqual(['new 6'])
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 5), 'new 6'])
    expect(resets).toEqual([])
  })

  test('what a send brings is shown in its place', async () => {
    const chat = fakeChat()
    const ben = await received(chat, 3)
    chat.server.frameFault = ({ type }) => (type === 'history' ? { delayMs: 3000 } : undefined)
    chat.server.setBack(0)
    await chat.advance(100)
    ben.connect()
    await chat.advance(100)
    const sending = ben.conversation('amy').send('mine')
    await chat.advance(100)
    expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 4 })
    expect(rowsOf(ben, 'amy').at(-1)).toBe('mine sent')
    await chat.advance(10_000)
    expect(rowsOf(ben, 'amy')).toEqual([...numbers(1, 3).map((text) => `${text} received`), 'mine sent'])
  })

  test('an answer that is weighed for long decides nothing about the next line', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    let isSlow = false
    const storage = slow(({ messages }) => ({
      async messages(...range) {
        const rows = await messages(...range)
        if (isSlow) await new Promise<void>((resolve) => void server.clock.after(2500, resolve))
        return rows
      },
    }))
    await (await received(chat, 5, storage)).close()
    server.setBack(0)
    isSlow = true
    const ben = chat.client('ben', { storage })
    await advance(500)
    isSlow = false
    setBack(chat, 1, ['new 5'])
    server.log.move('ben', 'amy', 5, false)
    server.frameFault = ({ type }) => (type === 'history' ? { delayMs: 2500 } : undefined)
    await advance(20_000)
    void ben.conversation('amy').messages.get()
    await advance(10_000)
    expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 4), 'new 5'])
  })
})

test('a message that got its number again does not hide that the one below it is another', async () => {
  const chat = fakeChat()
  const { server, advance } = chat
  const ben = await received(chat, 8)
  const ids = ['00000000-0000-7000-8000-000000000009', '00000000-0000-7000-8000-000000000010'] as const
  server.write('amy', 'ben', 'lost', ids[0])
  server.write('amy', 'ben', 'sent again', ids[1])
  await advance(1000)
  setBack(chat, 2, ['new 9'])
  server.write('amy', 'ben', 'sent again', ids[1])
  server.log.move('ben', 'amy', 10, false)
  await advance(10_000)
  expect(contentsOf(ben.conversation('amy').messages.get())).toEqual([...numbers(1, 8), 'new 9', 'sent again'])
})

test('a write of the line before that ends late does not say what is kept of the new one', async () => {
  const chat = fakeChat()
  const { server, advance } = chat
  let gate: Promise<void> | undefined
  const storage = slow(({ write }) => ({
    async write(...args) {
      await gate
      await write(...args)
    },
  }))
  await received(chat, 5, storage)
  let open: () => void = () => undefined
  gate = new Promise((resolve) => {
    open = resolve
  })
  for (const text of numbers(6, 8)) server.write('amy', 'ben', text)
  await advance(500)
  server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
  setBack(
    chat,
    8,
    numbers(1, 8).map((text) => `new ${text}`),
  )
  await advance(3000)
  server.commands.length = 0
  server.frameFault = ({ type }) => (type === 'message' || type === 'history' ? 'drop' : undefined)
  open()
  await advance(1000)
  const said = server.commands.filter(({ command }) => command.type === 'ack')
  expect(said).toEqual([])
})

test('rows that a tab of the line before has written late are compared at the next start', async () => {
  const chat = fakeChat()
  const { advance } = chat
  const storage = memoryStorage()
  const first = await received(chat, 5, storage)
  const kept = await storage.open(KEPT_AS, () => undefined)
  const { conversations } = await kept.load()
  const rows = (await kept.messages('amy', 1, 5)).map(
    (row) => ({ put: 'messages', row: { ...row, with: 'amy' } }) as const,
  )
  setBack(chat, 1, ['new 5'])
  await advance(10_000)
  await first.close()
  await kept.write([...rows, ...conversations.map((row) => ({ put: 'conversations', row }) as const)], true)
  const again = chat.client('ben', { storage })
  void again.conversation('amy').messages.get()
  await advance(10_000)
  expect(contentsOf(again.conversation('amy').messages.get())).toEqual([...numbers(1, 4), 'new 5'])
})

test('many conversations that are not the same any more are compared together', async () => {
  const chat = fakeChat()
  const { server, advance } = chat
  const others = numbers(1, 40).map((text) => `friend-${text}`)
  const ben = chat.client('ben')
  await advance(100)
  for (const other of others) server.write(other, 'ben', 'lost')
  await advance(1000)
  const resets = resetsOf(ben)
  server.setBack(1)
  for (const other of others) server.write(other, 'ben', 'new')
  server.commands.length = 0
  await advance(10_000)
  expect(resets.toSorted()).toEqual(others.toSorted())
  const compared = server.commands.filter(({ command }) => command.type === 'sync' || command.type === 'conversations')
  expect(compared.length).toBeLessThanOrEqual(5)
  expect(contentsOf(ben.conversation('friend-7').messages.get())).toEqual(['new'])
})

describe('a server that went back and has not noticed yet', () => {
  test('is found out by the reply to a send', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    const ben = await received(chat, 5)
    const resets = resetsOf(ben)
    server.log.setBack(1)
    ben.conversation('amy').send('mine')
    await advance(10_000)
    expect(resets).toEqual(['amy'])
    expect(rowsOf(ben, 'amy')).toEqual([...numbers(1, 4).map((text) => `${text} received`), 'mine sent'])
  })

  test('is found out by a page that does not join what is here, and nothing is taken for covered by it', async () => {
    const chat = fakeChat()
    const { server, advance } = chat
    for (const text of numbers(1, 120)) server.write('amy', 'ben', text)
    server.log.move('ben', 'amy', 120, true)
    const ben = chat.client('ben')
    const { messages, loadOlder, hasOlder } = ben.conversation('amy')
    const off = messages.subscribe(() => undefined)
    await advance(10_000)
    const resets = resetsOf(ben)
    server.log.setBack(60)
    const older = loadOlder()
    await advance(10_000)
    expect([await older, resets, hasOlder.get()]).toEqual([false, ['amy'], true])
    expect(contentsOf(messages.get())).toEqual(numbers(11, 60))
    const rest = loadOlder()
    await advance(1000)
    expect(await rest).toBe(true)
    expect(contentsOf(messages.get())).toEqual(numbers(1, 60))
    off()
  })
})

test('the conversation that is open is the first that is compared with another line of history', async () => {
  const chat = fakeChat()
  const ben = chat.client('ben')
  await chat.advance(100)
  for (const other of ['amy', 'cat', 'dan']) {
    chat.server.write(other, 'ben', 'hello')
    await chat.advance(1000)
  }
  ben.conversation('dan').messages.subscribe(() => undefined)
  await chat.advance(1000)
  chat.server.setBack(0)
  chat.server.commands.length = 0
  await chat.advance(10_000)
  const asked = chat.server.commands.flatMap(({ command }) => (command.type === 'history' ? [command.with] : []))
  expect(asked.slice(0, 3)).toEqual(['dan', 'amy', 'cat'])
})
