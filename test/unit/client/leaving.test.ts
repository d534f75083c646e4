// What a client that was closed or logged out does: nothing any more, whatever was under way.
import { describe, expect, test } from 'vitest'
import { createClient } from '../../../src/client/index.ts'
import { fakeChat } from '../../support/fake-chat.ts'

describe.each(['close', 'logout'] as const)('%s right after the client was made', (leave) => {
  test.each([
    ['before the storage is open', 0],
    ['while it dials', 1],
    ['before the welcome has come', 2],
  ])('leaves no connection behind: %s', async (_when, ms) => {
    const { client, server, advance } = fakeChat({ userOf: (token) => token })
    const amy = client('amy', { auth: { getToken: () => Promise.resolve('amy') } })
    if (ms > 0) await advance(ms)
    const left = amy[leave]()
    await advance(60_000)
    await left
    amy.connect()
    await advance(1000)
    expect([server.openCount, amy.status.get().state, amy.userId]).toEqual([0, 'stopped', ''])
  })
})

test('a send after it settles at once as cancelled and not kept', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy')
  await advance(100)
  await amy.close()
  const sending = amy.conversation('ben').send('too late')
  expect(await sending.settled).toEqual({ outcome: 'cancelled', id: sending.id, kept: false })
  await sending.saved
  await advance(1000)
  expect([amy.pending.get(), server.log.of('amy', 'ben').messages]).toEqual([0, []])
})

test('a reader of messages gets what has come, and ends', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  const readers = [ben.messages(), ben.messages()]
  await advance(100)
  server.write('amy', 'ben', 'last')
  await advance(100)
  const first = await readers[0]?.next()
  const next = readers[0]?.next()
  await ben.close()
  expect([first?.value.content, await next]).toEqual(['last', { done: true, value: undefined }])
  const seen: string[] = []
  for await (const { content } of readers[1] ?? []) seen.push(content)
  expect(seen).toEqual(['last'])
  expect(await ben.messages().next()).toEqual({ done: true, value: undefined })
})

test('what waited in a memory that ends with the client is not said to be kept', async () => {
  const { server, advance } = fakeChat()
  const { clock, WebSocket } = server
  server.isDown = true
  const amy = createClient({ url: 'ws://fake.test/ws', auth: { userId: 'amy' }, WebSocket, clock })
  const sending = amy.conversation('ben').send('gone')
  await advance(100)
  await amy.close()
  expect(await sending.settled).toEqual({ outcome: 'cancelled', id: sending.id, kept: false })
})
