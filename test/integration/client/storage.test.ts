// IndexedDB as browsers really have it: full, blocked, gone in the middle, with rows that are broken.
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  type Change,
  type Client,
  indexedDbStorage,
  memoryStorage,
  type Storage,
  type StorageDriver,
} from '../../../src/client/index.ts'
import { contentsOf, type FakeChat, rowsOf, told } from '../../support/fake-chat.ts'
import { chatWithDatabase, useDatabase } from '../../support/fake-database.ts'

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))
const NAME = 'messaging-server-client http://fake.test ben'

const factory = useDatabase()

/** The driver of the browser, with a storage that a test can break. */
function breakable(change: (storage: Storage) => Partial<Storage>): StorageDriver {
  const real = indexedDbStorage()
  return {
    kind: 'persistent',
    async open(name, lost) {
      const storage = await real.open(name, lost)
      const methods: Storage = {
        load: () => storage.load(),
        messages: (...args) => storage.messages(...args),
        write: (...args) => storage.write(...args),
        trim: () => storage.trim(),
        destroy: () => storage.destroy(),
        close: () => storage.close(),
      }
      return { ...methods, ...change(methods) }
    },
  }
}

const quota = (): Error => Object.assign(new Error('full'), { name: 'QuotaExceededError' })

async function lived({ client, server, advance }: FakeChat, storage: StorageDriver): Promise<Client> {
  const ben = client('ben', { storage })
  await advance(200)
  for (const text of numbers(1, 60)) server.write('amy', 'ben', text)
  ben.conversation('amy').send('mine')
  await advance(2000)
  return ben
}

test('a reload shows what was there, with the server down, and goes on where it was', async () => {
  const chat = chatWithDatabase()
  const storage = indexedDbStorage()
  const first = await lived(chat, storage)
  first.conversation('amy').draft.set('half a')
  await chat.advance(100)
  await first.close()
  chat.server.isDown = true
  const again = chat.client('ben', { storage })
  const messages = told(again)
  const { messages: rows, draft, loadOlder } = again.conversation('amy')
  const off = rows.subscribe(() => undefined)
  await chat.advance(100)
  expect(again.storage.get()).toEqual({ kind: 'persistent' })
  expect(contentsOf(rows.get())).toEqual([...numbers(12, 60), 'mine'])
  expect(draft.get()).toBe('half a')
  expect(again.conversations.get()).toMatchObject([{ with: 'amy', unread: 60, draft: 'half a' }])
  const older = loadOlder()
  await chat.advance(100)
  expect(await older).toBe(true)
  expect(contentsOf(rows.get())).toEqual([...numbers(1, 60), 'mine'])
  again.conversation('amy').send('typed offline')
  chat.server.write('amy', 'ben', 'meanwhile')
  chat.server.isDown = false
  await chat.advance(20_000)
  expect(contentsOf(messages)).toEqual(['meanwhile', 'typed offline'])
  expect(rowsOf(again, 'amy').slice(-2)).toEqual(['meanwhile received', 'typed offline sent'])
  off()
})

test.each([1, 3])(
  'a first message whose reply was lost does not vanish when %i others come before it',
  async (count) => {
    const { client, server, advance } = chatWithDatabase()
    const amy = client('amy', { storage: indexedDbStorage() })
    await advance(100)
    let cuts = 0
    server.sendFault = () => {
      cuts += 1
      return cuts === 1 ? 'cut_after' : undefined
    }
    const { messages, send } = amy.conversation('ben')
    send('hers')
    const shown: string[][] = []
    messages.subscribe(() => shown.push(contentsOf(messages.get())))
    await advance(20)
    for (const text of numbers(1, count)) server.write('ben', 'amy', text)
    await advance(10_000)
    expect(cuts).toBe(2)
    expect(shown.filter((contents) => !contents.includes('hers'))).toEqual([])
    expect(shown.at(-1)).toEqual(['hers', ...numbers(1, count)])
  },
)

test('acknowledges nothing before the transaction that keeps it is complete', async () => {
  const chat = chatWithDatabase()
  let release: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const storage = breakable(({ write }) => ({
    async write(changes, isStrict) {
      if (changes.some((change) => 'put' in change && change.put === 'messages')) await gate
      await write(changes, isStrict)
    },
  }))
  await lived(chat, storage)
  expect(chat.server.log.positions('ben', 'amy').delivered_seq).toBe(0)
  release()
  await chat.advance(1000)
  expect(chat.server.log.positions('ben', 'amy').delivered_seq).toBeGreaterThanOrEqual(60)
})

