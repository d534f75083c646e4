// The WebSocket as protocol.md has it: admission, commands, replies, pushes, order and close codes, in both encodings.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { RawHttp, rawRequest, upgradeRequest } from '../support/raw-http.ts'
import { RawWebSocket } from '../support/raw-websocket.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { type Frame, JSON_PROTOCOL, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { openTransaction } from '../support/transactions.ts'

const services = useServices('patient')
const KIB = 1024
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
let database: TestDatabase
let service: ServiceProcess
let users = 0

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn, MAX_CONNECTIONS_PER_USER: '2' })
})
afterAll(async () => {
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await database.drop()
})

/** A user that nobody else of this file uses. */
const newUser = (): string => {
  users += 1
  return `user${users}`
}
const connect = (user: string, protocol: string | null = JSON_PROTOCOL): Promise<SocketClient> =>
  SocketClient.connect(service, user, { protocol })

/** The client, once everything of before has been sent to it. */
async function live(user: string, protocol: string | null = JSON_PROTOCOL): Promise<SocketClient> {
  const client = await connect(user, protocol)
  await client.next('synced')
  return client
}

describe('admission', () => {
  test('welcomes first, with all that a client needs to know', async () => {
    const user = newUser()
    const client = await connect(user)
    expect(client.frames[0]).toEqual({
      type: 'welcome',
      user_id: user,
      connection_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      server_time: expect.stringMatching(TIME),
      epoch: expect.stringMatching(/./),
      protocol: 1,
      max_content_bytes: 16_384,
      heartbeat_seconds: 32,
    })
    expect(await client.next('synced')).toEqual({
      type: 'synced',
      server_time: expect.stringMatching(TIME),
      epoch: client.frames[0]?.['epoch'],
    })
    await client.close()
  })

  test.each([
    [null, ''],
    [JSON_PROTOCOL, JSON_PROTOCOL],
    [MSGPACK_PROTOCOL, MSGPACK_PROTOCOL],
    [`${MSGPACK_PROTOCOL},${JSON_PROTOCOL}`, MSGPACK_PROTOCOL],
    [`chat.v9,${JSON_PROTOCOL}`, JSON_PROTOCOL],
  ])('answers the offer %s with the subprotocol %j', async (offer, chosen) => {
    const client = await connect(newUser(), offer)
    expect(client.protocol).toBe(chosen)
    expect(client.raw[0]?.isBinary).toBe(chosen === MSGPACK_PROTOCOL)
    await client.close()
  })

  test.each([
    ['an unknown subprotocol', '/ws?user_id=a', { 'Sec-WebSocket-Protocol': 'chat.v9' }, 400, 'invalid_request'],
    ['no user_id', '/ws', {}, 400, 'invalid_request'],
    ['an empty user_id', '/ws?user_id=', {}, 400, 'invalid_request'],
    ['a bad user_id', '/ws?user_id=a%20b', {}, 400, 'invalid_request'],
    ['two user_ids', '/ws?user_id=a&user_id=b', {}, 400, 'invalid_request'],
    ['an unknown parameter', '/ws?user_id=a&token=b', {}, 400, 'invalid_request'],
    ['a user_id that is too long', `/ws?user_id=${'a'.repeat(129)}`, {}, 400, 'invalid_request'],
    ['a wrong version', '/ws?user_id=a', { 'Sec-WebSocket-Version': '8' }, 426, 'upgrade_required'],
    ['an upgrade elsewhere', '/api/nothing', {}, 404, 'not_found'],
  ])('refuses %s before the upgrade', async (_name, path, headers, status, code) => {
    const answer = await rawRequest(service, upgradeRequest(path, headers))
    expect(answer?.status).toBe(status)
    expect(JSON.parse(answer?.body ?? '')).toMatchObject({ error: { code } })
    if (status === 426) expect(answer?.head).toMatch(/^Sec-WebSocket-Version: 13$/im)
  })

  test.each([
    ['Connection over two lines', { Connection: 'keep-alive', connection: 'Upgrade' }],
    ['Upgrade over two lines', { Upgrade: 'h2c', upgrade: 'WebSocket' }],
    ['both as lists', { Connection: 'keep-alive, Upgrade', Upgrade: 'websocket, h2c' }],
  ])('upgrades a request with %s', async (_name, headers) => {
    expect(await rawRequest(service, upgradeRequest('/ws?user_id=listed', headers))).toMatchObject({ status: 101 })
  })

  test('closes the connection after a refused upgrade', async () => {
    const http = await RawHttp.connect(service)
    http.write(upgradeRequest('/ws'))
    expect((await http.answersToTheEnd()).map(({ status }) => status)).toEqual([400])
  })

  test('answers a plain GET with 426 and says what to upgrade to', async () => {
    const { status, headers, body } = await get(service, '/ws?user_id=a')
    expect([status, headers.get('upgrade')]).toEqual([426, 'websocket'])
    expect(body).toMatchObject({ error: { code: 'upgrade_required' } })
  })

  test('replaces the oldest socket of a user that has too many', async () => {
    const user = newUser()
    const [first, second, third] = [await connect(user), await connect(user), await connect(user)]
    expect(await first.closed).toMatchObject({ code: 4409 })
    await second.settled()
    await third.settled()
    await second.close()
    await third.close()
  })

  test('replaces a half-open socket, which answers no ping, before an older one that lives', async () => {
    const user = newUser()
    const laptop = await connect(user)
    const halfOpen = await RawWebSocket.connect(service, user)
    const newcomer = await connect(user)
    expect(await halfOpen.until((event) => event.startsWith('close'))).toEqual(
      expect.arrayContaining(['PING', 'close 4409']),
    )
    await laptop.settled()
    await newcomer.settled()
    await laptop.close()
    await newcomer.close()
  })
})

