// AUTH=accounts: what administrators do, whom it reaches, and that nobody else does it.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import type { Access } from '../../src/gateway/credential.ts'
import { ROUTE_METHODS } from '../../src/gateway/route-table.ts'
import {
  type AccountsBench,
  accountsBench,
  ask,
  bearer,
  cookiesOf,
  login,
  OWN_PAGE,
  PASSWORD,
  type Person,
  register,
  secretIn,
} from '../support/accounts.ts'
import { execute } from '../support/databases.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { rowsOf } from '../support/transactions.ts'

let bench: AccountsBench
let app: App
let admin: Person

beforeAll(async () => {
  bench = await accountsBench()
  app = await bench.start({ REGISTRATION: 'open' })
  admin = await register(app, secretIn(bench.told(), 'bootstrap'))
})
afterAll(() => bench?.close())

const as = (person: Person, method: string, path: string, body?: unknown) =>
  call(app, method, path, { headers: bearer(person.token), ...(body !== undefined && { body }) })
const act = (person: Person, on: Person, action: string, body: object = {}) =>
  as(person, 'POST', `/api/admin/users/${on.userId}/${action}`, body)
const send = (from: Person, to: string, id?: string) =>
  as(from, 'POST', '/api/send_message', { receiver_id: to, content: 'hi', ...(id !== undefined && { id }) })
const somebody = (): Promise<Person> => register(app, undefined)
const audited = async (action: string, target: string) =>
  rowsOf(
    bench.database.dsn,
    `select actor, actor_kind, details from audit_log where action = '${action}' and target = '${target}'`,
  )
/** Makes the login of somebody older than five minutes. */
const age = (person: Person) =>
  execute(
    bench.database.dsn,
    `update sessions set created_at = now() - interval '6 min' where user_id = '${person.userId}'`,
  )

const ADMIN_ROUTES = ROUTE_METHODS.flatMap(({ path, methods, access }) =>
  methods.filter((method) => (access[method] as Access).who === 'admin').map((method) => [method, path] as const),
)

test.each(ADMIN_ROUTES)('%s %s is for administrators and nobody else', async (method, path) => {
  const member = await somebody()
  const address = path.replace('{user_id}', member.userId).replace('{code_id}', 'x')
  const body = method === 'POST' ? {} : undefined
  const before = await rowsOf(bench.database.dsn, 'select audit_id from audit_head')
  const refused = await as(member, method, address, body)
  expect([refused.status, refused.body]).toMatchObject([403, { error: { code: 'forbidden' } }])
  expect((await call(app, method, address, { ...(body && { body }) })).status).toBe(401)
  expect(await rowsOf(bench.database.dsn, 'select audit_id from audit_head')).toEqual(before)
})

