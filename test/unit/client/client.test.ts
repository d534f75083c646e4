import { getEventListeners } from 'node:events'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { memoryStorage, type Outcome } from '../../../src/client/index.ts'
import type { Command, CommandOf } from '../../../src/protocol/commands.ts'
import { contentsOf, fakeChat, rowsOf, told } from '../../support/fake-chat.ts'

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index))

describe('sending', () => {
  test('goes from queued to sent, delivered and read, with the same key from the first moment', async () => {
    const { client, advance } = fakeChat()
    const [amy, ben] = [client('amy'), client('ben')]
    const sending = amy.conversation('ben').send('hello')
    expect(rowsOf(amy, 'ben')).toEqual(['hello queued'])
    expect(amy.conversation('ben').messages.get()[0]?.id).toBe(sending.id)
    await advance(100)
    expect(await sending.settled).toMatchObject({
      outcome: 'ok',
      id: sending.id,
      seq: 1,
      with: 'ben',
      duplicate: false,
    })
    expect(sending.status.get()).toBe('sent')
    expect(rowsOf(amy, 'ben')).toEqual(['hello sent'])
    expect(amy.conversation('ben').messages.get()[0]?.id).toBe(sending.id)
    await advance(500)
    expect(rowsOf(amy, 'ben')).toEqual(['hello delivered'])
    expect(rowsOf(ben, 'amy')).toEqual(['hello received'])
    expect(ben.conversation('amy').summary.get().unread).toBe(1)
    ben.conversation('amy').markRead(1)
    await advance(500)
    expect(rowsOf(amy, 'ben')).toEqual(['hello read'])
    expect(ben.conversation('amy').summary.get().unread).toBe(0)
    expect(amy.pending.get()).toBe(0)
  })

  test.each([
    ['invalid_request', ''],
    ['invalid_text', 'a\0b'],
    ['invalid_text', '\ud800'],
    ['payload_too_large', 'x'.repeat(16_385)],
    // Allowed as text, but its frame would close the connection.
    ['payload_too_large', '\u0001'.repeat(16_000)],
  ])('settles with %s at once and keeps nothing', async (code, text) => {
    const { client, server, advance } = fakeChat()
    const amy = client('amy')
    const outcome: Outcome = await amy.conversation('ben').send(text).settled
    expect(outcome).toMatchObject({ outcome: 'failed', code })
    await advance(1000)
    expect(server.commands.filter(({ command }) => command.type === 'send')).toEqual([])
    expect(amy.pending.get()).toBe(0)
  })

  test('an aborted send is taken back while it waits; once it was written it is only waited for no more', async () => {
    const { client, server, advance } = fakeChat()
    server.isDown = true
    const amy = client('amy')
    const early = new AbortController()
    const waiting = amy.conversation('ben').send('never', { signal: early.signal })
    await advance(10)
    early.abort()
    expect(await waiting.settled).toEqual({ outcome: 'cancelled', id: waiting.id, kept: false })
    server.isDown = false
    await advance(10_000)
    const late = new AbortController()
    const written = amy.conversation('ben').send('written', { signal: late.signal })
    await advance(0)
    late.abort()
    expect(await written.settled).toEqual({ outcome: 'cancelled', id: written.id, kept: true })
    await advance(1000)
    expect(rowsOf(amy, 'ben')).toEqual(['written sent'])
    expect(contentsOf(server.log.of('amy', 'ben').messages)).toEqual(['written'])
  })

  test('a signal that many sends share holds none of them once it is settled', async () => {
    const { client, advance } = fakeChat()
    const amy = client('amy')
    const { signal } = new AbortController()
    const sendings = numbers(1, 3).map((text) => amy.conversation('ben').send(text, { signal }))
    expect(getEventListeners(signal, 'abort')).toHaveLength(3)
    await advance(1000)
    for (const { settled } of sendings) expect(await settled).toMatchObject({ outcome: 'ok' })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('a message that was refused for good stays and can be tried again with its id, or dropped', async () => {
    const { client, server, advance } = fakeChat()
    server.sendFault = () => ({ error: 'not_accepted' })
    const amy = client('amy')
    const { send, retry, discard } = amy.conversation('ben')
    const [one, two] = [send('one'), send('two')]
    await advance(1000)
    expect(await one.settled).toMatchObject({ outcome: 'failed', code: 'not_accepted' })
    expect(rowsOf(amy, 'ben')).toEqual(['one failed', 'two failed'])
    server.sendFault = () => undefined
    const again = retry(one.id)
    expect(discard(two.id)).toBe(true)
    await advance(1000)
    expect(await again?.settled).toMatchObject({ outcome: 'ok', id: one.id, seq: 1 })
    expect(rowsOf(amy, 'ben')).toEqual(['one sent'])
    expect(retry(one.id)).toBeUndefined()
  })

  test('the text of what was certainly not stored goes back into the draft; what may be stored stays', async () => {
    const { client, server, advance } = fakeChat()
    const amy = client('amy')
    const { send, takeBack, draft, messages } = amy.conversation('ben')
    server.sendFault = () => ({ error: 'not_accepted' })
    const refused = send('refused')
    await advance(1000)
    expect(messages.get()[0]).toMatchObject({ state: 'failed', isUnstored: true })
    draft.set('and more')
    expect(takeBack(refused.id)).toBe(true)
    expect([draft.get(), rowsOf(amy, 'ben')]).toEqual(['refused\nand more', []])
    server.sendFault = () => 'cut_after'
    const unknown = send('unknown')
    await advance(100)
    expect(messages.get()[0]?.isUnstored).toBeUndefined()
    expect(takeBack(unknown.id)).toBe(false)
    expect(contentsOf(messages.get())).toEqual(['unknown'])
  })

  test('closing settles what waits and keeps it for the next client', async () => {
    const { client, server, advance } = fakeChat()
    const storage = memoryStorage()
    server.isDown = true
    const first = client('amy', { storage })
    const sending = first.conversation('ben').send('later')
    await advance(100)
    await first.close()
    expect(await sending.settled).toEqual({ outcome: 'cancelled', id: sending.id, kept: true })
    server.isDown = false
    const second = client('amy', { storage })
    await advance(1000)
    expect(server.log.of('amy', 'ben').messages).toMatchObject([{ id: sending.id, content: 'later' }])
    expect(rowsOf(second, 'ben')).toEqual(['later sent'])
  })
})

describe('receiving', () => {
  test('tells each message once and in order, over reconnects', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    for (let n = 1; n <= 60; n += 1) {
      server.write('amy', 'ben', String(n))
      if (n % 7 === 0) server.cut()
      await advance(n % 5 === 0 ? 2500 : 40)
    }
    await advance(20_000)
    expect(contentsOf(messages)).toEqual(numbers(1, 60))
    expect(server.log.positions('ben', 'amy').delivered_seq).toBe(60)
  })

  test('asks at once for what an open conversation lacks, and leaves the others to their turn', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const messages = told(ben)
    for (const other of ['amy', 'zoe']) server.write(other, 'ben', '1')
    await advance(1000)
    const off = ben.conversation('amy').messages.subscribe(() => undefined)
    await advance(1000)
    server.isDown = true
    server.cut()
    for (let n = 2; n <= 400; n += 1) for (const other of ['amy', 'zoe']) server.write(other, 'ben', String(n))
    const before = server.commands.length
    server.isDown = false
    await advance(20_000)
    const asked = server.commands.slice(before).flatMap(({ command }) => (command.type === 'history' ? [command] : []))
    expect(asked).toMatchObject([{ with: 'amy', after: 1, limit: 500 }])
    expect(rowsOf(ben, 'amy')).toEqual(numbers(1, 400).map((text) => `${text} received`))
    for (const other of ['amy', 'zoe']) {
      expect(contentsOf(messages.filter(({ sender_id }) => sender_id === other))).toEqual(numbers(1, 400))
      expect(server.log.positions('ben', other).delivered_seq).toBe(400)
    }
    off()
  })

  test('acknowledges a burst of a thousand with few frames', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    await advance(100)
    for (let n = 1; n <= 1000; n += 1) server.write('amy', 'ben', String(n))
    await advance(2000)
    const acks = server.commands.filter(({ command }) => command.type === 'ack')
    expect(acks.length).toBeGreaterThan(0)
    expect(acks.length).toBeLessThanOrEqual(40)
    expect(server.log.positions('ben', 'amy').delivered_seq).toBe(1000)
    expect(ben.conversation('amy').summary.get().unread).toBe(100)
  })

  test('says once how far was read, however much comes after it', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    server.write('amy', 'ben', 'one')
    await advance(1000)
    ben.conversation('amy').markRead(1)
    for (let n = 2; n <= 20; n += 1) {
      server.write('amy', 'ben', String(n))
      await advance(400)
    }
    expect(server.commands.filter(({ command }) => command.type === 'read')).toHaveLength(1)
    server.cut()
    await advance(5000)
    // It may have been lost with the connection.
    expect(server.commands.filter(({ command }) => command.type === 'read')).toHaveLength(2)
    expect(server.log.positions('ben', 'amy').read_seq).toBe(1)
  })

  test('lists conversations newest first, those that only wait to be sent above all', async () => {
    const { client, server, advance } = fakeChat()
    server.write('cleo', 'ben', 'old')
    await advance(10)
    server.write('amy', 'ben', 'new')
    const ben = client('ben')
    await advance(100)
    expect(ben.conversations.get().map(({ with: other, unread }) => [other, unread])).toEqual([
      ['amy', 1],
      ['cleo', 1],
    ])
    server.isDown = true
    server.cut()
    ben.conversation('dan').send('first')
    await advance(10)
    expect(ben.conversations.get()[0]).toMatchObject({
      with: 'dan',
      last_message: { content: 'first', state: 'queued' },
    })
  })

  test('lists twelve hundred conversations a page at a time, and asks later what changed since', async () => {
    const { client, server, advance } = fakeChat()
    const others = numbers(1, 1200).map((text) => `friend-${text}`)
    for (const other of others) {
      server.write(other, 'ben', 'hello')
      server.log.move('ben', other, 1, true)
    }
    const ben = client('ben')
    await advance(5000)
    expect(ben.conversations.get()).toHaveLength(1200)
    const asked = <T extends Command['type']>(type: T) =>
      server.commands.flatMap(({ command }) => (command.type === type ? [command as CommandOf<T>] : []))
    expect(asked('conversations').map(({ cursor }) => cursor)).toEqual([undefined, undefined, '100', '600', '1100'])
    server.frameFault = ({ type }) => (type === 'message' ? 'drop' : undefined)
    server.write('friend-1111', 'ben', 'missed')
    server.frameFault = () => undefined
    await advance(70_000)
    expect(asked('sync').at(-1)).toMatchObject({ type: 'sync', since: expect.any(String) })
    expect(asked('sync').at(-1)?.heads).toBeUndefined()
    expect(ben.conversations.get()[0]).toMatchObject({ with: 'friend-1111', last_seq: 2, unread: 1 })
    expect(server.log.positions('ben', 'friend-1111').delivered_seq).toBe(2)
  })

  test('loads what is older a screen at a time, to the very first message', async () => {
    const { client, server, advance } = fakeChat()
    for (let n = 1; n <= 120; n += 1) server.write('amy', 'ben', String(n))
    server.log.move('ben', 'amy', 120, true)
    const ben = client('ben')
    await advance(100)
    const { messages, hasOlder, loadOlder } = ben.conversation('amy')
    const off = messages.subscribe(() => undefined)
    await advance(100)
    expect(contentsOf(messages.get())).toEqual(numbers(71, 120))
    expect(hasOlder.get()).toBe(true)
    const older = [loadOlder()]
    await advance(100)
    older.push(loadOlder())
    await advance(100)
    expect(await Promise.all(older)).toEqual([true, true])
    expect(contentsOf(messages.get())).toEqual(numbers(1, 120))
    expect(hasOlder.get()).toBe(false)
    expect(await loadOlder()).toBe(false)
    off()
  })

  test('loads what is older above what is there, also for a program that watches none of it', async () => {
    const { client, server, advance } = fakeChat()
    for (let n = 1; n <= 250; n += 1) server.write('amy', 'ben', String(n))
    server.log.move('ben', 'amy', 250, true)
    const ben = client('ben')
    await advance(100)
    const { messages, loadOlder } = ben.conversation('amy')
    messages.subscribe(() => undefined)()
    await advance(100)
    for (const count of [100, 150, 200]) {
      const older = loadOlder()
      await advance(100)
      expect(await older).toBe(true)
      expect(contentsOf(messages.get())).toEqual(numbers(251 - count, 250))
    }
  })

  test('a reader that falls too far behind is told so', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    await advance(100)
    const reader = ben.messages()
    for (let n = 1; n <= 300; n += 1) server.write('amy', 'ben', String(n))
    await advance(1000)
    const seen: string[] = []
    const reading = (async () => {
      for await (const { content } of reader) seen.push(content)
    })()
    await expect(reading).rejects.toMatchObject({ name: 'ChatError', code: 'overflow' })
    expect(seen).toEqual(numbers(1, 256))
  })
})

