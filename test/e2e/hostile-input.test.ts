// Input that no client should send. Whatever comes, it gets its named error or is cut off, the process lives, the next
// request is answered, and what others sent at the same time is stored.
import { Packr } from 'msgpackr'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { type RawAnswer, RawHttp, upgradeRequest } from '../support/raw-http.ts'
import { get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { type Frame, JSON_PROTOCOL, MSGPACK_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf } from '../support/transactions.ts'

const services = useServices('patient')
const KIB = 1024
const SEND = '{"receiver_id":"b","content":"smuggled"}'
let database: TestDatabase
let service: ServiceProcess

beforeAll(async () => {
  database = await createDatabase()
  service = await services.start({ POSTGRES_DSN: database.dsn })
})
// The oracle of every case in this file.
afterEach(async () => {
  expect((await post(service, { receiver_id: 'oracle', content: 'next' })).status).toBe(201)
  expect(service.hasExited).toBe(false)
})
afterAll(async () => {
  const bugs = service.logs.filter(({ level }) => level === 'error' || level === 'fatal')
  expect(bugs).toEqual([])
  expect(await service.stop()).toEqual({ code: 0, signal: null })
  await database.drop()
})

const request = (lines: readonly string[], body = ''): string => `${lines.join('\r\n')}\r\n\r\n${body}`
const POST_HEAD = ['POST /api/send_message HTTP/1.1', 'Host: localhost', 'Content-Type: application/json']
const length = `Content-Length: ${SEND.length}`
const chunked = `${SEND.length.toString(16)}\r\n${SEND}\r\n0\r\n\r\n`

/** Writes the bytes and a request behind them; resolves with all answers until the service ends the connection. */
async function answersTo(bytes: string): Promise<RawAnswer[]> {
  const http = await RawHttp.connect(service)
  http.write(bytes)
  const answers = await http.answersToTheEnd(60_000)
  return answers
}

describe('requests whose end is in doubt', () => {
  test.each([
    ['chunked', [...POST_HEAD, 'Transfer-Encoding: chunked'], chunked],
    ['upper case', [...POST_HEAD, 'TRANSFER-ENCODING: CHUNKED'], chunked],
    ['a tab before the value', [...POST_HEAD, 'Transfer-Encoding:\tchunked'], chunked],
    ['another coding', [...POST_HEAD, 'Transfer-Encoding: xchunked'], chunked],
    ['identity', [...POST_HEAD, 'Transfer-Encoding: identity', length], SEND],
    ['a list', [...POST_HEAD, 'Transfer-Encoding: gzip, chunked'], chunked],
    ['a trailing comma', [...POST_HEAD, 'Transfer-Encoding: chunked,'], chunked],
    ['twice', [...POST_HEAD, 'Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], chunked],
    ['an empty value', [...POST_HEAD, 'Transfer-Encoding:', length], SEND],
    ['CL and TE', [...POST_HEAD, length, 'Transfer-Encoding: chunked'], chunked],
    ['TE and CL', [...POST_HEAD, 'Transfer-Encoding: chunked', length], chunked],
    ['two equal lengths', [...POST_HEAD, length, length], SEND],
    ['two different lengths', [...POST_HEAD, 'Content-Length: 0', length], SEND],
    ['a list of lengths', [...POST_HEAD, `Content-Length: ${SEND.length}, ${SEND.length}`], SEND],
    ['a signed length', [...POST_HEAD, `Content-Length: +${SEND.length}`], SEND],
    ['a negative length', [...POST_HEAD, 'Content-Length: -1'], SEND],
    ['a hexadecimal length', [...POST_HEAD, 'Content-Length: 0x28'], SEND],
    ['a huge length', [...POST_HEAD, 'Content-Length: 99999999999999999999'], SEND],
    ['an empty length', [...POST_HEAD, 'Content-Length:'], SEND],
    [
      'two hosts',
      ['POST /api/send_message HTTP/1.1', 'Host: localhost', 'Host: y', 'Content-Type: application/json', length],
      SEND,
    ],
    ['a GET with a body', ['GET /healthz HTTP/1.1', 'Host: localhost', length], SEND],
    ['a HEAD with a body', ['HEAD /healthz HTTP/1.1', 'Host: localhost', length], SEND],
    ['a chunked GET', ['GET /healthz HTTP/1.1', 'Host: localhost', 'Transfer-Encoding: chunked'], chunked],
    ['no host', ['POST /api/send_message HTTP/1.1', 'Content-Type: application/json', length], SEND],
  ])('refuses %s, at most one answer, and the connection ends', async (_name, lines, body) => {
    const rows = await storedRows()
    const answers = await answersTo(`${request(lines, body)}${request(['GET /healthz HTTP/1.1', 'Host: localhost'])}`)
    expect(answers.map(({ status }) => status).filter((status) => status !== 400)).toEqual([])
    expect(answers.length).toBeLessThanOrEqual(1)
    expect(await storedRows()).toBe(rows)
  })

  test.each([
    ['a chunked upgrade', { 'Transfer-Encoding': 'chunked' }, 400],
    ['an upgrade with a body', { 'Content-Length': '3' }, 400],
    ['an upgrade with two hosts', { host: 'y' }, 400],
    ['an upgrade to something else', { Upgrade: 'h2c' }, 426],
    ['an upgrade that does not ask for one', { Connection: 'keep-alive' }, 426],
  ])('refuses %s, and the connection ends', async (_name, headers, status) => {
    const http = await RawHttp.connect(service)
    http.write(upgradeRequest('/ws?user_id=doubtful', headers))
    expect((await http.answersToTheEnd(60_000)).map((answer) => answer.status)).toEqual([status])
  })

  test.each([
    ['two different lengths', { 'Content-Length': '0', 'content-length': '200' }],
    ['two hosts', { host: 'y' }],
    [
      'a wrong version and two lengths',
      { 'Sec-WebSocket-Version': '12', 'Content-Length': '0', 'content-length': '200' },
    ],
  ])('what follows a refused upgrade with %s is not served', async (_name, headers) => {
    const rows = await storedRows()
    const upgrade = upgradeRequest('/ws?user_id=doubtful', headers)
    const answers = await answersTo(upgrade + request([...POST_HEAD, length], SEND))
    expect(await storedRows()).toBe(rows)
    expect(answers.length).toBeLessThanOrEqual(1)
  })

  test.each([
    // uWebSockets takes these two for headers that have not ended yet.
    ['a space before the colon', request([...POST_HEAD, 'Transfer-Encoding : chunked'], chunked)],
    ['a folded line', request([...POST_HEAD, 'Transfer-Encoding:', ' chunked'], chunked)],
    ['lines that end with LF only', 'POST /api/send_message HTTP/1.1\nHost: localhost\n\n'],
    ['a bare CR in a header', 'GET /healthz HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n'],
    ['a NUL in a header', 'GET /healthz HTTP/1.1\r\nHost: localhost\0\r\n\r\n'],
    ['no method', '/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['another protocol', 'GET /healthz SPDY/9\r\nHost: localhost\r\n\r\n'],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
    ['TLS on the plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(300, '\x00')],
    ['a header without end', `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(100 * KIB)}`],
    ['a URL without end', `GET /${'a'.repeat(100 * KIB)}`],
  ])('survives %s', async (_name, bytes) => {
    const rows = await storedRows()
    const http = await RawHttp.connect(service)
    http.write(Buffer.from(bytes, 'latin1'))
    http.socket.end()
    const answers = await http.answersToTheEnd(60_000)
    expect(answers.map(({ status }) => status).filter((status) => !(status >= 400 && status < 600))).toEqual([])
    expect(answers.length).toBeLessThanOrEqual(1)
    expect(await storedRows()).toBe(rows)
  })

  test.each(['GET http://evil.example/healthz', 'GET http://x/healthz', 'OPTIONS *'])('refuses %s', async (line) => {
    const http = await RawHttp.connect(service)
    http.write(request([`${line} HTTP/1.1`, 'Host: localhost']))
    expect((await http.answersToTheEnd(60_000)).map(({ status }) => status)).toEqual([505])
  })

  test('takes as many headers as the README says', async () => {
    const http = await RawHttp.connect(service)
    const headers = Array.from({ length: 97 }, (_, index) => `X-${index}: 1`)
    http.write(request(['GET /healthz HTTP/1.1', 'Host: localhost', ...headers]))
    expect((await http.answer())?.status).toBe(200)
    await http.reset()
  })

  test('answers pipelined requests in order, each once', async () => {
    const http = await RawHttp.connect(service)
    const send = (content: string): string => {
      const body = JSON.stringify({ receiver_id: 'pipelined', content })
      return request([...POST_HEAD, `Content-Length: ${body.length}`], body)
    }
    // uWebSockets takes the next request only after the answer to the one before; bytes that wait must not be lost.
    http.write(
      request(['GET /healthz HTTP/1.1', 'Host: localhost']).repeat(3) +
        request(['GET /nothing HTTP/1.1', 'Host: localhost']),
    )
    const statuses = [await http.answer(), await http.answer(), await http.answer(), await http.answer()]
    expect(statuses.map((answer) => answer?.status)).toEqual([200, 200, 200, 404])
    http.write(send('one'))
    expect((await http.answer())?.status).toBe(201)
    http.write(send('two'))
    expect((await http.answer())?.status).toBe(201)
    await http.reset()
  })
})

async function storedRows(): Promise<unknown> {
  return (await rowsOf(database.dsn, `select count(*) from messages where content = 'smuggled'`))[0]?.count
}

describe('clients that go away', () => {
  test('in the middle of a request, at every byte of it', async () => {
    const rows = await storedRows()
    const whole = request([...POST_HEAD, length], SEND)
    for (let cut = 0; cut < whole.length; cut += 1) {
      const http = await RawHttp.connect(service)
      http.write(whole.slice(0, cut))
      await http.reset()
    }
    expect(await storedRows()).toBe(rows)
  })

  test('in the middle of an upload, of whatever size', async () => {
    for (const bytes of [1, KIB, 64 * KIB, 65 * KIB, KIB * KIB, 5 * KIB * KIB]) {
      const http = await RawHttp.connect(service)
      http.write(request([...POST_HEAD, `Content-Length: ${bytes + 1}`], ' '.repeat(bytes)))
      await http.reset()
    }
  })

  test('while their answer is being made', async () => {
    const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawHttp.connect(service)))
    const body = JSON.stringify({ receiver_id: 'b', content: 'abandoned' })
    for (const http of clients) {
      http.write(request([...POST_HEAD, `Content-Length: ${body.length}`], body))
      http.write(request(['GET /api/messages?user_id=a&with=b HTTP/1.1', 'Host: localhost']))
    }
    const socket = await SocketClient.connect(service, 'vanishing')
    socket.send({ type: 'send', receiver_id: 'b', content: 'abandoned' })
    socket.send({ type: 'history', with: 'b' })
    await socket.settled()
    await Promise.all(clients.map((http) => http.reset()))
    socket.cut()
    await socket.closed
    await transaction.end()
    expect((await get(service, '/api/messages?user_id=vanishing&with=b')).status).toBe(200)
  })

  test('a refused body is read to its end, so that the client sees why', async () => {
    const http = await RawHttp.connect(service)
    http.write(request([...POST_HEAD, `Content-Length: ${5 * KIB * KIB}`], 'x'.repeat(5 * KIB * KIB)))
    expect(await http.answer()).toMatchObject({ status: 413 })
    http.write(request(['GET /healthz HTTP/1.1', 'Host: localhost']))
    expect(await http.answer()).toMatchObject({ status: 200 })
    http.write(request([...POST_HEAD, `Content-Length: ${2 ** 30}`]))
    expect((await http.answersToTheEnd()).map(({ status }) => status)).toEqual([413])
  })

  test.each([
    ['with reserved bits', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['with an unknown opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['a fragmented ping', Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ['a length of 2^63', Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['a continuation of nothing', Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
  ])('WebSocket frames that break the protocol end their connection: %s', async (_name, bytes) => {
    const http = await RawHttp.connect(service)
    http.write(upgradeRequest('/ws?user_id=raw'))
    expect(await http.answer()).toMatchObject({ status: 101 })
    http.write(bytes)
    await http.answersToTheEnd()
  })
})

describe('bodies and frames', () => {
  const bombs: [string, string][] = [
    ['64 KiB of [', '['.repeat(64 * KIB)],
    ['deep arrays', `${'['.repeat(32_000)}${']'.repeat(32_000)}`],
    ['deep objects', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
    ['deep content', `{"receiver_id":"b","content":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
    ['a huge number', `{"receiver_id":"b","content":"x","ref":1e309}`],
    ['digits', `{"receiver_id":"b","content":"x","ref":${'9'.repeat(60_000)}}`],
    ['many keys', `{${Array.from({ length: 6000 }, (_, index) => `"k${index}":1`).join()}}`],
    ['__proto__', '{"__proto__":{"polluted":1},"receiver_id":"b","content":"x"}'],
    ['__proto__ as text', '{"__proto__":"x","receiver_id":"b","content":"x"}'],
    ['constructor', '{"constructor":{"prototype":{"polluted":1}},"receiver_id":"b","content":"x"}'],
    ['a type from the prototype', '{"type":"constructor","receiver_id":"b","content":"x"}'],
    ['a lone surrogate in a key', '{"\\ud800":1,"receiver_id":"b","content":"x"}'],
    ['a lone surrogate', '{"receiver_id":"b","content":"\\ud800"}'],
    ['a NUL', '{"receiver_id":"b","content":"a\\u0000b"}'],
  ]

  test.each(bombs)('refuses over REST: %s', async (_name, body) => {
    const answer = await post(service, body)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ error: { code: expect.stringMatching(/^invalid_(json|request|text)$/) } })
  })

  test.each(bombs)('refuses over the WebSocket: %s', async (_name, text) => {
    const client = await SocketClient.connect(service, 'bomber')
    client.sendRaw(text)
    const refused = client.next('error').then(({ code }) => code)
    const outcome = await Promise.race([refused, client.closed.then(({ code }) => code)])
    await refused.catch(() => undefined)
    expect(['invalid_request', 'invalid_text', 1007]).toContain(outcome)
    client.cut()
  })

  test('refuses MessagePack cut off at every byte, and what JSON cannot say', async () => {
    const packr = new Packr({ useRecords: false })
    const whole = packr.pack({ type: 'send', receiver_id: 'b', content: 'cut', ref: 1.5, id: crypto.randomUUID() })
    const hostile = [
      ...Array.from(whole.keys(), (end) => whole.subarray(0, end)),
      Buffer.from('ddffffffff', 'hex'), // an array of 2^32 - 1
      Buffer.from('dfffffffff', 'hex'), // a map of 2^32 - 1
      Buffer.from('c6ffffffff', 'hex'), // 4 GB of bytes
      Buffer.from('dbffffffff', 'hex'), // 4 GB of text
      Buffer.alloc(5000, 0x91), // nested arrays
      Buffer.alloc(64 * KIB, 0x81), // nested maps
      ...[0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0xff].map((type) => Buffer.from([0xd4, type, 0x01])),
      packr.pack({ type: 'send', receiver_id: 'b', content: new Date(0) }),
      packr.pack({ type: 'ping', ref: Number.NaN }),
    ]
    const codes = new Set<unknown>()
    for (const bytes of hostile) {
      const client = await SocketClient.connect(service, 'packer', { protocol: MSGPACK_PROTOCOL })
      client.sendRaw(bytes)
      codes.add((await client.closed).code)
    }
    expect([...codes]).toEqual([1007])
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test.each([JSON_PROTOCOL, MSGPACK_PROTOCOL])('stores every awkward text as it is, in %s', async (protocol) => {
    const texts = [
      '\\.',
      '\\N',
      '\t',
      '\\t\n\r\\',
      "'; drop table messages; --",
      '{}',
      '\u0001\u007f\u0085',
      '\ufeff',
      '\ufffe',
    ]
    texts.push('e\u0301 é 👩‍👩‍👧 \u{10ffff}', '__proto__', ' ', '\u2028\u2029', '%s $1 {x}', '\b\f\v\u001b[2J')
    const client = await SocketClient.connect(service, `awkward-${protocol}`, { protocol })
    const sent = texts.map((content) => client.ask({ type: 'send', receiver_id: 'b', content }))
    expect((await Promise.all(sent)).map(({ type }) => type)).toEqual(texts.map(() => 'sent'))
    const { messages } = await client.ask({ type: 'history', with: 'b' })
    expect(messages?.map(({ content }) => content)).toEqual(texts)
    await client.close()
  })

  test('stores the neighbours that were sent in the same batch as bad ones', async () => {
    const client = await SocketClient.connect(service, 'neighbour')
    const bad = ['a\0b', '\ud800', '', 'x'.repeat(20_000)]
    const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
    const first = client.ask({ type: 'send', receiver_id: 'b', content: 'holds the writer' })
    const outcomes: Promise<Frame>[] = []
    for (let turn = 0; turn < 50; turn += 1) {
      outcomes.push(client.ask({ type: 'send', receiver_id: 'b', content: `good ${turn}` }))
      outcomes.push(client.ask({ type: 'send', receiver_id: 'b', content: bad[turn % bad.length] }))
    }
    await client.settled()
    await transaction.end()
    expect((await first).seq).toBe(1)
    const types = (await Promise.all(outcomes)).map(({ type }) => type)
    expect(types).toEqual(Array.from({ length: 100 }, (_, index) => (index % 2 ? 'error' : 'sent')))
    const { messages } = await client.ask({ type: 'history', with: 'b', after: 1, limit: 500 })
    expect(messages?.map(({ content }) => content)).toEqual(Array.from({ length: 50 }, (_, turn) => `good ${turn}`))
    await client.close()
  })
})
