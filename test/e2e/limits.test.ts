// What one user, one address, one page and all together may ask, and what everybody is told or not told. A limit refills
// while a test runs, so each is held against what the elapsed time allows, not against an exact count.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/cluster-instance.ts'
import { createDatabase, createEmptyDatabase, execute, type TestDatabase } from '../support/databases.ts'
import { within } from '../support/deadline.ts'
import { RawHttp, rawRequest, upgradeRequest } from '../support/raw-http.ts'
import { call, get, post } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf } from '../support/transactions.ts'

const services = useServices()
/** For the test that holds up what a flood has sent. */
const patient = useServices('patient')
const LISTED = 'https://app.example.com'
let database: TestDatabase
/** Small rates, one user or address at a time, behind a proxy that may say who asks. */
let limited: ServiceProcess
/** The same without a proxy, and with few sockets for all. */
let crowded: ServiceProcess

beforeAll(async () => {
  database = await createDatabase()
  const common = { POSTGRES_DSN: database.dsn, USER_COMMANDS_PER_SECOND: '1', LOG_LEVEL: 'trace' }
  ;[limited, crowded] = await Promise.all([
    services.start({
      ...common,
      ADDRESS_REQUESTS_PER_SECOND: '5',
      MAX_CONNECTIONS_PER_ADDRESS: '3',
      TRUSTED_PROXIES: '127.0.0.1',
      ALLOWED_ORIGINS: `${LISTED}, https://other.example.com:8443`,
    }),
    services.start({ ...common, ADDRESS_REQUESTS_PER_SECOND: '5', UPGRADES_PER_SECOND: '4', MAX_CONNECTIONS: '3' }),
  ])
})
afterAll(async () => {
  for (const service of [limited, crowded]) {
    expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal').slice(0, 3)).toEqual([])
    expect(await service.stop()).toEqual({ code: 0, signal: null })
  }
  await database.drop()
})

/** The most that a bucket lets through: twice the rate at once, and what time has refilled. */
async function mostSince(startMs: number, perSecond: number): Promise<number> {
  return 2 * perSecond + ((performance.now() - startMs) / 1000) * perSecond
}

let addresses = 0
/** Headers of a client that no test has used, as the trusted proxy reports it. */
function somebody(): Readonly<Record<string, string>> {
  addresses += 1
  return { 'X-Forwarded-For': `198.18.${addresses >> 8}.${addresses % 256}` }
}