describe.each([JSON_PROTOCOL, MSGPACK_PROTOCOL])('commands in %s', (protocol) => {
  test('carry a message to the other person with the same fields as REST', async () => {
    const [a, b] = [newUser(), newUser()]
    const [alice, bob] = [await live(a, protocol), await live(b, protocol)]
    const content = 'tab\t newline\n quote" backslash\\ \\. \u2028 💬 \u0001'
    alice.send({ type: 'send', receiver_id: b, content, ref: 7 })
    const sent = await alice.next('sent')
    expect(sent).toEqual({
      type: 'sent',
      ref: 7,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      seq: 1,
      with: b,
      created_at: expect.stringMatching(TIME),
      duplicate: false,
    })
    const { id, created_at } = sent
    const message = { id, seq: 1, sender_id: a, receiver_id: b, content, created_at }
    expect(await bob.next('message')).toEqual({ type: 'message', ...message })
    const { body } = await get(service, `/api/messages?user_id=${b}&with=${a}`)
    expect(body).toEqual({ messages: [message], has_more: false })
    expect(await bob.ask({ type: 'history', with: a })).toEqual({
      type: 'history',
      ref: expect.any(String),
      with: a,
      messages: [message],
      has_more: false,
    })
    expect(bob.raw.every(({ isBinary }) => isBinary === (protocol === MSGPACK_PROTOCOL))).toBe(true)
    await alice.close()
    await bob.close()
  })

  test('take effect in the order sent', async () => {
    const [user, other] = [newUser(), newUser()]
    const client = await live(user, protocol)
    const refs = Array.from({ length: 100 }, (_, index) => index + 1)
    for (const ref of refs) client.send({ type: 'send', receiver_id: other, content: `text ${ref}`, ref })
    client.send({ type: 'history', with: other, limit: 500, ref: 'after' })
    const history = await client.next('history')
    expect(history.messages?.map(({ content }) => content)).toEqual(refs.map((ref) => `text ${ref}`))
    const sent = client.frames.filter(({ type }) => type === 'sent')
    expect(sent.map(({ ref, seq }) => [ref, seq])).toEqual(refs.map((ref) => [ref, ref]))
    expect(await client.ask({ type: 'history', with: other, after: 10, before: 20, limit: 2 })).toMatchObject({
      messages: [{ seq: 11 }, { seq: 12 }],
      has_more: true,
    })
    await client.close()
  })

  test('echo any ref, in errors too, and leave it out when there was none', async () => {
    const client = await live(newUser(), protocol)
    for (const ref of ['text', 'ü💬"', '', 0, -1, 1.5, Number.MAX_SAFE_INTEGER]) {
      client.send({ type: 'ping', ref })
      expect(await client.next('pong')).toEqual({ type: 'pong', ref })
      client.send({ type: 'send', receiver_id: '!', content: 'x', ref })
      expect(await client.next('error')).toMatchObject({ ref, code: 'invalid_request', field: 'receiver_id' })
    }
    client.send({ type: 'ping' })
    expect(await client.next('pong')).toEqual({ type: 'pong' })
    for (const ref of [{ deep: 1 }, 2 ** 53, null]) {
      client.send({ type: 'ping', ref })
      const error = await client.next('error')
      expect(error).toMatchObject({ code: 'invalid_request', field: 'ref' })
      expect(error).not.toHaveProperty('ref')
    }
    await client.close()
  })

  test('answer what is wrong with an error, and stay', async () => {
    const client = await live(newUser(), protocol)
    const id = crypto.randomUUID()
    const cases: [object, string, string | undefined][] = [
      [{ type: 'nonsense' }, 'invalid_request', 'type'],
      [{ type: '__proto__' }, 'invalid_request', 'type'],
      [{ type: 7 }, 'invalid_request', 'type'],
      [{ type: 'send', content: 'x' }, 'invalid_request', 'receiver_id'],
      [{ type: 'send', receiver_id: 'b', content: '' }, 'invalid_request', 'content'],
      [{ type: 'send', receiver_id: 'b', content: 'x', colour: 1 }, 'invalid_request', 'colour'],
      [{ type: 'send', receiver_id: 'b', content: 'x', id: 'x' }, 'invalid_request', 'id'],
      [{ type: 'send', receiver_id: 'b', content: 'a\0b' }, 'invalid_text', 'content'],
      [{ type: 'send', receiver_id: 'b', content: 'x'.repeat(16_385), id }, 'payload_too_large', 'content'],
      [{ type: 'history', with: 'b', limit: 501 }, 'invalid_request', 'limit'],
      [{ type: 'history', with: 'b', before: -1 }, 'invalid_request', 'before'],
      [{ type: 'typing' }, 'invalid_request', 'receiver_id'],
      [{ type: 'ack', with: 'b', seq: 0 }, 'invalid_request', 'seq'],
      [{ type: 'ack', with: 'nobody', seq: 1 }, 'invalid_ack', undefined],
      [{ type: 'read', with: 'nobody', seq: 1 }, 'invalid_ack', undefined],
      [['an array'], 'invalid_request', undefined],
    ]
    for (const [frame, code, field] of cases) {
      client.send(frame)
      const error = await client.next('error')
      expect([frame, error.code, error.field]).toEqual([frame, code, field])
      expect(error.message).toEqual(expect.stringMatching(/\S/))
    }
    expect(client.frames.filter((frame) => frame.id === id)).toHaveLength(1)
    await client.settled()
    await client.close()
  })

  test('list conversations, tell what changed, and move positions', async () => {
    const [a, b] = [newUser(), newUser()]
    const [alice, bob] = [await live(a, protocol), await live(b, protocol)]
    await alice.ask({ type: 'send', receiver_id: b, content: 'one' })
    await alice.ask({ type: 'send', receiver_id: b, content: 'two' })
    bob.send({ type: 'ack', with: a, seq: 2 })
    expect(await alice.next(({ type, delivered_seq }) => type === 'receipt' && delivered_seq === 2)).toMatchObject({
      with: b,
      read_seq: 0,
    })
    bob.send({ type: 'read', with: a, seq: 1 })
    expect(await alice.next(({ type, read_seq }) => type === 'receipt' && read_seq === 1)).toMatchObject({
      with: b,
      delivered_seq: 2,
    })
    const positions = { delivered_seq: 2, read_seq: 1, last_seq: 2, with: a }
    expect(await bob.ask({ type: 'conversations' })).toMatchObject({
      type: 'conversations',
      conversations: [{ ...positions, unread: 1, last_message: { content: 'two', seq: 2 } }],
      next_cursor: null,
    })
    expect(await bob.ask({ type: 'sync', heads: [] })).toMatchObject({ type: 'sync', changed: [positions] })
    expect(await bob.ask({ type: 'sync', heads: [[a, 2]] })).toMatchObject({ changed: [] })
    expect(await bob.ask({ type: 'sync', heads: [[a, 1]] })).toMatchObject({ changed: [positions] })
    await alice.close()
    await bob.close()
  })
})

