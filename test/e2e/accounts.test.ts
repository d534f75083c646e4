// AUTH=accounts: people register, sign in and out, and come back, from a page and from a program.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import {
  type AccountsBench,
  accountsBench,
  ask,
  bearer,
  cookiesOf,
  login,
  OWN_PAGE,
  PASSWORD,
  register,
  secretIn,
} from '../support/accounts.ts'
import { execute } from '../support/databases.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'

let bench: AccountsBench
let app: App
/** Open to all, on the same database. */
let open: App

beforeAll(async () => {
  bench = await accountsBench()
  app = await bench.start()
  open = await bench.start({ REGISTRATION: 'open' })
})
afterAll(() => bench?.close())

const send = (token: string, receiver_id: string) =>
  call(app, 'POST', '/api/send_message', { headers: bearer(token), body: { receiver_id, content: 'hi' } })
const me = async (token: string): Promise<number> =>
  (await call(app, 'GET', '/api/auth/sessions', { headers: bearer(token) })).status
test('the link of a start makes the first administrator, once, and no other link does after that', async () => {
  const links = bench.told().split('#bootstrap')
  expect(links).toHaveLength(3)
  const [first, last] = [
    secretIn(links.slice(0, 2).join('#bootstrap'), 'bootstrap'),
    secretIn(bench.told(), 'bootstrap'),
  ]
  const bodies = [first, last].map((invite, at) => ({ username: ['Ann', 'Eve'][at], password: PASSWORD, invite }))
  const answers = await Promise.all(bodies.map((body) => ask(app, '/api/auth/register', body)))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 400])
  expect(await rowsOf(bench.database.dsn, 'select from accounts where role = 2')).toHaveLength(1)
  const again = await ask(app, '/api/auth/register', { ...bodies[0], username: 'Zoe' })
  expect(again.body).toMatchObject({ error: { code: 'invite_invalid', field: 'invite' } })
  expect(JSON.stringify(await rowsOf(bench.database.dsn, 'select * from one_time_links'))).not.toContain(last)
  await bench.start()
  expect(bench.told().split('#bootstrap')).toHaveLength(3)
})

test('a text that PostgreSQL cannot hold is the fault of the request, wherever it comes in', async () => {
  const { username, token } = await register(open, undefined)
  const NUL = 'a\u0000b'
  const signIn = { username, password: PASSWORD, client: 'token' }
  const bodies: readonly (readonly [string, object])[] = [
    ['/api/auth/login', { ...signIn, username: NUL }],
    ['/api/auth/login', { ...signIn, device_name: NUL }],
    ['/api/auth/register', { ...signIn, username: NUL }],
    ['/api/auth/register', { ...signIn, username: 'another-name', display_name: NUL }],
    ['/api/auth/register', { ...signIn, username: 'another-name', device_name: NUL }],
    ['/api/auth/recover', { username: NUL, recovery_code: 'aaaa-aaaa-aaaa-aaaa', new: PASSWORD }],
  ]
  for (const [path, body] of bodies) {
    const answer = await ask(open, path, body)
    expect([path, body, answer.status]).toEqual([path, body, 400])
  }
  for (const path of [
    '/api/users?search=a%00b',
    '/api/users?username=a%00b',
    '/api/users?ids=a%00b',
    '/api/users/a%00b',
  ]) {
    expect([path, (await call(open, 'GET', path, { headers: bearer(token) })).status]).toEqual([path, 400])
  }
})