test('says nothing of what is not kept, though it was read and the server brings it again', async () => {
  const chat = chatWithDatabase()
  const { server, advance } = chat
  let release: () => void = () => undefined
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  onTestFinished(() => release())
  const storage = breakable(({ write }) => ({
    async write(changes, isStrict) {
      if (changes.some((change) => 'put' in change && change.put === 'messages' && change.row.seq > 1)) await gate
      await write(changes, isStrict)
    },
  }))
  const ben = chat.client('ben', { storage })
  server.write('amy', 'ben', '1')
  await advance(1000)
  // The comparison after a new connection shows that what was acknowledged has arrived.
  server.cut()
  await advance(3000)
  server.commands.length = 0
  const last = ['2', '3'].map((text) => server.write('amy', 'ben', text)).at(-1)
  await advance(50)
  ben.conversation('amy').markRead(3)
  server.push('ben', { type: 'message', ...last })
  await advance(2000)
  const said = (): number[] =>
    server.commands.flatMap(({ command }) => (command.type === 'ack' || command.type === 'read' ? [command.seq] : []))
  expect(said()).toEqual([1])
  release()
  await advance(2000)
  expect(said().at(-1)).toBe(3)
  expect(server.log.positions('ben', 'amy')).toMatchObject({ delivered_seq: 3, read_seq: 3 })
})

describe('starts and goes on in memory', () => {
  test.each<[string, StorageDriver]>([
    ['is forbidden', { kind: 'persistent', open: () => Promise.reject(new DOMException('no', 'SecurityError')) }],
    ['is blocked and never answers', { kind: 'persistent', open: () => new Promise(() => undefined) }],
    ['cannot be read', breakable(() => ({ load: () => Promise.reject(new Error('corrupt')) }))],
    ['refuses every write', breakable(() => ({ write: () => Promise.reject(quota()) }))],
  ])('when the storage %s', async (_, storage) => {
    const chat = chatWithDatabase()
    const ben = chat.client('ben', { storage })
    const messages = told(ben)
    const sending = ben.conversation('amy').send('mine')
    chat.server.write('amy', 'ben', 'hers')
    await chat.advance(3200)
    expect(ben.status.get().state).toBe('live')
    expect(ben.storage.get().kind).toBe('memory')
    expect(await sending.settled).toMatchObject({ outcome: 'ok' })
    expect(contentsOf(messages).toSorted()).toEqual(['hers', 'mine'])
    await chat.advance(1000)
    expect(chat.server.log.positions('ben', 'amy').delivered_seq).toBe(2)
  })
})

test('says when it goes on in memory later, and a logout then still removes what was kept before', async () => {
  const chat = chatWithDatabase()
  let isBroken = false
  const storage = breakable(({ write }) => ({
    write: (...args) => (isBroken ? new Promise(() => undefined) : write(...args)),
  }))
  const ben = await lived(chat, storage)
  const told: unknown[] = []
  ben.on('storage', (state) => told.push(state))
  isBroken = true
  const sending = ben.conversation('amy').send('though nothing calls back')
  await chat.advance(8000)
  expect(await sending.settled).toMatchObject({ outcome: 'ok' })
  expect([told, ben.storage.get()]).toEqual([[{ kind: 'memory', why: 'write' }], { kind: 'memory', why: 'write' }])
  expect(await factory().databases()).toHaveLength(1)
  const left = ben.logout()
  await chat.advance(4000)
  await left
  expect(await factory().databases()).toEqual([])
})