describe('pushes', () => {
  test('reach the sender’s other socket, while the sending one gets its reply only', async () => {
    const [a, b] = [newUser(), newUser()]
    const [phone, laptop, bob] = [await live(a), await live(a, MSGPACK_PROTOCOL), await live(b)]
    const { id } = await phone.ask({ type: 'send', receiver_id: b, content: 'hi' })
    expect(await laptop.next('message')).toMatchObject({ id, sender_id: a, receiver_id: b, seq: 1 })
    expect(await bob.next('message')).toMatchObject({ id, content: 'hi' })
    await post(service, { sender_id: a, receiver_id: b, content: 'by REST' })
    expect(await phone.next('message')).toMatchObject({ seq: 2, content: 'by REST' })
    expect(phone.frames.filter(({ type }) => type === 'message')).toHaveLength(1)
    for (const client of [phone, laptop, bob]) await client.close()
  })

  test('show typing to that person only, in either encoding', async () => {
    const [a, b, c] = [newUser(), newUser(), newUser()]
    const [alice, bob, bobsPhone, carol] = [
      await live(a),
      await live(b),
      await live(b, MSGPACK_PROTOCOL),
      await live(c),
    ]
    alice.send({ type: 'typing', receiver_id: b })
    alice.send({ type: 'typing', receiver_id: b, active: false })
    for (const client of [bob, bobsPhone]) {
      expect(await client.next('typing')).toEqual({ type: 'typing', sender_id: a, active: true })
      expect(await client.next('typing')).toEqual({ type: 'typing', sender_id: a, active: false })
    }
    for (const client of [alice, carol]) {
      await client.settled()
      expect(client.frames.filter(({ type }) => type === 'typing')).toEqual([])
    }
    expect((await get(service, `/api/messages?user_id=${a}&with=${b}`)).body).toMatchObject({ messages: [] })
    for (const client of [alice, bob, bobsPhone, carol]) await client.close()
  })

  test('arrive in order of seq at a person who talks with many', async () => {
    const b = newUser()
    const bob = await live(b)
    const senders = await Promise.all(Array.from({ length: 5 }, () => live(newUser())))
    for (let turn = 0; turn < 20; turn += 1) {
      for (const client of senders) client.send({ type: 'send', receiver_id: b, content: `${turn}` })
    }
    const seqs = new Map<unknown, unknown[]>()
    for (let count = 0; count < 100; count += 1) {
      const { sender_id, seq } = await bob.next('message')
      seqs.set(sender_id, [...(seqs.get(sender_id) ?? []), seq])
    }
    const expected = Array.from({ length: 20 }, (_, index) => index + 1)
    expect([...seqs.values()]).toEqual(senders.map(() => expected))
    for (const client of [bob, ...senders]) await client.close()
  })

  test.each([JSON_PROTOCOL, MSGPACK_PROTOCOL])('tell of everybody who comes at once, in %s', async (protocol) => {
    const watcher = await live(newUser(), protocol)
    // Equally long, as frames of one length are the first to be mistaken for one another.
    const people = Array.from({ length: 20 }, (_, index) => `${newUser()}-${index + 10}`)
    watcher.send({ type: 'watch', user_ids: people })
    for (const user_id of people) expect(await watcher.next('presence')).toMatchObject({ user_id, status: 'offline' })
    const clients = await Promise.all(people.map((user) => connect(user)))
    const came = await Promise.all(people.map(() => watcher.next('presence')))
    expect(came.map(({ user_id, status }) => `${user_id} ${status}`).sort()).toEqual(
      people.map((user_id) => `${user_id} online`).sort(),
    )
    for (const client of [watcher, ...clients]) await client.close()
  })

  test('are kept for who was away, and come before `synced`', async () => {
    const [a, b] = [newUser(), newUser()]
    for (const content of ['one', 'two', 'three']) await post(service, { sender_id: a, receiver_id: b, content })
    const alice = await live(a)
    const bob = await live(b)
    const texts = (client: SocketClient): unknown[] =>
      client.frames.slice(1, -1).map(({ type, content }) => [type, content])
    expect(texts(bob)).toEqual(['one', 'two', 'three'].map((content) => ['message', content]))
    bob.send({ type: 'ack', with: a, seq: 2 })
    await alice.next('receipt')
    await bob.close()
    const bobAgain = await live(b)
    expect(texts(bobAgain)).toEqual([['message', 'three']])
    await alice.close()
    await bobAgain.close()
  })
})