describe('suspending somebody', () => {
  test('ends their sockets and tokens, closes their conversations, and is over when it is taken back', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    const id = randomUUID()
    expect((await send(ann, bob.userId, id)).status).toBe(201)
    const socket = await SocketClient.connect(app, '', { headers: bearer(bob.token) })
    expect((await act(admin, bob, 'suspend')).body).toMatchObject({ user_id: bob.userId, state: 'suspended' })
    expect(await socket.closed).toEqual({ code: 4403, reason: 'account_suspended' })
    expect((await as(bob, 'GET', '/api/conversations')).status).toBe(401)
    const refused = await send(ann, bob.userId)
    expect([refused.status, refused.body]).toMatchObject([
      403,
      { error: { code: 'not_accepted', field: 'receiver_id' } },
    ])
    expect((await send(ann, bob.userId, id)).body).toMatchObject({ duplicate: true })
    const stranger = await send(await somebody(), bob.userId)
    expect([stranger.status, stranger.body]).toMatchObject([
      404,
      { error: { code: 'not_found', field: 'receiver_id' } },
    ])
    const again = await ask(app, '/api/auth/login', { username: bob.username, password: PASSWORD })
    expect([again.status, again.body]).toMatchObject([403, { error: { code: 'account_suspended' } }])
    const renewal = await ask(app, '/api/auth/refresh', { refresh_token: bob.refreshToken, attempt: randomUUID() })
    expect(renewal.status).toBe(401)
    const headers = bearer(await bench.key('tokens:issue'))
    const asked = () => call(app, 'POST', '/api/auth/tokens', { headers, body: { user_id: bob.userId } })
    expect((await asked()).body).toMatchObject({ error: { code: 'not_found', field: 'user_id' } })
    expect((await act(admin, bob, 'unsuspend')).body).toMatchObject({ state: 'active' })
    const issued = { ...bob, token: String((await asked()).body?.['token']) }
    const keyId = headers.Authorization.split('_')[1]
    expect(await audited('token_issue', bob.userId)).toEqual([{ actor: keyId, actor_kind: 'key', details: {} }])
    expect((await as(issued, 'GET', '/api/conversations')).status).toBe(200)
    const back = await login(app, bob.username)
    expect((await send(ann, bob.userId)).status).toBe(201)
    expect((await send(back, ann.userId)).status).toBe(201)
    expect(await audited('suspend', bob.userId)).toEqual([{ actor: admin.userId, actor_kind: 'user', details: {} }])
    expect(await audited('unsuspend', bob.userId)).toHaveLength(1)
  })

  test('says so on a socket to whoever writes to them', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    await send(ann, bob.userId)
    await act(admin, bob, 'suspend')
    const socket = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
    const refusal = (to: string) => socket.ask({ type: 'send', receiver_id: to, content: 'x', id: randomUUID() })
    expect(await refusal(bob.userId)).toMatchObject({ type: 'error', code: 'not_accepted', field: 'receiver_id' })
    expect(await refusal('nobody')).toMatchObject({ type: 'error', code: 'not_found', field: 'receiver_id' })
    expect(await refusal(admin.userId)).toMatchObject({ type: 'sent', seq: 1 })
    socket.cut()
  })

  test('is finished by an instance that starts, where another has left it in the middle', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    await send(ann, bob.userId)
    const left = `update accounts set state = 1, gate_side = 'lower', gate_after = '' where user_id = '${bob.userId}'`
    await execute(bench.database.dsn, left)
    expect((await send(ann, bob.userId)).status).toBe(201)
    const another = await bench.start()
    await expect.poll(async () => (await send(ann, bob.userId)).status).toBe(403)
    await bench.stop(another)
  })
})

describe('deleting', () => {
  test('an account takes its name and its ways in, frees the name, and keeps what was written', async () => {
    const [ann, bob] = [await somebody(), await somebody()]
    await send(bob, ann.userId)
    const socket = await SocketClient.connect(app, '', { headers: bearer(bob.token) })
    const byMistake = await as(bob, 'DELETE', '/api/users/me', { password: 'not this one' })
    expect([byMistake.status, byMistake.body]).toMatchObject([401, { error: { code: 'invalid_credentials' } }])
    await age(bob)
    const old = await as(bob, 'DELETE', '/api/users/me', { password: PASSWORD })
    expect([old.status, old.body]).toMatchObject([403, { error: { code: 'reauthentication_required' } }])
    const fresh = await login(app, bob.username)
    const watching = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
    watching.send({ type: 'watch', user_ids: [bob.userId] })
    await watching.next('presence')
    expect((await as(fresh, 'DELETE', '/api/users/me', { password: PASSWORD })).status).toBe(204)
    expect(await socket.closed).toEqual({ code: 4403, reason: 'account_suspended' })
    expect(await watching.next('user_changed')).toMatchObject({ user_id: bob.userId, display_name: bob.userId })
    const { body } = await as(ann, 'GET', `/api/messages?with=${bob.userId}`)
    expect(body).toMatchObject({ messages: [{ sender_id: bob.userId, content: 'hi' }] })
    expect((await send(ann, bob.userId)).body).toMatchObject({ error: { code: 'not_accepted' } })
    expect((await as(ann, 'GET', `/api/users/${bob.userId}`)).status).toBe(404)
    expect((await ask(app, '/api/auth/login', { username: bob.username, password: PASSWORD })).status).toBe(401)
    const heir = await register(app, undefined, { username: bob.username })
    expect(heir.userId).not.toBe(bob.userId)
    expect((await act(admin, bob, 'unsuspend')).status).toBe(404)
    const rows = ['passwords', 'devices', 'recovery_codes', 'user_words'].map((table) =>
      rowsOf(bench.database.dsn, `select from ${table} where user_id = '${bob.userId}'`),
    )
    expect((await Promise.all(rows)).flat()).toEqual([])
  })

  test('the last administrator is refused, and so are suspending and demoting them', async () => {
    const refusals = [
      await act(admin, admin, 'suspend'),
      await act(admin, admin, 'role', { role: 'member' }),
      await as(admin, 'DELETE', `/api/admin/users/${admin.userId}`),
      await as(admin, 'DELETE', '/api/users/me', { password: PASSWORD }),
    ]
    expect(refusals.map(({ status }) => status)).toEqual([403, 403, 403, 403])
  })
})