describe('people', () => {
  test('watches presence while somebody looks, again after each connection, and knows nothing without one', async () => {
    const { client, server, advance } = fakeChat()
    const ben = client('ben')
    const presence = ben.presence('amy')
    const off = presence.subscribe(() => undefined)
    await advance(100)
    expect(presence.get().status).toBe('offline')
    const amy = client('amy')
    await advance(100)
    expect(presence.get().status).toBe('online')
    server.cut(1006, 'ben')
    await advance(10)
    expect(presence.get().status).toBe('unknown')
    await advance(5000)
    expect(presence.get().status).toBe('online')
    // As when one list takes the place of another.
    off()
    const again = presence.subscribe(() => undefined)
    await advance(100)
    expect(presence.get().status).toBe('online')
    again()
    await advance(10)
    expect(server.commands.at(-1)?.command).toMatchObject({ type: 'unwatch', user_ids: ['amy'] })
    expect(amy.status.get().state).toBe('live')
  })

  test('says that a person types at most every three seconds, and forgets it six seconds later', async () => {
    const { client, server, advance } = fakeChat()
    const [amy, ben] = [client('amy'), client('ben')]
    await advance(100)
    const { typing } = amy.conversation('ben')
    const { isTyping } = ben.conversation('amy')
    for (let key = 0; key < 40; key += 1) {
      typing()
      await advance(100)
    }
    expect(server.commands.filter(({ command }) => command.type === 'typing')).toHaveLength(2)
    expect(isTyping.get()).toBe(true)
    await advance(6000)
    expect(isTyping.get()).toBe(false)
    typing()
    await advance(100)
    amy.conversation('ben').send('done')
    await advance(100)
    expect(isTyping.get()).toBe(false)
  })
})