describe('limits', () => {
  test('takes 256 sends in flight and refuses the next one, until replies have come', async () => {
    const [user, other] = [newUser(), newUser()]
    const client = await live(user)
    await client.ask({ type: 'send', receiver_id: other, content: 'makes the conversation' })
    const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
    const id = crypto.randomUUID()
    for (let ref = 1; ref <= 256; ref += 1) client.send({ type: 'send', receiver_id: other, content: 'x', ref })
    client.send({ type: 'send', receiver_id: other, content: 'x', ref: 257, id })
    expect(await client.next('error')).toMatchObject({ ref: 257, id, code: 'too_many_in_flight' })
    await transaction.end()
    const seqs: unknown[] = []
    for (let ref = 1; ref <= 256; ref += 1) seqs.push((await client.next((frame) => frame.ref === ref)).seq)
    expect(seqs).toEqual(Array.from({ length: 256 }, (_, index) => index + 2))
    expect(await client.ask({ type: 'send', receiver_id: other, content: 'x', id })).toMatchObject({ seq: 258 })
    await client.close()
  })

  const pad = (bytes: number): string => JSON.stringify({ type: 'ping' }).padEnd(bytes)
  test.each([
    [64 * KIB - 1, undefined],
    [64 * KIB, undefined],
    [64 * KIB + 1, 1009],
    [128 * KIB, 1009],
    [128 * KIB + 1, 1006],
    [5 * KIB * KIB, 1006],
  ])('answers a frame of %i bytes with close code %s', async (bytes, code) => {
    const client = await connect(newUser())
    client.sendRaw(pad(bytes))
    if (code) expect((await client.closed).code).toBe(code)
    else {
      await client.next('pong')
      await client.close()
    }
  })

  test.each<[string, string, string | Uint8Array, boolean, number]>([
    ['a binary frame for JSON', JSON_PROTOCOL, '{"type":"ping"}', true, 1003],
    ['a text frame for MessagePack', MSGPACK_PROTOCOL, '{"type":"ping"}', false, 1003],
    ['no JSON', JSON_PROTOCOL, '{"type":', false, 1007],
    ['an empty frame', JSON_PROTOCOL, '', false, 1007],
    ['no MessagePack', MSGPACK_PROTOCOL, Buffer.from([0xc1]), true, 1007],
    ['an empty binary frame', MSGPACK_PROTOCOL, Buffer.alloc(0), true, 1007],
    ['two values in one frame', MSGPACK_PROTOCOL, Buffer.from([0x80, 0x80]), true, 1007],
    ['text that is no UTF-8', JSON_PROTOCOL, Buffer.from([0x22, 0xff, 0x22]), false, 1006],
  ])('closes on %s', async (_name, protocol, bytes, isBinary, code) => {
    const client = await connect(newUser(), protocol)
    client.sendRaw(bytes, isBinary)
    expect((await client.closed).code).toBe(code)
  })
})