describe('registering', () => {
  test('needs an invite here, and is told what is wrong with a name or a password', async () => {
    const refusal = async (more: object, target = open) => {
      const body = { username: 'fine-name', password: PASSWORD, ...more }
      const answer = await ask(target, '/api/auth/register', body)
      const { code, field } = (answer.body as { error: { code: string; field?: string } }).error
      return [answer.status, code, field]
    }
    expect(await refusal({}, app)).toEqual([400, 'invite_invalid', 'invite'])
    expect(await refusal({ invite: 'x' })).toEqual([400, 'invite_invalid', 'invite'])
    expect(await refusal({ username: 'no' })).toEqual([400, 'invalid_request', 'username'])
    expect(await refusal({ username: 'with space' })).toEqual([400, 'invalid_request', 'username'])
    expect(await refusal({ username: 'U0123456789abcdefghjk' })).toEqual([400, 'invalid_request', 'username'])
    expect(await refusal({ display_name: 'a\u202eb' })).toEqual([400, 'invalid_request', 'display_name'])
    for (const password of ['short', 'password1', 'aaaaaaaaaaaa', 'fine-name1', 'x'.repeat(129)]) {
      expect([password, ...(await refusal({ password }))]).toEqual([password, 400, 'weak_password', 'password'])
    }
    expect(await refusal({ role: 'admin' })).toEqual([400, 'invalid_request', 'role'])
    const closed = await bench.start({ REGISTRATION: 'closed' })
    expect(await refusal({}, closed)).toEqual([403, 'forbidden', undefined])
    expect(await refusal({ invite: 'x' }, closed)).toEqual([403, 'forbidden', undefined])
  })

  test('takes a name once, whatever its case, and gives its person an id that says nothing', async () => {
    const ann = await register(open, undefined, { username: 'Joan' })
    expect(ann.userId).toMatch(/^u[0-9a-z]{20}$/)
    const again = await ask(open, '/api/auth/register', { username: 'jOAN', password: PASSWORD })
    expect([again.status, again.body]).toMatchObject([409, { error: { code: 'username_taken', field: 'username' } }])
    expect((await login(app, 'joan')).userId).toBe(ann.userId)
  })

  test('is nothing that another site can do to a browser', async () => {
    const username = `c${randomUUID().slice(0, 8)}`
    const body = { username, password: PASSWORD }
    const foreign: readonly Readonly<Record<string, string>>[] = [
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'cross-site', Origin: `http://127.0.0.1:${open.port}` },
      { 'Sec-Fetch-Site': 'none' },
      { Origin: 'null' },
      { Origin: `http://sibling.127.0.0.1:${open.port}` },
    ]
    for (const headers of foreign) {
      const answer = await ask(open, '/api/auth/register', body, headers)
      expect([headers, answer.status, answer.headers.getSetCookie()]).toEqual([headers, 403, []])
    }
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
      const headers = { ...OWN_PAGE, 'Content-Type': type }
      expect((await ask(open, '/api/auth/register', JSON.stringify(body), headers)).status).toBe(415)
    }
    expect(await rowsOf(bench.database.dsn, `select from accounts where username = '${username}'`)).toEqual([])
    expect((await ask(open, '/api/auth/register', body, OWN_PAGE)).status).toBe(201)
  })

  test('gives the browser another cookie than it had, and that one is worth nothing any more', async () => {
    const enter = (cookie = '') => {
      const body = { username: `f${randomUUID().slice(0, 8)}`, password: PASSWORD }
      return ask(open, '/api/auth/register', body, { ...OWN_PAGE, ...(cookie && { Cookie: cookie }) })
    }
    const before = cookiesOf(await enter())
    const after = cookiesOf(await enter(before))
    expect(after).not.toBe(before)
    const renewed = async (cookie: string) =>
      (await ask(open, '/api/auth/token', undefined, { Cookie: cookie, ...OWN_PAGE })).status
    expect([await renewed(before), await renewed(after)]).toEqual([401, 200])
  })

  test('takes an invite as often as it may be used: of a hundred at once one gets in', async () => {
    await execute(
      bench.database.dsn,
      `insert into invites (code_id, code_hash, epoch, uses, uses_left, created_by, expires_at)
       select 'once', sha256('invite for one'), epoch, 1, 1, 'test', now() + interval '1 day' from service_state`,
    )
    const many = Array.from({ length: 100 }, () => {
      const username = `r${randomUUID().slice(0, 12)}`
      return ask(app, '/api/auth/register', { username, password: PASSWORD, invite: 'invite for one' })
    })
    const statuses = (await Promise.all(many)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 201)).toHaveLength(1)
    // The rest found it used up, or too many hashing at once.
    expect(statuses.every((status) => [201, 400, 503].includes(status))).toBe(true)
  })
})