test('makes room once when the disk is full, and keeps what waits to be sent', async () => {
  const chat = chatWithDatabase()
  let isFull = false
  let trims = 0
  const storage = breakable(({ write, trim }) => ({
    write: (changes, isStrict) => (isFull ? Promise.reject(quota()) : write(changes, isStrict)),
    trim: async () => {
      trims += 1
      await trim()
      isFull = false
    },
  }))
  const ben = await lived(chat, storage)
  const other = await indexedDbStorage().open(NAME, () => undefined)
  const [row] = await other.messages('amy', 60, 60)
  if (!row) throw new Error('no message')
  // Of a line of history that was left, and longer.
  await other.write([{ put: 'messages', row: { ...row, with: 'amy', seq: 5000 } }], true)
  for (const text of numbers(61, 200)) chat.server.write('amy', 'ben', text)
  await chat.advance(2000)
  chat.server.isDown = true
  chat.server.cut()
  isFull = true
  ben.conversation('amy').send('waits')
  await chat.advance(100)
  expect([trims, ben.storage.get().kind]).toEqual([1, 'persistent'])
  expect(await other.messages('amy', 4000, 6000)).toEqual([])
  other.close()
  await ben.close()
  const again = chat.client('ben', { storage: indexedDbStorage() })
  const off = again.conversation('amy').messages.subscribe(() => undefined)
  await chat.advance(100)
  expect(rowsOf(again, 'amy').at(-1)).toBe('waits sending')
  chat.server.isDown = false
  await chat.advance(20_000)
  expect(chat.server.log.of('amy', 'ben').messages.at(-1)?.content).toBe('waits')
  for (let page = 0; page < 5; page += 1) {
    const loading = again.conversation('amy').loadOlder()
    await chat.advance(100)
    await loading
  }
  expect(contentsOf(again.conversation('amy').messages.get())).toHaveLength(202)
  off()
})

test('what was taken back after the disk had become full is not sent by the next start', async () => {
  const chat = chatWithDatabase()
  const { server, advance } = chat
  let isFull = false
  const storage = breakable(({ write }) => ({
    // What only takes away needs no room.
    write: (changes, isStrict) =>
      isFull && changes.some((change) => 'put' in change) ? Promise.reject(quota()) : write(changes, isStrict),
  }))
  server.isDown = true
  const ben = chat.client('ben', { storage })
  const { id } = ben.conversation('amy').send('taken back')
  const rest = ben.conversation('amy').send('taken back later')
  await advance(200)
  isFull = true
  // Puts the text into the draft, for which there is no room.
  expect(ben.conversation('amy').takeBack(id)).toBe(true)
  await advance(200)
  expect(ben.storage.get()).toEqual({ kind: 'memory', why: 'write' })
  expect(ben.conversation('amy').discard(rest.id)).toBe(true)
  await advance(200)
  await ben.close()
  server.isDown = false
  const again = chat.client('ben', { storage: indexedDbStorage() })
  await advance(2000)
  expect([rowsOf(again, 'amy'), server.log.of('amy', 'ben').messages]).toEqual([[], []])
})

test('opens the database again when the browser has closed it in the middle', async () => {
  const chat = chatWithDatabase()
  let broken = 1
  const storage = breakable(({ write }) => ({
    write(changes, isStrict) {
      const isMessage = changes.some((change) => 'put' in change && change.put === 'messages')
      if (!isMessage || broken === 0) return write(changes, isStrict)
      broken -= 1
      return Promise.reject(new DOMException('The database connection is closing.', 'InvalidStateError'))
    },
  }))
  const ben = await lived(chat, storage)
  expect(ben.storage.get()).toEqual({ kind: 'persistent' })
  await ben.close()
  const again = chat.client('ben', { storage: indexedDbStorage() })
  const off = again.conversation('amy').messages.subscribe(() => undefined)
  chat.server.isDown = true
  await chat.advance(100)
  expect(rowsOf(again, 'amy')).toHaveLength(50)
  off()
})

test('a row that is broken is fetched again, or dropped, and keeps nobody out', async () => {
  const chat = chatWithDatabase()
  const driver = indexedDbStorage()
  await (await lived(chat, driver)).close()
  const storage = await driver.open(NAME, () => undefined)
  await storage.write(
    [
      { put: 'conversations', row: { with: 'amy', ranges: 'x' } as never },
      { put: 'outbox', row: { id: 'broken', n: 'x' } as never },
      { put: 'outbox', row: { id: 'of no order', with: 'amy', content: 'x', n: Number.NaN, at: 1 } as never },
    ],
    true,
  )
  storage.close()
  const again = chat.client('ben', { storage: driver })
  const off = again.conversation('amy').messages.subscribe(() => undefined)
  await chat.advance(5000)
  expect(again.status.get().state).toBe('live')
  expect(rowsOf(again, 'amy').at(-1)).toBe('mine sent')
  expect(again.pending.get()).toBe(0)
  off()
})