describe('a person who types', () => {
  test('is shown what to type, and is understood when they do', async () => {
    const user = newUser()
    const client = await connect(user, null)
    client.sendRaw('hello', false)
    const error = await client.next('error')
    expect(error).toMatchObject({ code: 'invalid_json', message: expect.stringContaining('such as {') })
    client.sendRaw(String(/\{.*\}/.exec(String(error['message']))), false)
    expect(await client.next('sent')).toMatchObject({ with: 'bob', seq: 1 })
    client.sendRaw(Buffer.from([0x80]), true)
    expect((await client.closed).code).toBe(1003)
  })

  test.each([
    ['{"type":"ping","ref":9007199254740993}', 'ref'],
    ['{"type":"ping","ref":1e400}', 'ref'],
    ['{"type":"ping","ref":-0}', 'ref'],
    ['{"receiver_id":"b","receiver_id":"victim","content":"x"}', 'receiver_id'],
    ['{"type":"conversations","cursor":"made-up"}', 'cursor'],
    ['{"type":"auth","token":"t"}', 'type'],
  ])('is told the field at fault in %s', async (frame, field) => {
    const client = await connect(newUser(), null)
    client.sendRaw(frame, false)
    expect(await client.next('error')).toMatchObject({
      code: 'invalid_request',
      field,
      message: expect.stringMatching(/ must be /),
    })
    client.send({ type: 'state', active: false })
    expect(await client.ask({ type: 'ping' })).toEqual({ type: 'pong', ref: expect.anything() })
    await client.close()
  })
})