test('a listener that throws is reported and harms neither the others nor the connection', async () => {
  const { client, server, advance } = fakeChat()
  const warnings: unknown[] = []
  const ben = client('ben', { logger: { warn: (message) => warnings.push(message) } })
  ben.on('message', () => {
    throw new Error('mine')
  })
  const messages = told(ben)
  await advance(100)
  server.write('amy', 'ben', 'one')
  await advance(100)
  expect(contentsOf(messages)).toEqual(['one'])
  expect(warnings).toEqual(['a listener has thrown'])
  expect(ben.status.get().state).toBe('live')
})

test('a listener ends with its signal', async () => {
  const { client, server, advance } = fakeChat()
  const ben = client('ben')
  const ends = new AbortController()
  const seen: string[] = []
  ben.on('message', ({ content }) => seen.push(content), { signal: ends.signal })
  await advance(100)
  server.write('amy', 'ben', 'one')
  await advance(100)
  ends.abort()
  server.write('amy', 'ben', 'two')
  await advance(100)
  expect(seen).toEqual(['one'])
})

test('says what to pass where the platform has no WebSocket', () => {
  const { client } = fakeChat()
  const real = globalThis.WebSocket
  Object.defineProperty(globalThis, 'WebSocket', { value: undefined, configurable: true, writable: true })
  try {
    expect(() => client('amy', { WebSocket: undefined })).toThrow('Pass the one of the package ws')
  } finally {
    Object.defineProperty(globalThis, 'WebSocket', { value: real, configurable: true, writable: true })
  }
})