test('of two administrators who take each other’s role at once one stays', async () => {
  const [one, two] = [await somebody(), await somebody()]
  for (const person of [one, two]) expect((await act(admin, person, 'role', { role: 'admin' })).status).toBe(200)
  const [first, second] = [await login(app, one.username), await login(app, two.username)]
  expect((await act(first, admin, 'role', { role: 'member' })).status).toBe(200)
  const demotions = await Promise.all([
    act(first, two, 'role', { role: 'member' }),
    act(second, one, 'role', { role: 'member' }),
  ])
  const statuses = demotions.map(({ status }) => status)
  expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  expect(await rowsOf(bench.database.dsn, 'select from accounts where role = 2 and state = 0')).toHaveLength(1)
  // As it was, for the tests that follow.
  await execute(
    bench.database.dsn,
    `update accounts set role = case when user_id = '${admin.userId}' then 2 else 0 end`,
  )
  admin = await login(app, admin.username)
})

test('a change of role ends the tokens of before, and needs a login of the last five minutes, as a link does', async () => {
  const ann = await somebody()
  const own = await login(app, admin.username)
  await age(own)
  const { status, body } = await act(own, ann, 'role', { role: 'admin' })
  expect([status, body]).toMatchObject([403, { error: { code: 'reauthentication_required' } }])
  const forAdmins = await as(own, 'POST', '/api/invites', { role: 'admin' })
  expect(forAdmins.body).toMatchObject({ error: { code: 'reauthentication_required' } })
  const link = await act(own, ann, 'reset_link')
  expect([link.status, link.body]).toMatchObject([403, { error: { code: 'reauthentication_required' } }])
  admin = await login(app, admin.username)
  const socket = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
  expect((await act(admin, ann, 'role', { role: 'admin' })).body).toMatchObject({ role: 'admin' })
  expect(await socket.closed).toEqual({ code: 4401, reason: 'session_revoked' })
  expect((await as(ann, 'GET', '/api/admin/users')).status).toBe(401)
  const renewal = await ask(app, '/api/auth/refresh', { refresh_token: ann.refreshToken, attempt: randomUUID() })
  const renewed = { ...ann, token: String(renewal.body?.['token']) }
  expect((await as(renewed, 'GET', '/api/admin/users')).status).toBe(200)
  expect((await act(admin, ann, 'role', { role: 'member' })).status).toBe(200)
})

describe('what an administrator made for others', () => {
  const ENDS: Readonly<Record<string, (person: Person) => Promise<unknown>>> = {
    suspended: (person) => act(admin, person, 'suspend'),
    deleted: (person) => as(admin, 'DELETE', `/api/admin/users/${person.userId}`),
    'made a member': (person) => act(admin, person, 'role', { role: 'member' }),
  }
  /** Whether an invite, and a link that sets a password, are still good. */
  const areGood = async (code: string, link_token: string): Promise<boolean[]> => {
    const newcomer = { username: `p${randomUUID().slice(0, 12)}`, password: PASSWORD, invite: code }
    const registered = await ask(app, '/api/auth/register', newcomer)
    const reset = await ask(app, '/api/auth/reset', { link_token, new: 'another long password' })
    return [registered.status === 201, reset.status === 204]
  }
  const offersOf = async (headers: Record<string, string>): Promise<[code: string, link: string]> => {
    const other = await somebody()
    const [invite, reset] = [
      await call(app, 'POST', '/api/invites', { headers, body: { role: 'admin' } }),
      await call(app, 'POST', `/api/admin/users/${other.userId}/reset_link`, { headers, body: {} }),
    ]
    return [String(invite.body?.['code']), secretIn(String(reset.body?.['url']), 'reset')]
  }

  test.each(Object.entries(ENDS))('is void once they are %s', async (_, end) => {
    admin = await login(app, admin.username)
    const one = await somebody()
    await act(admin, one, 'role', { role: 'admin' })
    const offers = await offersOf(bearer((await login(app, one.username)).token))
    const kept = await offersOf(bearer(admin.token))
    await end(one)
    expect([await areGood(...offers), await areGood(...kept)]).toEqual([
      [false, false],
      [true, true],
    ])
  })

  test('is void once the service key that made it is revoked', async () => {
    const key = await bench.key('admin')
    const offers = await offersOf(bearer(key))
    const body = { key_id: key.split('_')[1] }
    expect((await call(app, 'POST', '/api/auth/revoke', { headers: bearer(admin.token), body })).status).toBe(204)
    expect(await areGood(...offers)).toEqual([false, false])
  })
})