describe('sending again', () => {
  const outcome = ({ id, seq, created_at }: Frame): unknown => ({ id, seq, created_at })

  test('stores one row and gives the first outcome, also eight at once through both doors', async () => {
    for (let round = 0; round < 20; round += 1) {
      const [user, other, id] = [newUser(), newUser(), crypto.randomUUID()]
      const clients = [await live(user), await live(user, MSGPACK_PROTOCOL)]
      const send = { type: 'send', receiver_id: other, content: 'once', id }
      const body = { sender_id: user, receiver_id: other, content: 'once', id }
      const answers = await Promise.all([
        ...clients.flatMap((client) => [client.ask(send), client.ask(send)]),
        ...Array.from({ length: 4 }, async () => (await post(service, body)).body as Frame),
      ])
      expect(new Set(answers.map((answer) => JSON.stringify(outcome(answer)))).size).toBe(1)
      expect(answers.filter(({ duplicate }) => duplicate === false)).toHaveLength(1)
      const { body: page } = await get(service, `/api/messages?user_id=${user}&with=${other}`)
      expect(page?.messages).toMatchObject([{ ...(outcome(answers[0] as Frame) as object), content: 'once' }])
      for (const client of clients) await client.close()
    }
  })

  test('refuses the same id with other content, with its id and ref', async () => {
    const client = await live(newUser())
    const send = { type: 'send', receiver_id: newUser(), content: 'mine', id: crypto.randomUUID() }
    await client.ask(send)
    expect(await client.ask({ ...send, content: 'other' })).toMatchObject({ code: 'id_conflict', id: send.id })
    await client.close()
  })
})
