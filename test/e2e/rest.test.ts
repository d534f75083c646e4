// The REST API as protocol.md has it: every route, status, header and error code. Every answer is also held against the
// OpenAPI document that the service publishes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { OpenApi } from '../support/openapi.ts'
import { type Answer, type Call, call } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'

const services = useServices()
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const KIB = 1024
let database: TestDatabase
let service: ServiceProcess
let openApi: OpenApi
let users = 0

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn })
  openApi = await OpenApi.of(service)
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

async function ask(method: string, path: string, options: Call = {}): Promise<Answer> {
  const answer = await call(service, method, path, options)
  expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
  if (method !== 'HEAD' && path !== '/metrics') openApi.check(method, path, answer)
  return answer
}
const get = (path: string): Promise<Answer> => ask('GET', path)
const post = (body: unknown, headers: Record<string, string> = {}, query = ''): Promise<Answer> =>
  ask('POST', `/api/send_message${query}`, { body, headers })

function expectError(answer: Answer, status: number, code: string, field?: string): void {
  expect(answer.body).toEqual({
    error: { code, message: expect.any(String), ...(field && { field }) },
    request_id: answer.headers.get('x-request-id'),
  })
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
}

describe('sending', () => {
  test('stores a message and answers 201 with all of it', async () => {
    const [sender, receiver] = [newUser(), newUser()]
    const answer = await post({ receiver_id: receiver, content: 'ünïcödé 💬', sender_id: sender })
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
      id: expect.stringMatching(UUID),
      seq: 1,
      sender_id: sender,
      receiver_id: receiver,
      content: 'ünïcödé 💬',
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      duplicate: false,
    })
    const { duplicate: _, ...stored } = answer.body ?? {}
    expect((await get(`/api/messages?user_id=${sender}&with=${receiver}`)).body).toEqual({
      messages: [stored],
      has_more: false,
    })
  })

  test('answers a resend with 200 and the first outcome, by id or Idempotency-Key, in either case of letters', async () => {
    const message = { receiver_id: newUser(), content: 'once', sender_id: newUser() }
    const id = crypto.randomUUID()
    const first = await post({ ...message, id })
    expect([first.status, first.body?.id]).toEqual([201, id])
    const repeated = { ...first.body, duplicate: true }
    for (const again of [
      await post({ ...message, id }),
      await post(message, { 'Idempotency-Key': id }),
      await post(message, { 'Idempotency-Key': id.toUpperCase() }),
      await post({ ...message, id: id.toUpperCase() }),
      await post({ ...message, id: id.toUpperCase() }, { 'Idempotency-Key': id }),
    ]) {
      expect([again.status, again.body]).toEqual([200, repeated])
    }
    expect((await post(message, { 'Idempotency-Key': crypto.randomUUID() })).body).toMatchObject({ seq: 2 })
  })

  test('refuses the same id with other content, and takes it in another conversation', async () => {
    const message = { receiver_id: newUser(), content: 'mine', sender_id: newUser(), id: crypto.randomUUID() }
    await post(message)
    expectError(await post({ ...message, content: 'other' }), 409, 'id_conflict', 'id')
    const reply = { ...message, sender_id: message.receiver_id, receiver_id: message.sender_id }
    expectError(await post(reply), 409, 'id_conflict', 'id')
    expect((await post({ ...message, receiver_id: newUser() })).status).toBe(201)
  })

  test.each([
    [
      'an unknown field',
      '{"receiver_id":"b","content":"x","to":"c"}',
      'to',
      /^There is no field to; the fields are receiver_id/,
    ],
    ['a missing one', '{"content":"x"}', 'receiver_id', /^receiver_id is missing; it must be a user id: /],
    ['a wrong one', '{"receiver_id":"b b","content":"x"}', 'receiver_id', /^receiver_id must be a user id: /],
    [
      'an empty text',
      '{"receiver_id":"b","content":""}',
      'content',
      /^content must be a text of at least one character\.$/,
    ],
    [
      'two of one name',
      '{"receiver_id":"b","receiver_id":"c","content":"x"}',
      'receiver_id',
      /^receiver_id must be given only once\.$/,
    ],
    [
      'two of which one is escaped',
      '{"receiver_id":"b","receiver\\u005fid":"c","content":"x"}',
      'receiver_id',
      /only once/,
    ],
    ['a list', '[]', undefined, /^The body must be one object\.$/],
    ['a text alone', '"x"', undefined, /^The body must be one object\.$/],
  ])('refuses %s in words that say what would be right', async (_what, body, field, message) => {
    const answer = await ask('POST', '/api/send_message', { body, headers: { 'Content-Type': 'application/json' } })
    expectError(answer, 400, 'invalid_request', field)
    expect(answer.body?.error).toMatchObject({ message: expect.stringMatching(message) })
  })

  test.each([
    ['application/json; charset=latin1', 415],
    ['application/json; charset=utf-16', 415],
    ['text/json', 415],
    ['application/json; charset=UTF-8', 201],
    ['application/json;charset="utf-8"', 201],
    ['Application/JSON', 201],
  ])('answers the content type %s with %i', async (type, status) => {
    const body = JSON.stringify({ receiver_id: newUser(), content: 'x' })
    expect((await ask('POST', '/api/send_message', { body, headers: { 'Content-Type': type } })).status).toBe(status)
  })

  test.each([
    ['user_id=a&user_id=b&with=c', 'user_id', 'user_id must be given only once.'],
    ['user_id=a&with=c&limit=0', 'limit', 'limit must be a whole number from 1 to 500.'],
    ['user_id=a&with=c&limit=ten', 'limit', 'limit must be a whole number from 1 to 500.'],
    ['user_id=a&with=c&before=-1', 'before', 'before must be a whole number from 0 on.'],
    [
      'user_id=a&with=c&befor=1',
      'befor',
      'There is no field befor; the fields are user_id, with, limit, before, after.',
    ],
    ['user_id=a&with=c&toString=1', 'toString', /^There is no field toString; /],
    ['user_id=a&with=c&__proto__=1', '__proto__', /^There is no field __proto__; /],
  ])('refuses the query %s at its field %s', async (query, field, message) => {
    const answer = await get(`/api/messages?${query}`)
    expectError(answer, 400, 'invalid_request', field)
    expect(answer.body?.error).toMatchObject({
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    })
  })

  test.each([
    ['the query', { query: '?user_id=from-query', header: 'from-header', body: 'from-body' }, 'from-query'],
    ['the header', { query: '', header: 'from-header', body: 'from-body' }, 'from-header'],
    ['the body', { query: '', header: undefined, body: 'from-body' }, 'from-body'],
    ['nothing', { query: '', header: undefined, body: undefined }, 'anonymous'],
  ])('takes the sender from %s', async (_name, { query, header, body }, sender) => {
    const message = { receiver_id: newUser(), content: 'x', ...(body && { sender_id: body }) }
    const answer = await post(message, header ? { 'X-User-Id': header } : {}, query)
    expect(answer.body).toMatchObject({ sender_id: sender })
  })

  test('names what is wrong with who is asking', async () => {
    const message = { receiver_id: 'b', content: 'x' }
    expectError(await post(message, {}, '?user_id='), 400, 'invalid_request', 'user_id')
    expectError(await post(message, {}, '?user_id=a%20b'), 400, 'invalid_request', 'user_id')
    expectError(await post(message, { 'X-User-Id': '-a' }), 400, 'invalid_request', 'X-User-Id')
    expectError(await post({ ...message, sender_id: 'ä' }), 400, 'invalid_request', 'sender_id')
    expectError(await post(message, {}, '?user_id=a&user_id=b'), 400, 'invalid_request', 'user_id')
    expectError(await post(message, { 'Idempotency-Key': 'x' }), 400, 'invalid_request', 'Idempotency-Key')
    const [id, key] = [crypto.randomUUID(), crypto.randomUUID()]
    expectError(await post({ ...message, id }, { 'Idempotency-Key': key }), 400, 'invalid_request', 'Idempotency-Key')
  })

  test.each([
    ['content', { receiver_id: 'b' }],
    ['receiver_id', { content: 'x' }],
    ['receiver_id', { receiver_id: 7, content: 'x' }],
    ['receiver_id', { receiver_id: '', content: 'x' }],
    ['receiver_id', { receiver_id: 'a'.repeat(129), content: 'x' }],
    ['content', { receiver_id: 'b', content: '' }],
    ['content', { receiver_id: 'b', content: null }],
    ['id', { receiver_id: 'b', content: 'x', id: 'no-uuid' }],
    ['colour', { receiver_id: 'b', content: 'x', colour: 'red' }],
    ['type', { type: 'send', receiver_id: 'b', content: 'x' }],
    [undefined, ['an array']],
    [undefined, 'null'],
    [undefined, '"text"'],
  ])('refuses a wrong field by its name: %s', async (field, body) => {
    expectError(await post(body), 400, 'invalid_request', field)
  })

  test('refuses an unknown parameter by its name', async () => {
    expectError(await post({ receiver_id: 'b', content: 'x' }, {}, '?debug=1'), 400, 'invalid_request', 'debug')
  })

  test.each(['', '{', '{"receiver_id":"b","content":"x"} x', '{"content":NaN}', '\ufeff\ufeff{}'])(
    'refuses what is no JSON: %j',
    async (body) => {
      const answer = await ask('POST', '/api/send_message', { body, headers: { 'Content-Type': 'application/json' } })
      expectError(answer, 400, 'invalid_json')
    },
  )

  test.each(['a\0b', '\ud800', 'x\udc00y'])('refuses text that cannot be stored: %j', async (content) => {
    expectError(await post({ receiver_id: 'b', content }), 400, 'invalid_text', 'content')
  })

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'application/json2; charset=utf-8',
  ])('refuses the media type %s', async (type) => {
    expectError(await post({ receiver_id: 'b', content: 'x' }, { 'Content-Type': type }), 415, 'unsupported_media_type')
  })

  test('takes application/json with parameters and in any case', async () => {
    const type = 'Application/JSON; charset=utf-8'
    expect((await post({ receiver_id: 'b', content: 'x' }, { 'Content-Type': type })).status).toBe(201)
  })

  test.each([
    [64 * KIB - 1, 201],
    [64 * KIB, 201],
    [64 * KIB + 1, 413],
    [5 * KIB * KIB, 413],
  ])('answers a body of %i bytes with %i', async (bytes, status) => {
    const answer = await post(JSON.stringify({ receiver_id: 'b', content: 'x' }).padEnd(bytes))
    expect(answer.status).toBe(status)
    if (status === 413) expectError(answer, 413, 'payload_too_large')
  })

  test('takes a text of exactly 16 KiB of UTF-8 and no more', async () => {
    const [sender_id, receiver_id] = [newUser(), newUser()]
    const content = 'ä'.repeat(8 * KIB)
    expect((await post({ sender_id, receiver_id, content })).status).toBe(201)
    expectError(await post({ sender_id, receiver_id, content: `${content}a` }), 413, 'payload_too_large', 'content')
    const { body } = await get(`/api/messages?user_id=${receiver_id}&with=${sender_id}`)
    expect(body).toMatchObject({ messages: [{ content }] })
  })
})