test('a link of an administrator sets a password without telling it, ends every login and makes none', async () => {
  const ann = await somebody()
  const { body } = await act(admin, ann, 'reset_link')
  const link = secretIn(String(body?.['url']), 'reset')
  const socket = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
  const set = await ask(app, '/api/auth/reset', { link_token: link, new: 'another long password' })
  expect([set.status, set.text, set.headers.getSetCookie()]).toEqual([204, '', []])
  expect((await socket.closed).code).toBe(4401)
  const twice = await ask(app, '/api/auth/reset', { link_token: link, new: 'a third long password' })
  expect(twice.body).toMatchObject({ error: { code: 'invite_invalid' } })
  await login(app, ann.username, { password: 'another long password' })
  expect(JSON.stringify(await rowsOf(bench.database.dsn, 'select * from one_time_links'))).not.toContain(link)
})

test('invites are shown once, listed without their codes, used up and revoked', async () => {
  const made = await as(admin, 'POST', '/api/invites', { uses: 2, expires_in: 60 })
  expect([made.status, made.body]).toMatchObject([
    201,
    { uses: 2, uses_left: 2, role: 'member', created_by: admin.userId },
  ])
  const code = secretIn(String(made.body?.['url']), 'invite')
  expect(made.body?.['code']).toBe(code)
  await register(app, code)
  const listed = await as(admin, 'GET', '/api/invites')
  expect(listed.text).not.toContain(code)
  const codeId = String(made.body?.['code_id'])
  const own = (Object(listed.body).invites as { code_id: string }[]).find(({ code_id }) => code_id === codeId)
  expect(own).toMatchObject({ uses: 2, uses_left: 1 })
  expect((await as(admin, 'DELETE', `/api/invites/${codeId}`)).status).toBe(204)
  expect((await as(admin, 'DELETE', `/api/invites/${codeId}`)).status).toBe(404)
  const late = await ask(app, '/api/auth/register', { username: 'too-late', password: PASSWORD, invite: code })
  expect(late.body).toMatchObject({ error: { code: 'invite_invalid' } })
  const wrong = await as(admin, 'POST', '/api/invites', { uses: 1_001 })
  expect(wrong.body).toMatchObject({ error: { code: 'invalid_request', field: 'uses' } })
  expect(await audited('invite_create', codeId)).toMatchObject([{ details: { role: 'member', uses: 2 } }])
})

test('people are listed by page in the order of their names, and found by a beginning', async () => {
  const page = async (query: string) =>
    (await as(admin, 'GET', `/api/admin/users${query}`)).body as {
      users: { username: string; state: string }[]
      next_cursor: string | null
    }
  await Promise.all(
    Array.from({ length: 52 }, (_, index) =>
      execute(
        bench.database.dsn,
        `insert into accounts (user_id, username, username_key) values ('list${index}', 'Zed${index}', 'zed${index}')`,
      ),
    ),
  )
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const { users, next_cursor }: Awaited<ReturnType<typeof page>> = await page(cursor && `?cursor=${cursor}`)
    seen.push(...users.map(({ username }) => username.toLowerCase()))
    cursor = next_cursor
  }
  expect(seen.length).toBeGreaterThan(52)
  expect(seen).toEqual([...new Set(seen)].sort())
  for (const wrong of ['x', 'Zed1', `${Buffer.from('zed1').toString('base64url')}=`]) {
    const { status, body } = await as(admin, 'GET', `/api/admin/users?cursor=${wrong}`)
    expect([status, body]).toMatchObject([400, { error: { code: 'invalid_request', field: 'cursor' } }])
  }
  const maria = await register(app, undefined, { display_name: 'Maria Lund' })
  expect((await page('?search=LUN')).users).toMatchObject([{ username: maria.username }])
  expect((await page(`?search=${maria.username.slice(0, 8)}`)).users).toMatchObject([{ username: maria.username }])
  expect((await page('?search=nobody')).users).toEqual([])
})