describe('commands of one user', () => {
  test('are counted over all sockets and REST together, refused with when to come back, and others go on', async () => {
    const startMs = performance.now()
    const sockets = await Promise.all([SocketClient.connect(limited, 'ann'), SocketClient.connect(limited, 'ann')])
    const asked = Array.from({ length: 40 }, (_, turn) => sockets[turn % 2]?.ask({ type: 'ping' }))
    const sent = Array.from({ length: 10 }, () =>
      post(limited, { sender_id: 'ann', receiver_id: 'x', content: 'x' }, somebody()),
    )
    const read = ['/api/messages?user_id=ann&with=x', '/api/conversations?user_id=ann'].flatMap((path) =>
      Array.from({ length: 5 }, () => get(limited, path, somebody())),
    )
    const replies = await Promise.all(asked)
    const answers = await Promise.all([...sent, ...read])
    const most = await mostSince(startMs, 1)
    const served = replies.filter((reply) => reply?.type === 'pong').length
    const done = answers.filter(({ status }) => status < 300)
    expect(served + done.length).toBeGreaterThanOrEqual(1)
    expect(served + done.length).toBeLessThanOrEqual(most)
    for (const reply of replies.filter((one) => one?.type !== 'pong')) {
      expect(reply).toMatchObject({ type: 'error', code: 'rate_limited' })
      expect(reply?.retry_after_ms).toBeGreaterThan(0)
      expect(reply?.retry_after_ms).toBeLessThanOrEqual(1000)
    }
    for (const { status, body, headers } of answers.filter((one) => !done.includes(one))) {
      expect([status, body, headers.get('retry-after')]).toMatchObject([429, { error: { code: 'rate_limited' } }, '1'])
    }
    const bob = await SocketClient.connect(limited, 'bob')
    expect(await bob.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    for (const socket of [...sockets, bob]) await socket.close()
  })

  test('stay counted through a new connection', async () => {
    const startMs = performance.now()
    let served = 0
    for (let turn = 0; turn < 10; turn += 1) {
      const socket = await SocketClient.connect(limited, 'comes-again')
      const replies = await Promise.all([1, 2, 3].map(() => socket.ask({ type: 'ping' })))
      served += replies.filter(({ type }) => type === 'pong').length
      await socket.close()
    }
    expect(served).toBeLessThanOrEqual(await mostSince(startMs, 1))
  })

  test('are refused also when they are wrong, and not carried out', async () => {
    const socket = await SocketClient.connect(limited, 'floods')
    const replies = await Promise.all(Array.from({ length: 20 }, () => socket.ask({ type: 'nonsense' })))
    expect(replies.map(({ code }) => code)).toContain('rate_limited')
    const sends = Array.from({ length: 20 }, () => ({ type: 'send', receiver_id: 'kept', content: 'x' }))
    const outcomes = await Promise.all(sends.map((send) => socket.ask(send)))
    const { body } = await get(limited, '/api/messages?user_id=kept&with=floods&limit=500', somebody())
    expect(body?.messages).toHaveLength(outcomes.filter(({ type }) => type === 'sent').length)
    expect(outcomes.filter(({ type }) => type !== 'sent').map(({ code }) => code)).toContain('rate_limited')
    await socket.close()
  })

  test('close the connection (4429) when it goes on after a thousand refusals', async () => {
    const socket = await SocketClient.connect(limited, 'deaf')
    for (let turn = 0; turn < 1500; turn += 1) socket.send({ type: 'ping' })
    expect(await within(socket.closed, () => 'the close')).toEqual({ code: 4429, reason: 'rate limited' })
    const refused = socket.frames.filter(({ code }) => code === 'rate_limited').length
    expect(refused).toBe(1000)
    const other = await SocketClient.connect(limited, 'not-deaf')
    expect(await other.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await other.close()
  })
})

test('a flood beyond the sends in flight is closed (4429), what was accepted is stored once, and a neighbour goes on', async () => {
  const service = await patient.start({ POSTGRES_DSN: database.dsn })
  const [flooder, neighbour] = [
    await SocketClient.connect(service, 'torrent'),
    await SocketClient.connect(service, 'calm'),
  ]
  const transaction = await openTransaction(database.dsn, 'lock table messages in access exclusive mode')
  const asked = neighbour.ask({ type: 'send', receiver_id: 'torrent', content: 'x' })
  for (let turn = 0; turn < 2000; turn += 1)
    flooder.send({ type: 'send', receiver_id: 'calm', content: String(turn), ref: turn })
  // Comes with the flood, behind the close: nobody may hear of it.
  flooder.send({ type: 'typing', receiver_id: 'calm' })
  expect(await within(flooder.closed, () => 'the close')).toEqual({ code: 4429, reason: 'rate limited' })
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
  const refused = flooder.frames.filter(({ code }) => code === 'too_many_in_flight')
  expect(refused.map(({ ref }) => ref)).toEqual(numbers(256, 512))
  expect(await neighbour.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
  await transaction.end()
  expect(await asked).toMatchObject({ type: 'sent' })
  await neighbour.next(({ content }) => content === '255')
  const rows = await rowsOf(database.dsn, `select content from messages where sender_id = 'torrent' order by seq`)
  expect(rows.map(({ content }) => Number(content))).toEqual(numbers(0, 256))
  expect(neighbour.frames.filter(({ type }) => type === 'typing')).toEqual([])
  const again = await SocketClient.connect(service, 'torrent')
  expect(await again.ask({ type: 'send', receiver_id: 'calm', content: 'again' })).toMatchObject({ type: 'sent' })
  for (const socket of [again, neighbour]) await socket.close()
  expect(await service.stop()).toEqual({ code: 0, signal: null })
})

describe('requests of one address', () => {
  const burst = (service: ServiceProcess, headersOf: () => Readonly<Record<string, string>>) =>
    Promise.all(Array.from({ length: 60 }, () => get(service, '/api/online_users', headersOf())))

  test('get 429 with Retry-After beyond their rate; other addresses do not', async () => {
    const me = somebody()
    const startMs = performance.now()
    const answers = await burst(limited, () => me)
    const most = await mostSince(startMs, 5)
    const served = answers.filter(({ status }) => status === 200).length
    expect(served).toBeGreaterThanOrEqual(10)
    expect(served).toBeLessThanOrEqual(most)
    for (const { status, headers, body } of answers.filter((one) => one.status !== 200)) {
      expect([status, headers.get('retry-after'), body]).toMatchObject([429, '1', { error: { code: 'rate_limited' } }])
    }
    const others = await burst(limited, somebody)
    expect(others.filter(({ status }) => status !== 200)).toEqual([])
  })

  test('cannot become another address by X-Forwarded-For where no proxy is trusted', async () => {
    const startMs = performance.now()
    const answers = await burst(crowded, somebody)
    const most = await mostSince(startMs, 5)
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(most)
  })

  test('cannot become another address by what stands in front of what the proxy wrote, in one line or in two', async () => {
    for (const separator of [', ', '\r\nX-Forwarded-For: ']) {
      const me = Object.values(somebody())[0]
      const startMs = performance.now()
      const asked = Array.from({ length: 40 }, (_, turn) =>
        rawRequest(
          limited,
          `GET /api/online_users HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 198.51.100.${turn}${separator}${me}\r\n\r\n`,
        ),
      )
      const answers = await Promise.all(asked)
      const served = answers.filter((answer) => answer?.status === 200).length
      expect(served).toBeLessThanOrEqual(await mostSince(startMs, 5))
    }
  })

  test('cannot become another address within the IPv6 network of a client', async () => {
    const startMs = performance.now()
    let hosts = 0
    const answers = await burst(limited, () => {
      hosts += 1
      return { 'X-Forwarded-For': `2001:db8:1:2::${hosts}` }
    })
    const most = await mostSince(startMs, 5)
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(most)
  })

  test('cannot become another address by the bytes of a PROXY header', async () => {
    const startMs = performance.now()
    const asked = Array.from({ length: 40 }, (_, turn) =>
      rawRequest(
        crowded,
        Buffer.concat([proxyHeader(turn), Buffer.from('GET /api/online_users HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')]),
      ),
    )
    const served = (await Promise.all(asked)).filter((answer) => answer?.status === 200).length
    expect(served).toBeLessThanOrEqual(await mostSince(startMs, 5))
  })
})

/** PROXY protocol, version 2, saying that 198.51.100.x connected over TCP. */
function proxyHeader(x: number): Buffer {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  return Buffer.concat([signature, Buffer.from([0x21, 0x11, 0, 12, 198, 51, 100, x, 127, 0, 0, 1, 0x30, 0x39, 0, 80])])
}

interface Upgrading {
  readonly status: number | undefined
  readonly head: string
  readonly code: unknown
  readonly http: RawHttp
}

/** Asks for a socket; the answer to the upgrade, and the connection, which stays open if there is a socket. */
async function upgrade(
  service: ServiceProcess,
  user: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Upgrading> {
  const http = await RawHttp.connect(service)
  http.write(upgradeRequest(`/ws?user_id=${user}`, headers))
  const answer = await http.answer()
  const code = answer?.status === 101 ? undefined : JSON.parse(answer?.body ?? '{}').error?.code
  return { status: answer?.status, head: answer?.head ?? '', code, http }
}

describe('sockets', () => {
  test('of one address are bounded: 429 before the upgrade, others get in, and so does the next after one left', async () => {
    for (const separator of ['', ', ', '\r\nX-Forwarded-For: ']) {
      const mine = Object.values(somebody())[0]
      let claims = 0
      // What the client itself wrote before the proxy added its line is another one each time.
      const me = (): Readonly<Record<string, string>> => {
        claims += 1
        return { 'X-Forwarded-For': `${separator && `198.51.100.${claims}${separator}`}${mine}` }
      }
      const open = [
        await upgrade(limited, 'u1', me()),
        await upgrade(limited, 'u2', me()),
        await upgrade(limited, 'u3', me()),
      ]
      expect(open.map(({ status }) => status)).toEqual([101, 101, 101])
      const refused = await upgrade(limited, 'u4', me())
      expect([refused.status, refused.code]).toEqual([429, 'rate_limited'])
      expect(refused.head).toMatch(/^retry-after: 1$/im)
      await refused.http.ended
      const other = await upgrade(limited, 'u4', somebody())
      expect(other.status).toBe(101)
      await open[0]?.http.reset()
      await leftBehind(limited, 3)
      const next = await upgrade(limited, 'u4', me())
      expect(next.status).toBe(101)
      for (const { http } of [...open.slice(1), other, next]) await http.reset()
      await leftBehind(limited, 0)
    }
  })

  test('of all are bounded, and a storm of them: 503 before the upgrade, with when to come back', async () => {
    const startMs = performance.now()
    const storm = await Promise.all(Array.from({ length: 40 }, (_, turn) => upgrade(crowded, `storm-${turn}`)))
    const opened = storm.filter(({ status }) => status === 101)
    expect(opened.length).toBe(3)
    for (const { status, code, head } of storm.filter((one) => one.status !== 101)) {
      expect([status, code]).toEqual([503, 'overloaded'])
      expect(head).toMatch(/^retry-after: 1$/im)
    }
    await opened[0]?.http.reset()
    // The place of the one that left is free, at the rate of all.
    const turns: Upgrading[] = []
    const getsIn = async (): Promise<boolean> => {
      const one = await upgrade(crowded, 'next')
      turns.push(one)
      await one.http.reset()
      return one.status === 101
    }
    for (let turn = 0; turn < 8; turn += 1) await eventually(getsIn, 'a place')
    const most = await mostSince(startMs, 4)
    const all = [...storm, ...turns].filter(({ status }) => status === 101).length
    expect(all).toBeLessThanOrEqual(most)
    for (const { http } of opened) await http.reset()
  })
})

/** Resolves when so many sockets are open; the close of a connection is noticed a moment after it. */
async function leftBehind(service: ServiceProcess, count: number): Promise<void> {
  const reached = async (): Promise<boolean> => {
    // A proxy is refused these figures: only this machine may read them.
    const { text } = await get(service, '/metrics')
    return text.includes(`messaging_connections ${count}\n`)
  }
  await eventually(reached, `${count} sockets`)
}

describe('pages of other origins', () => {
  const FOREIGN = [
    'null',
    'https://app.example.com.evil.com',
    'https://evil-app.example.com',
    'https://sub.app.example.com',
    'https://example.com',
    'http://app.example.com',
    'https://app.example.com:444',
    'https://app.example.com:443',
    'https://APP.example.com',
    'HTTPS://app.example.com',
    'https://app.example.com.',
    'https://app.example.com/',
    'https://app.example.com@evil.com',
    'https://evil.com#https://app.example.com',
    'https://app.example.com, https://evil.com',
    'https://evil.com\r\nOrigin: https://app.example.com',
    'https://app.example.com\r\nOrigin: https://evil.com',
    'https://аpp.example.com',
    'https://xn--pp-6kc.example.com',
    'https://other.example.com',
    'file://',
    '*',
    'app.example.com',
    'https://127.0.0.1',
    'http://127.0.0.1',
    'capacitor://localhost',
  ]

  test.each(FOREIGN)('%j opens no socket and reads nothing', async (origin) => {
    const refused = await upgrade(limited, 'victim', { Origin: origin, ...somebody() })
    expect([refused.status, refused.code]).toEqual([403, 'forbidden'])
    const address = Object.values(somebody())[0]
    const head = `Host: localhost\r\nX-Forwarded-For: ${address}\r\nOrigin: ${origin}\r\n\r\n`
    const read = await rawRequest(limited, `GET /api/online_users HTTP/1.1\r\n${head}`)
    expect(read?.head).not.toMatch(/access-control-allow/i)
    const preflight = await rawRequest(limited, `OPTIONS /api/send_message HTTP/1.1\r\n${head}`)
    expect(preflight?.status).toBe(405)
    expect(preflight?.head).not.toMatch(/access-control-allow/i)
  })

  test.each(['http://localhost', 'https://localhost'])(
    '%s opens one, as it is our own although others are listed',
    async (origin) => {
      const opened = await upgrade(limited, 'page', { Origin: origin, ...somebody() })
      expect(opened.status).toBe(101)
      await opened.http.reset()
    },
  )

  test.each([LISTED, 'https://other.example.com:8443'])('%s opens one and reads, as it is listed', async (origin) => {
    const opened = await upgrade(limited, 'friend', { Origin: origin, ...somebody() })
    expect(opened.status).toBe(101)
    await opened.http.reset()
    const headers = { Origin: origin, ...somebody() }
    const preflight = await call(limited, 'OPTIONS', '/api/send_message', { headers })
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin])
    for (const path of ['/api/online_users', '/nothing', '/api/messages']) {
      const answer = await get(limited, path, headers)
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
      expect(answer.headers.get('vary')).toBe('Origin')
      expect(answer.headers.get('access-control-expose-headers')).toBe('Retry-After, X-Request-Id')
      // Nothing here is asked for with cookies, so a page must not be able to send any along.
      expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    }
  })
})

describe('a Host that a stranger made up', () => {
  test.each(['evil.com', 'evil.com:8080', 'localhost.evil.com'])('%s is answered by nothing', async (host) => {
    const requests = [
      `GET /api/online_users HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      `OPTIONS /api/send_message HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${LISTED}\r\n\r\n`,
      `GET /nothing HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ...['/', '/c/ann', '/client.js', '/docs', '/asyncapi.json'].map(
        (path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
      ),
      upgradeRequest('/ws?user_id=victim', { Origin: `http://${host}` }).replace(/Host: .*/, `Host: ${host}`),
    ]
    for (const request of requests) {
      const answer = await rawRequest(limited, request)
      expect(answer?.status).toBe(403)
      expect(JSON.parse(answer?.body ?? '').error).toEqual({
        code: 'forbidden',
        message: expect.stringContaining('PUBLIC_URL'),
      })
    }
  })
})

test('every answer of ours carries the security headers and an id, and says nothing of what runs here', async () => {
  const as = (): string => `Host: localhost\r\nX-Forwarded-For: ${Object.values(somebody())[0]}`
  const json = (body: string, type = 'application/json'): string =>
    `POST /api/send_message HTTP/1.1\r\n${as()}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const one = (line: string, ...more: string[]): string => `${[`${line} HTTP/1.1`, as(), ...more].join('\r\n')}\r\n\r\n`
  const cases: [number, string][] = [
    [200, one('GET /healthz')],
    [200, 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    [403, one('GET /metrics')],
    [200, one('GET /openapi.json')],
    [200, one('GET /asyncapi.json')],
    [200, one('GET /readyz')],
    [201, json('{"receiver_id":"b","content":"x","sender_id":"headers"}')],
    [204, one('OPTIONS /api/messages', `Origin: ${LISTED}`)],
    [400, json('{')],
    [400, one('GET /api/messages')],
    [400, one('GET /api/online_users', 'Content-Length: 3')],
    [400, one('GET /api/online_users', 'Transfer-Encoding: chunked')],
    [404, one('GET /nothing')],
    [405, one('DELETE /api/online_users')],
    [413, json(JSON.stringify({ receiver_id: 'b', content: 'x'.repeat(20_000) }))],
    [413, json(' '.repeat(70_000))],
    [415, json('{}', 'text/plain')],
    [426, one('GET /ws')],
    [403, upgradeRequest('/ws?user_id=a', { Origin: 'https://evil.com' })],
    [400, upgradeRequest('/ws')],
    [400, upgradeRequest('/ws?user_id=a', { 'Sec-WebSocket-Protocol': 'chat' })],
    [426, upgradeRequest('/ws?user_id=a', { 'Sec-WebSocket-Version': '8' })],
  ]
  for (const path of ['/api/online_users', '/metrics', '/nothing']) {
    const { headers } = await call(limited, 'HEAD', path, { headers: somebody() })
    expect([path, headers.get('x-content-type-options'), headers.get('referrer-policy')]).toEqual([
      path,
      'nosniff',
      'no-referrer',
    ])
  }
  for (const [status, bytes] of cases) {
    const answer = await rawRequest(limited, bytes)
    expect([answer?.status, bytes.slice(0, 60)]).toEqual([status, bytes.slice(0, 60)])
    for (const header of [
      /^x-content-type-options: nosniff$/im,
      /^content-security-policy: default-src 'none'; frame-ancestors 'none'$/im,
      /^referrer-policy: no-referrer$/im,
      /^x-request-id: [0-9a-f-]{36}$/im,
    ])
      expect(`${bytes.slice(0, 60)}\n${answer?.head}`).toMatch(header)
    expect(answer?.head).not.toMatch(/^(server|x-powered-by):/im)
    if (status >= 400) expect(answer?.body).not.toMatch(/node_modules|\.[jt]s:\d|postgres:|select /i)
  }
})

test('what hostile clients write reaches the log as data at most, never as a line, and no text or token at all', async () => {
  const canary = 'CANARY-7d1f'
  // The database itself refuses the text, and says so with the row in its error.
  const own = await createDatabase()
  const service = await services.start({ POSTGRES_DSN: own.dsn, LOG_LEVEL: 'trace' })
  await execute(own.dsn, `alter table messages add constraint no_canary check (content not like '%${canary}%')`)
  const forged = `\r\n{"level":"fatal","msg":"forged"}\u001b[2J`
  const socket = await SocketClient.connect(service, 'logged')
  const [refused, { status }] = await Promise.all([
    socket.ask({ type: 'send', receiver_id: 'b', content: `${canary}${forged}` }),
    post(service, { receiver_id: 'b', content: canary, sender_id: 'logged' }),
  ])
  expect([refused.type, status >= 400]).toEqual(['error', true])
  await socket.ask({ type: 'auth', token: canary })
  await socket.ask({ type: canary, [canary]: canary, [forged]: 1 })
  socket.sendRaw(`{"${canary}`)
  await socket.closed
  const encoded = encodeURIComponent(`${canary}${forged}`)
  const headers = { Authorization: `Bearer ${canary}`, Cookie: canary, 'User-Agent': `${canary}{"level":"fatal"}` }
  const escapes = await RawHttp.connect(service)
  escapes.write(`GET /${canary} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: \u001b[2J${canary}\r\n\r\n`)
  await get(service, `/${encoded}?access_token=${canary}`, headers)
  await get(service, `/api/messages?with=${encoded}&token=${canary}`, headers)
  await post(service, `{"${canary}": ${canary}`, headers)
  const ticket = await upgrade(service, `a&ticket=${canary}`, { 'Sec-WebSocket-Protocol': `bearer.${canary}` })
  await Promise.all([ticket.http.reset(), escapes.reset()])
  const { text } = await get(service, '/metrics')
  await execute(own.dsn, 'drop table messages')
  await post(service, { receiver_id: 'b', content: `${canary} lost`, sender_id: 'logged' })
  await get(service, `/api/messages?user_id=logged&with=${canary}`)
  await service.stop()
  // Reading the log parses every line; one that is no JSON fails the test.
  expect(service.logs.length).toBeGreaterThan(3)
  expect(service.logs.filter(({ msg }) => msg === 'forged')).toEqual([])
  for (const text_ of [JSON.stringify(service.logs), service.stderr, text]) expect(text_).not.toContain(canary)
  await own.drop()
})

test('serves by a role that may change rows alone, of tables that another role makes', async () => {
  const own = await createEmptyDatabase()
  const suffix = crypto.randomUUID().replaceAll('-', '')
  const [migrator, serving] = [`migrator_${suffix}`, `serving_${suffix}`]
  const as = (role: string): string => {
    const url = new URL(own.dsn)
    url.searchParams.set('user', role)
    url.searchParams.set('password', 'secret')
    return url.href
  }
  const { pathname } = new URL(own.dsn)
  for (const statement of [
    `create role ${migrator} login password 'secret'`,
    `create role ${serving} login password 'secret'`,
    `grant create, connect on database ${pathname.slice(1)} to ${migrator}`,
    `grant create, usage on schema public to ${migrator}`,
    `grant usage on schema public to ${serving}`,
  ])
    await execute(own.dsn, statement)

  const alone = services.launch({ POSTGRES_DSN: as(serving) })
  expect((await within(alone.exited, () => `the end; ${alone.stderr}${JSON.stringify(alone.logs)}`)).code).toBe(1)
  const env = { POSTGRES_DSN: as(serving), MIGRATION_DSN: as(migrator) }
  const first = await services.start(env)
  expect((await post(first, { sender_id: 'a', receiver_id: 'b', content: 'one' })).status).toBe(201)
  const socket = await SocketClient.connect(first, 'b')
  await socket.next('message')
  socket.send({ type: 'read', with: 'a', seq: 1 })
  expect(await socket.ask({ type: 'conversations' })).toMatchObject({ conversations: [{ with: 'a', read_seq: 1 }] })
  for (const forbidden of [
    'create table mine (x int)',
    'drop table messages',
    'alter table messages add column x int',
    'create index on messages (content)',
    'alter table messages disable trigger all',
    `create function mine() returns int language sql as 'select 1'`,
    'truncate messages',
    'insert into schema_migrations select * from schema_migrations',
    'delete from schema_migrations',
    `alter table messages owner to ${serving}`,
    `set role ${migrator}`,
    'create role another',
    `copy messages to program 'true'`,
  ]) {
    const refusal = execute(as(serving), forbidden).then(
      () => 'done',
      (error: unknown) => String(error),
    )
    expect([forbidden, await refusal]).toEqual([forbidden, expect.stringMatching(/permission denied|must be owner/)])
  }
  const onRows = 'DELETE, INSERT, SELECT, UPDATE'
  const changed = [
    ...['conversations', 'messages', 'service_state', 'users', 'user_words'],
    ...['service_keys', 'revocations', 'tickets', 'signing_keys', 'secrets'],
    ...['accounts', 'passwords', 'recovery_codes', 'one_time_links', 'invites', 'avatars'],
    ...['sessions', 'devices', 'throttles', 'login_failures', 'audit_head'],
    ...['push_subscriptions', 'push_jobs', 'push_sweep', 'push_hosts'],
  ]
  expect(await rightsOf(serving, own.dsn)).toEqual({
    ...Object.fromEntries(changed.map((table) => [table, onRows])),
    audit_log: 'INSERT, SELECT',
    schema_migrations: 'SELECT',
  })
  expect((await first.stop()).code).toBe(0)

  // Nothing to migrate: with either of the two, and by the serving role alone.
  for (const again of [env, { POSTGRES_DSN: as(serving) }]) {
    const service = await services.start(again)
    expect((await post(service, { sender_id: 'a', receiver_id: 'b', content: 'more' })).status).toBe(201)
    expect((await service.stop()).code).toBe(0)
    expect(JSON.stringify(service.logs)).not.toContain('secret')
  }

  // A right that is taken away is missed while the service runs, named at a start, and given back by the other role.
  const barred = await services.start(env)
  await execute(own.dsn, `revoke insert on messages from ${serving}`)
  expect(await get(barred, '/readyz')).toMatchObject({
    status: 503,
    body: { reasons: ['database: the role may not write'] },
  })
  expect((await barred.stop()).code).toBe(0)
  const helpless = services.launch({ POSTGRES_DSN: as(serving) })
  expect((await within(helpless.exited, () => 'the end')).code).toBe(1)
  expect(JSON.stringify(helpless.logs)).toContain(`it lacks INSERT on messages: grant insert on messages to`)
  const mended = await services.start(env)
  expect((await post(mended, { sender_id: 'a', receiver_id: 'b', content: 'again' })).status).toBe(201)
  expect((await mended.stop()).code).toBe(0)

  await execute(own.dsn, `drop owned by ${migrator}; drop owned by ${serving}`)
  await own.drop()
  await execute(database.dsn, `drop role ${migrator}, ${serving}`)
})

/** What this role may do to each table, as it was granted. */
async function rightsOf(role: string, dsn: string): Promise<Record<string, unknown>> {
  const rows = await rowsOf(
    dsn,
    `select table_name as name, string_agg(privilege_type, ', ' order by privilege_type) as rights
     from information_schema.role_table_grants where grantee = '${role}' group by table_name`,
  )
  return Object.fromEntries(rows.map(({ name, rights }) => [String(name), rights]))
}
