// A cookie that becomes that of somebody else while a client runs.
import { expect, test } from 'vitest'
import { memoryStorage, type StorageDriver } from '../../../src/client/index.ts'
import { MemoryStorage } from '../../../src/client/memory-storage.ts'
import { fakeChat } from '../../support/fake-chat.ts'

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

/** A client whose cookie becomes that of somebody else. */
async function exchanged(storage = memoryStorage()) {
  let user = 'amy'
  const chat = fakeChat({ userOf: (token) => token })
  const auth = { getToken: () => Promise.resolve(user) }
  const client = chat.client('', { auth, storage })
  await chat.advance(500)
  const exchange = async (): Promise<void> => {
    user = 'cleo'
    chat.server.cut()
    await chat.advance(1500)
    expect(client.userId).toBe('cleo')
  }
  return { ...chat, client, storage, exchange }
}

test('what is typed is kept for who typed it, though another user is welcomed in the same moment', async () => {
  const { client, storage, exchange } = await exchanged()
  client.on('status', ({ state }) => {
    if (state === 'syncing') client.conversation('ben').draft.set('a secret of amy')
  })
  await exchange()
  const draftsOf = async (user: string): Promise<readonly unknown[]> =>
    (await (await storage.open(`messaging-server-client http://fake.test ${user}`, () => undefined)).load()).drafts
  expect([await draftsOf('amy'), await draftsOf('cleo')]).toEqual([[{ with: 'ben', text: 'a secret of amy' }], []])
})

test('what is kept late acknowledges nothing for the next user', async () => {
  const slow = new MemoryStorage()
  const write = slow.write.bind(slow)
  let gate: Promise<void> | undefined
  slow.write = async (changes) => {
    await gate
    await write(changes)
  }
  const all = memoryStorage()
  const open: StorageDriver['open'] = (name, lost) =>
    name.endsWith('amy') ? Promise.resolve(slow) : all.open(name, lost)
  const { server, advance, exchange } = await exchanged({ kind: 'memory', open })
  let thaw: () => void = () => undefined
  gate = new Promise((resolve) => {
    thaw = resolve
  })
  for (const text of numbers(1, 3)) server.write('ben', 'amy', text)
  await advance(100)
  await exchange()
  server.frameFault = ({ type }) => (type === 'message' || type === 'history' ? 'drop' : undefined)
  for (const text of numbers(1, 3)) server.write('ben', 'cleo', text)
  server.commands.length = 0
  thaw()
  await advance(2000)
  expect(server.commands.filter(({ command }) => command.type === 'ack')).toEqual([])
  expect(server.log.positions('cleo', 'ben').delivered_seq).toBe(0)
})