describe('a page', () => {
  const signIn = async (username: string, cookie = '') =>
    ask(app, '/api/auth/login', { username, password: PASSWORD }, { ...OWN_PAGE, ...(cookie && { Cookie: cookie }) })
  const token = (cookie: string, headers: Readonly<Record<string, string>> = OWN_PAGE, body?: unknown) =>
    ask(app, '/api/auth/token', body, { Cookie: cookie, ...headers })

  test('has a cookie out of the reach of scripts, and gets tokens for it, also after the service was started anew', async () => {
    const { username, userId } = await register(open, undefined)
    const answer = await signIn(username)
    expect(answer.body).not.toHaveProperty('refresh_token')
    expect(answer.headers.getSetCookie()).toHaveLength(2)
    for (const line of answer.headers.getSetCookie()) {
      expect(line).toMatch(/^(session|device)_\d+=[\w-]{43}; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/)
    }
    const cookie = cookiesOf(answer)
    const { status, body } = await token(cookie)
    expect(status).toBe(200)
    expect((await send(String(body?.['token']), userId)).status).toBe(201)
    const tabs = await Promise.all(Array.from({ length: 20 }, () => token(cookie)))
    expect(tabs.map((tab) => tab.status)).toEqual(tabs.map(() => 200))
    const socket = SocketClient.dial(app, '')
    await socket.opened()
    socket.send({ type: 'auth', token: body?.['token'] })
    expect(await socket.next('welcome')).toMatchObject({ user_id: userId })
    await socket.close()
    const anew = await bench.start({ PUBLIC_URL: `http://127.0.0.1:${app.port}` })
    const later = await ask(anew, '/api/auth/token', {}, { Cookie: cookie, ...OWN_PAGE })
    expect(later.status).toBe(200)
    expect((await send(String(later.body?.['token']), userId)).status).toBe(201)
  })

  test('of another site gets nothing for the cookie', async () => {
    const { username } = await register(open, undefined)
    const cookie = cookiesOf(await signIn(username))
    const own = `http://127.0.0.1:${app.port}`
    const foreign: readonly Readonly<Record<string, string>>[] = [
      {},
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'cross-site', Origin: own },
      { 'Sec-Fetch-Site': 'none' },
      { Origin: 'http://127.0.0.1:1' },
      { Origin: 'null' },
      { Origin: `http://sibling.127.0.0.1:${app.port}` },
    ]
    for (const headers of foreign) {
      for (const path of ['token', 'logout', 'logout_all']) {
        const { status, body } = await ask(app, `/api/auth/${path}`, undefined, { Cookie: cookie, ...headers })
        expect([path, headers, status, body]).toMatchObject([path, headers, 403, { error: { code: 'forbidden' } }])
      }
    }
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'multipart/form-data; boundary=x']) {
      for (const body of ['', 'a=b']) {
        expect((await token(cookie, { ...OWN_PAGE, 'Content-Type': type }, body)).status).toBe(415)
      }
    }
    expect((await token(cookie, { Origin: own })).status).toBe(200)
    const foreignLogin = { 'Sec-Fetch-Site': 'same-site', Origin: 'http://sibling.example' }
    const body = { username, password: PASSWORD }
    expect((await ask(app, '/api/auth/login', body, foreignLogin)).status).toBe(403)
    expect((await ask(app, '/api/auth/login', { ...body, client: 'token' }, foreignLogin)).status).toBe(200)
  })

  test('has a cookie that nothing else reads', async () => {
    const { username, userId } = await register(open, undefined)
    const cookie = cookiesOf(await signIn(username))
    const headers = { Cookie: cookie, ...OWN_PAGE }
    const body = { receiver_id: userId, content: 'hi' }
    expect((await call(app, 'POST', '/api/send_message', { headers, body })).status).toBe(401)
    expect((await call(app, 'GET', '/api/auth/sessions', { headers })).status).toBe(401)
    const socket = SocketClient.dial(app, '', { headers: { Cookie: cookie } })
    await socket.opened()
    socket.send({ type: 'send', ref: 1, receiver_id: userId, content: 'hi' })
    expect(await socket.next('error')).toMatchObject({ code: 'unauthorized', ref: 1 })
    socket.cut()
  })

  test('has another cookie after each login, and the one before is worth nothing', async () => {
    const { username } = await register(open, undefined)
    const before = cookiesOf(await signIn(username))
    const after = cookiesOf(await signIn(username, before))
    expect(after).not.toBe(before)
    expect((await token(before)).status).toBe(401)
    expect((await token(after)).status).toBe(200)
    // Two of a name: one of them was set by somebody else.
    expect((await token(`${after}; ${before}`)).status).toBe(401)
  })

  test('signs out nobody else than the bearer is, whatever else the request names', async () => {
    const ann = await register(open, undefined)
    for (const path of ['/api/auth/logout', '/api/auth/logout_all']) {
      const { status } = await ask(open, path, undefined, { ...bearer(ann.token), 'X-User-Id': 'eve' })
      expect([path, status]).toEqual([path, 403])
    }
  })

  test('signs out: the cookie is forgotten, and its tokens and sockets are at an end', async () => {
    const { username } = await register(open, undefined)
    const cookie = cookiesOf(await signIn(username))
    const access = String((await token(cookie)).body?.['token'])
    const socket = SocketClient.dial(app, '')
    await socket.opened()
    socket.send({ type: 'auth', token: access })
    await socket.next('welcome')
    const out = await ask(app, '/api/auth/logout', {}, { Cookie: cookie, ...OWN_PAGE })
    expect([out.status, out.headers.getSetCookie()[0]]).toEqual([
      204,
      expect.stringMatching(/^session_\d+=; .*Max-Age=0/),
    ])
    expect(await socket.closed).toEqual({ code: 4401, reason: 'session_revoked' })
    expect([(await token(cookie)).status, await me(access)]).toEqual([401, 401])
  })
})

test('behind https the cookies are bound to the host', async () => {
  const secure = await bench.start({ PUBLIC_URL: 'https://chat.example.com', REGISTRATION: 'open' })
  const body = { username: `s${randomUUID().slice(0, 8)}`, password: PASSWORD }
  const headers = { Origin: 'https://chat.example.com' }
  const answer = await ask(secure, '/api/auth/register', body, headers)
  for (const line of answer.headers.getSetCookie()) expect(line).toMatch(/^__Host-(session|device)=.*; Secure$/)
  expect((await ask(secure, '/api/auth/token', {}, { ...headers, Cookie: cookiesOf(answer) })).status).toBe(200)
  const weak = await ask(secure, '/api/auth/register', { username: 'whoever', password: 'Example123' }, headers)
  expect(weak.body).toMatchObject({ error: { code: 'weak_password' } })
})