test('a message that is broken is dropped with a warning, and fetched again', async () => {
  const chat = chatWithDatabase()
  const driver = indexedDbStorage()
  await (await lived(chat, driver)).close()
  const all = [...numbers(1, 60), 'mine']
  const broken = [1, 30, 61]
  let storage = await driver.open(NAME, () => undefined)
  await storage.write(
    broken.map((seq) => ({ put: 'messages', row: { with: 'amy', seq, content: { not: 'text' } } as never })),
    true,
  )
  storage.close()
  chat.server.isDown = true
  const warnings: unknown[] = []
  const again = chat.client('ben', { storage: driver, logger: { warn: (...all) => warnings.push(all) } })
  const { messages, loadOlder } = again.conversation('amy')
  const off = messages.subscribe(() => undefined)
  await chat.advance(200)
  expect(contentsOf(messages.get())).toEqual(numbers(31, 60))
  expect(warnings).toContainEqual(['messages fetched again', 2])
  chat.server.isDown = false
  await chat.advance(20_000)
  for (let page = 0; page < 3; page += 1) {
    const loading = loadOlder()
    await chat.advance(500)
    await loading
  }
  expect(contentsOf(messages.get())).toEqual(all)
  await again.close()
  off()
  storage = await driver.open(NAME, () => undefined)
  expect(contentsOf(await storage.messages('amy', 1, 61))).toEqual(all)
  storage.close()
})

test('messages that are gone from the disk are fetched again, and silence nothing', async () => {
  const chat = chatWithDatabase()
  const driver = indexedDbStorage()
  await (await lived(chat, driver)).close()
  const storage = await driver.open(NAME, () => undefined)
  const [row] = (await storage.load()).conversations
  if (!row) throw new Error('no conversation')
  // The program had ended before all of it was told.
  await storage.write([{ put: 'conversations', row: { ...row, told: 20 } }], true)
  storage.close()
  await new Promise((resolve, reject) => {
    const opening = factory().open(NAME)
    opening.onsuccess = () => {
      const database = opening.result
      const emptied = database.transaction('messages', 'readwrite')
      emptied.objectStore('messages').clear()
      emptied.onabort = reject
      emptied.oncomplete = () => resolve(database.close())
    }
  })
  const again = chat.client('ben', { storage: driver })
  const messages = told(again)
  await chat.advance(5000)
  chat.server.write('amy', 'ben', 'new')
  await chat.advance(1000)
  expect(contentsOf(messages)).toEqual([...numbers(21, 60), 'mine', 'new'])
})

/** Two tabs that do not hear of each other; the first can be frozen, with what it was about to write. */
function frozenTab(chat: FakeChat) {
  const { server, client } = chat
  let thaw: () => void = () => undefined
  let frozen: Promise<void> | undefined
  const storage = breakable(({ write }) => ({
    async write(...args) {
      await frozen
      await write(...args)
    },
  }))
  const connect = new Proxy(server.WebSocket, {
    construct: (socket, [url, protocols]) =>
      frozen === undefined ? new socket(url, protocols) : { readyState: 0, close: () => undefined },
  })
  const first = client('ben', { storage, WebSocket: connect })
  const second = client('ben', { storage: indexedDbStorage() })
  const freeze = (): void => {
    frozen = new Promise((resolve) => {
      thaw = resolve
    })
  }
  return { first, second, freeze, thaw: () => thaw() }
}