test('an administrator revokes by REST, and every revocation is in the audit', async () => {
  const ann = await somebody()
  const socket = await SocketClient.connect(app, '', { headers: bearer(ann.token) })
  expect((await as(ann, 'POST', '/api/auth/revoke', { user_id: admin.userId })).status).toBe(403)
  expect((await as(admin, 'POST', '/api/auth/revoke', { user_id: ann.userId })).status).toBe(204)
  expect(await socket.closed).toEqual({ code: 4401, reason: 'session_revoked' })
  expect(await audited('revoke', `user_id ${ann.userId}`)).toEqual([
    { actor: admin.userId, actor_kind: 'user', details: {} },
  ])
  const from = `select address, request_id from audit_log where action = 'revoke' and target = 'user_id ${ann.userId}'`
  expect(await rowsOf(bench.database.dsn, from)).toEqual([
    { address: '127.0.0.1', request_id: expect.stringMatching(/./) },
  ])
  const key = await bench.key('sessions:revoke')
  const body = { jti: randomUUID() }
  expect((await call(app, 'POST', '/api/auth/revoke', { headers: bearer(key), body })).status).toBe(204)
  expect(await audited('revoke', `jti ${body.jti}`)).toMatchObject([{ actor: key.split('_')[1], actor_kind: 'key' }])
})

test('a token that a backend made for an administrator does what people do, and does not administer', async () => {
  const ann = await somebody()
  const headers = bearer(await bench.key('tokens:issue'))
  const { body } = await call(app, 'POST', '/api/auth/tokens', { headers, body: { user_id: admin.userId } })
  const issued = { ...admin, token: String(body?.['token']) }
  expect((await as(issued, 'GET', '/api/conversations')).status).toBe(200)
  for (const [method, path] of ADMIN_ROUTES) {
    const named = path.replace('{user_id}', ann.userId).replace('{code_id}', 'code')
    const body = path === '/api/auth/revoke' ? { user_id: ann.userId } : undefined
    expect([path, (await as(issued, method, named, body)).status]).toEqual([path, 403])
  }
  expect((await as(ann, 'GET', '/api/conversations')).status).toBe(200)
})

test('whoever is revoked is signed out: neither cookie nor refresh token brings another token', async () => {
  const comesBack = async ({ refreshToken: refresh_token }: Person, cookie: string) => [
    (await ask(app, '/api/auth/refresh', { refresh_token, attempt: randomUUID() })).status,
    (await ask(app, '/api/auth/token', undefined, { ...OWN_PAGE, Cookie: cookie })).status,
  ]
  const ann = await somebody()
  const page = await ask(app, '/api/auth/login', { username: ann.username, password: PASSWORD }, OWN_PAGE)
  const [, claims = ''] = ann.token.split('.')
  const { sid: session_id } = JSON.parse(Buffer.from(claims, 'base64url').toString())
  expect((await as(admin, 'POST', '/api/auth/revoke', { session_id })).status).toBe(204)
  expect(await comesBack(ann, cookiesOf(page))).toEqual([401, 200])
  const again = await login(app, ann.username)
  expect((await as(admin, 'POST', '/api/auth/revoke', { user_id: ann.userId })).status).toBe(204)
  expect(await comesBack(again, cookiesOf(page))).toEqual([401, 401])
  // Whoever was ended for good is not shut out: they sign in anew.
  expect((await as(await login(app, ann.username), 'GET', '/api/auth/sessions')).body?.['sessions']).toHaveLength(1)
  for (const name of ['no session', randomUUID()]) {
    expect((await as(admin, 'POST', '/api/auth/revoke', { session_id: name })).status).toBe(204)
  }
})

test('a service key with admin administers, and the audit names it', async () => {
  const key = await bench.key('admin')
  const headers = bearer(key)
  const ann = await somebody()
  expect((await call(app, 'GET', '/api/admin/users', { headers })).status).toBe(200)
  const path = `/api/admin/users/${ann.userId}`
  expect((await call(app, 'POST', `${path}/role`, { headers, body: { role: 'admin' } })).status).toBe(200)
  expect((await call(app, 'DELETE', path, { headers })).status).toBe(204)
  expect(await audited('delete', ann.userId)).toMatchObject([{ actor: key.split('_')[1], actor_kind: 'key' }])
  const writer = await bench.key('users:write')
  const other = bearer(writer)
  const name = { display_name: 'As a backend says' }
  expect((await call(app, 'PUT', `/api/users/${admin.userId}`, { headers: other, body: name })).status).toBe(200)
  expect(await audited('describe', admin.userId)).toMatchObject([{ actor: writer.split('_')[1], actor_kind: 'key' }])
  expect((await call(app, 'GET', '/api/admin/users', { headers: other })).status).toBe(403)
})