describe('reading', () => {
  let a: string
  let b: string
  const page = async (parameters: string): Promise<{ seqs: number[]; more: unknown }> => {
    const { status, body } = await get(`/api/messages?user_id=${a}&with=${b}${parameters}`)
    expect(status).toBe(200)
    const messages = body?.messages as { seq: number; content: string }[]
    expect(messages.map(({ content }) => content)).toEqual(messages.map(({ seq }) => `text ${seq}`))
    return { seqs: messages.map(({ seq }) => seq), more: body?.has_more }
  }
  const seqs = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)

  beforeAll(async () => {
    a = newUser()
    b = newUser()
    for (const seq of seqs(1, 60)) {
      const [sender_id, receiver_id] = seq % 2 ? [a, b] : [b, a]
      expect((await post({ sender_id, receiver_id, content: `text ${seq}` })).body?.seq).toBe(seq)
    }
  })

  test('pages a conversation by seq, bounds exclusive, ascending', async () => {
    expect(await page('')).toEqual({ seqs: seqs(11, 60), more: true })
    expect(await page('&limit=60')).toEqual({ seqs: seqs(1, 60), more: false })
    expect(await page('&limit=500')).toEqual({ seqs: seqs(1, 60), more: false })
    expect(await page('&before=11')).toEqual({ seqs: seqs(1, 10), more: false })
    expect(await page('&before=11&limit=3')).toEqual({ seqs: [8, 9, 10], more: true })
    expect(await page('&after=0&limit=2')).toEqual({ seqs: [1, 2], more: true })
    expect(await page('&after=57')).toEqual({ seqs: [58, 59, 60], more: false })
    expect(await page('&after=60')).toEqual({ seqs: [], more: false })
    expect(await page('&before=1')).toEqual({ seqs: [], more: false })
    expect(await page('&after=5&before=9')).toEqual({ seqs: [6, 7, 8], more: false })
    expect(await page('&after=5&before=9&limit=2')).toEqual({ seqs: [6, 7], more: true })
  })

  test('shows both people the same conversation, and nobody else', async () => {
    const mine = (await get(`/api/messages?user_id=${a}&with=${b}`)).body
    expect((await get(`/api/messages?user_id=${b}&with=${a}`)).body).toEqual(mine)
    const header = await ask('GET', `/api/messages?with=${b}`, { headers: { 'X-User-Id': a } })
    expect(header.body).toEqual(mine)
    expect((await get(`/api/messages?with=${b}`)).body).toEqual({ messages: [], has_more: false })
  })

  test.each([
    ['limit', 'limit=-1'],
    ['limit', 'limit=0'],
    ['limit', 'limit=501'],
    ['limit', 'limit='],
    ['limit', 'limit=1e1'],
    ['limit', 'limit=%2B5'],
    ['limit', 'limit=99999999999999999999'],
    ['before', 'before=abc'],
    ['before', 'before=-5'],
    ['after', 'after=1.5'],
    ['after', 'after=9007199254740993'],
    ['limit', 'limit=5&limit=6'],
    ['offset', 'offset=3'],
    ['__proto__', '__proto__=3'],
    ['toString', 'toString=3'],
    ['with', 'with=c'],
  ])('refuses the parameter %s in %s', async (field, parameters) => {
    expectError(await get(`/api/messages?user_id=${a}&with=${b}&${parameters}`), 400, 'invalid_request', field)
  })

  test('needs to know with whom', async () => {
    expectError(await get(`/api/messages?user_id=${a}`), 400, 'invalid_request', 'with')
    expectError(await get(`/api/messages?user_id=${a}&with=%00`), 400, 'invalid_request', 'with')
  })

  test('lists conversations newest first, page by page', async () => {
    const [me, old, recent] = [newUser(), newUser(), newUser()]
    await post({ sender_id: old, receiver_id: me, content: 'first' })
    await post({ sender_id: me, receiver_id: recent, content: 'second' })
    const first = (await get(`/api/conversations?user_id=${me}&limit=1`)).body
    expect(first).toMatchObject({ conversations: [{ with: recent, last_seq: 1, unread: 0 }] })
    const cursor = encodeURIComponent(String(first?.next_cursor))
    expect((await get(`/api/conversations?user_id=${me}&limit=1&cursor=${cursor}`)).body).toMatchObject({
      conversations: [{ with: old, last_message: { content: 'first' }, unread: 1 }],
    })
    expectError(await get(`/api/conversations?user_id=${me}&limit=1001`), 400, 'invalid_request', 'limit')
  })

  test.each([
    ...['made-up', 'MTIz', 'MS4xPQ', 'TmFOLk5hTg', 'a b', ''].map((cursor) => ['/api/conversations', cursor]),
    ...['made-up', 'bob', 'YWZ0ZXIgLg', 'a b', ''].map((cursor) => ['/api/online_users', cursor]),
  ])('refuses for %s the cursor %j, which it did not give', async (path, cursor = '') => {
    const { status, body } = await get(`${path}?user_id=${a}&cursor=${encodeURIComponent(cursor)}`)
    const message = 'cursor must be the next_cursor of the page before.'
    expect([status, body?.error]).toEqual([400, { code: 'invalid_request', message, field: 'cursor' }])
  })

  test('lists who is online, sorted, page by page', async () => {
    const names = ['zoe', 'Anna', 'ben', 'anna']
    const clients = await Promise.all(names.map((name) => SocketClient.connect(service, name)))
    const sorted = ['Anna', 'anna', 'ben', 'zoe']
    expect((await get('/api/online_users')).body).toEqual({ online_users: sorted, count: 4, next_cursor: null })
    const { body } = await get('/api/online_users?limit=3')
    expect(body).toEqual({ online_users: sorted.slice(0, 3), count: 4, next_cursor: expect.any(String) })
    const rest = await get(`/api/online_users?limit=3&cursor=${encodeURIComponent(String(body?.next_cursor))}`)
    expect(rest.body).toEqual({ online_users: ['zoe'], count: 4, next_cursor: null })
    expectError(await get('/api/online_users?limit=0'), 400, 'invalid_request', 'limit')
    for (const client of clients) await client.close()
  })
})