test('what a tab was about to write when it was frozen takes the place of nothing of another line of history', async () => {
  const chat = chatWithDatabase()
  const { server, advance } = chat
  const { first, second, freeze, thaw } = frozenTab(chat)
  void second.conversation('amy').messages.get()
  await advance(200)
  for (const text of numbers(1, 5)) server.write('amy', 'ben', text)
  await advance(1000)
  const sending = first.conversation('amy').send('sent, and lost')
  await advance(0)
  freeze()
  await advance(100)
  expect(await sending.settled).toMatchObject({ outcome: 'ok', seq: 6 })
  for (const text of numbers(7, 9)) server.write('amy', 'ben', text)
  first.conversation('amy').markRead(8)
  await advance(200)
  server.setBack(8)
  for (const text of numbers(2, 9)) server.write('amy', 'ben', `new ${text}`)
  // Sooner than the frozen tab gives its write up.
  const third = chat.client('ben', { storage: indexedDbStorage() })
  void third.conversation('amy').messages.get()
  await advance(1500)
  third.conversation('amy').markRead(3)
  await advance(600)
  server.isDown = true
  server.cut()
  thaw()
  await advance(1000)
  await Promise.all([first.close(), second.close(), third.close()])
  const again = chat.client('ben', { storage: indexedDbStorage() })
  const off = again.conversation('amy').messages.subscribe(() => undefined)
  await advance(200)
  const news = ['1', ...numbers(2, 9).map((text) => `new ${text}`)]
  // What was typed is kept whatever the line: what was sent into the lost one was sent again into the new one.
  expect(contentsOf(again.conversation('amy').messages.get())).toEqual([...news, 'sent, and lost'])
  expect(again.conversation('amy').summary.get()).toMatchObject({ last_seq: 10, read_seq: 3, unread: 6 })
  server.isDown = false
  await advance(20_000)
  expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual([...news, 'sent, and lost'])
  expect(contentsOf(again.conversation('amy').messages.get())).toEqual([...news, 'sent, and lost'])
  off()
})

describe.each([
  ['a database', indexedDbStorage],
  ['memory', memoryStorage],
])('%s', (_, driverOf) => {
  const epochIs = (value: string, at: number, epoch: string): Change => ({
    ...{ put: 'meta', row: { key: 'epoch', value, at: `2026-01-01T00:00:0${at}.000Z` }, epoch },
  })
  const since = (value: string, epoch: string): Change => ({ put: 'meta', row: { key: 'since', value }, epoch })
  let count = 0
  const metaAfter = async (...writes: readonly Change[][]): Promise<Record<string, string>> => {
    count += 1
    const storage = await driverOf().open(`${NAME} ${count}`, () => undefined)
    for (const changes of writes) await storage.write(changes, true)
    const { meta } = await storage.load()
    storage.close()
    return Object.fromEntries(meta.map(({ key, value }) => [key, value]))
  }

  test('keeps nothing of a line of history that was left, and everything of the one that took its place', async () => {
    const first = [epochIs('a', 1, ''), since('of a', 'a')]
    expect(await metaAfter(first, [since('late', 'b')])).toEqual({ epoch: 'a', since: 'of a' })
    expect(await metaAfter(first, [since('late', 'b'), epochIs('b', 2, 'a'), since('of b', 'b')])).toEqual({
      epoch: 'b',
      since: 'of b',
    })
  })

  test('takes that line for the present one that the server has said last, or that takes the place of the known one', async () => {
    const both = [[epochIs('a', 1, '')], [epochIs('c', 3, 'a')]]
    expect(await metaAfter(...both, [epochIs('b', 2, 'a')])).toEqual({ epoch: 'c' })
    expect(await metaAfter(...both, [epochIs('d', 4, 'a')])).toEqual({ epoch: 'd' })
    // The clock of the server was set back.
    expect(await metaAfter(...both, [epochIs('d', 0, 'c')])).toEqual({ epoch: 'd' })
  })
})

test('after a logout there is no database left', async () => {
  const chat = chatWithDatabase()
  const ben = await lived(chat, indexedDbStorage())
  expect((await factory().databases()).map((one: { name?: string }) => one.name)).toEqual([NAME])
  await ben.logout()
  expect(await factory().databases()).toEqual([])
})

test('catches up with ten thousand messages of twenty conversations, and keeps them', async () => {
  const chat = chatWithDatabase()
  for (let n = 1; n <= 500; n += 1)
    for (let who = 1; who <= 20; who += 1) chat.server.write(`friend-${who}`, 'ben', String(n))
  const storage = indexedDbStorage()
  const ben = chat.client('ben', { storage })
  const messages = told(ben)
  await chat.advance(30_000)
  expect(messages).toHaveLength(10_000)
  for (let who = 1; who <= 20; who += 1) {
    const from = messages.filter(({ sender_id }) => sender_id === `friend-${who}`)
    expect(contentsOf(from)).toEqual(numbers(1, 500))
    expect(chat.server.log.positions('ben', `friend-${who}`).delivered_seq).toBe(500)
  }
  await ben.close()
  const kept = await storage.open(NAME, () => undefined)
  expect(await kept.messages('friend-7', 1, 500)).toHaveLength(500)
  kept.close()
})