describe('a fake server', () => {
  test('that is down leaves no client to ask the network why', async () => {
    const network = vi.fn(() => Promise.reject(new TypeError('fetch failed')))
    vi.stubGlobal('fetch', network)
    onTestFinished(() => void vi.unstubAllGlobals())
    const { client, server, advance } = fakeChat()
    server.isDown = true
    const amy = client('amy')
    await advance(10_000)
    expect(server.socketCount).toBeGreaterThan(1)
    expect(network).not.toHaveBeenCalled()
    server.isDown = false
    await advance(60_000)
    expect(amy.status.get().state).toBe('live')
  })

  test('says over HTTP what a client asks there: whether it is ready, and whether a token is good', async () => {
    const { server } = fakeChat({ userOf: (token) => (token === 'good' ? 'amy' : undefined) })
    const ask = async (path: string, token = '') =>
      (await server.fetch(`http://fake.test${path}`, { headers: { authorization: `Bearer ${token}` } })).status
    expect(await ask('/readyz')).toBe(200)
    expect([await ask('/api/users/me', 'good'), await ask('/api/users/me', 'bad')]).toEqual([200, 401])
    expect(await ask('/elsewhere')).toBe(404)
    server.isDown = true
    await expect(ask('/readyz')).rejects.toThrow(TypeError)
  })
})
