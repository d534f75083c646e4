// The permission matrix: mode × credential × route, made from the route table itself.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { SCOPES, type Scope } from '../../src/auth/service-key.ts'
import { COMMAND_TYPES } from '../../src/gateway/command-table.ts'
import type { Access } from '../../src/gateway/credential.ts'
import { ROUTE_METHODS } from '../../src/gateway/route-table.ts'
import { startOn } from '../support/app.ts'
import { bearer, type IdentityBench, identityBench } from '../support/identity.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { tokenFor } from '../support/tokens.ts'

let bench: IdentityBench
let jwt: App
let none: App
const keys = new Map<string, string>()

beforeAll(async () => {
  bench = await identityBench()
  ;[jwt, none] = await Promise.all([bench.start(), startOn(bench.database.dsn)])
  for (const scope of SCOPES) keys.set(scope, await bench.key(scope))
  keys.set('no scope', await bench.key())
})
afterAll(async () => {
  await none?.stop()
  await bench?.close()
})

const ROUTES = ROUTE_METHODS.flatMap(({ path, methods, access }) =>
  methods.map((method) => ({ path, method, access: access[method] as Access })),
)
/** What the route needs to get as far as its own work, where that is little. */
const requestOf = (path: string, method: string) => ({
  path: path
    .replace('{user_id}', 'ann')
    .replace('{code_id}', 'x')
    .replace('{session_id}', 'e0c86b51-1d8e-4b5a-9d4e-2f6f0b8d7a11'),
  options: method === 'GET' ? {} : { body: {} },
})

async function statusOf(app: App, path: string, method: string, credential?: string): Promise<number> {
  const request = requestOf(path, method)
  const headers = credential === undefined ? {} : bearer(credential)
  return (await call(app, method, request.path, { ...request.options, headers })).status
}

/** Whether a credential gets past the door: whatever the route says of the request itself is its own affair. */
const isLetIn = (status: number): boolean => ![401, 403].includes(status)

describe('with AUTH=jwt', () => {
  test.each(ROUTES)('$method $path lets in whom the table names, and nobody else', async ({ path, method, access }) => {
    const status = (credential?: string) => statusOf(jwt, path, method, credential)
    const stranger = access.who === 'anyone'
    const now = Math.floor(Date.now() / 1000)
    const expired = tokenFor('ann', { iat: now - 7_200, exp: now - 3_600 })
    for (const credential of [undefined, 'x', 'x.y.z', expired, 'msk_x', `msk_${'a'.repeat(16)}_${'b'.repeat(43)}`]) {
      // Metrics have a rule of their own, and take no other bearer for theirs.
      expect([credential, await status(credential)]).toEqual([credential, stranger ? expect.toSatisfy(isLetIn) : 401])
    }
    if (stranger) return
    // What is for administrators of the built-in accounts is not here at all.
    const isPersons = access.who === 'person' || (access.who === 'admin' && access.scope === 'admin')
    expect(isLetIn(await status(tokenFor('ann')))).toBe(isPersons)
    for (const [name, key] of keys) {
      const isScope = SCOPES.some((scope) => scope === name) && access.scope === (name as Scope)
      const got = await status(key)
      expect([name, isScope ? isLetIn(got) : got]).toEqual([name, isScope ? true : 403])
    }
  })

  test('gives one answer for every fault of a credential, with the challenge', async () => {
    const answers = await Promise.all(
      [
        {},
        { Authorization: 'Basic YTpi' },
        bearer('x.y.z'),
        bearer('msk_nothing'),
        bearer(tokenFor('ann', { exp: 1 })),
      ].map((headers) => call(jwt, 'GET', '/api/messages?with=bob', { headers })),
    )
    for (const { status, body, headers } of answers) {
      expect(status).toBe(401)
      expect(headers.get('www-authenticate')).toBe('Bearer')
      expect(body).toMatchObject({
        error: { code: 'unauthorized', message: 'Credentials are missing, expired or wrong.' },
      })
    }
  })

  test('lets nobody speak for somebody else', async () => {
    const headers = bearer(tokenFor('ann'))
    const send = (body: object, more = {}) =>
      call(jwt, 'POST', '/api/send_message', {
        body: { receiver_id: 'bob', content: 'hi', ...body },
        headers: { ...headers, ...more },
      })
    expect((await send({})).body).toMatchObject({ sender_id: 'ann' })
    expect((await send({ sender_id: 'ann' }, { 'X-User-Id': 'ann' })).status).toBe(201)
    expect((await send({ sender_id: 'eve' })).status).toBe(403)
    expect((await send({}, { 'X-User-Id': 'eve' })).status).toBe(403)
    for (const path of [
      '/api/messages?with=bob&user_id=eve',
      '/api/conversations?user_id=eve',
      '/api/users/me?user_id=eve',
    ]) {
      expect([path, (await call(jwt, 'GET', path, { headers })).status]).toEqual([path, 403])
    }
  })

  test.each(ROUTES.filter(({ access }) => ['person', 'admin'].includes(access.who)))(
    '$method $path is for nobody else than the token names, and takes no query that it does not know',
    async ({ path, method }) => {
      const request = requestOf(path, method)
      const refusal = async (query: string, more = {}) => {
        const headers = { ...bearer(tokenFor('ann')), ...more }
        const { status, body } = await call(jwt, method, `${request.path}${query}`, { ...request.options, headers })
        return [status, Object(body).error?.field]
      }
      expect(await refusal('?user_id=eve')).toEqual([403, 'user_id'])
      expect(await refusal('?user_id=ann&user_id=eve')).toEqual([403, 'user_id'])
      expect(await refusal('', { 'X-User-Id': 'eve' })).toEqual([403, 'X-User-Id'])
      // These look first at what else they need, or are not here at all.
      if (['/api/send_message', '/api/messages', '/api/admin/users'].includes(path)) return
      expect(await refusal('?nonsense=1')).toEqual([400, 'nonsense'])
    },
  )

  test('has a key name the person that it acts for', async () => {
    const headers = bearer(keys.get('send:any') ?? '')
    const body = { receiver_id: 'bob', content: 'hi' }
    const nameless = await call(jwt, 'POST', '/api/send_message', { body, headers })
    expect([nameless.status, nameless.body]).toMatchObject([400, { error: { field: 'sender_id' } }])
    const named = await call(jwt, 'POST', '/api/send_message', { body: { ...body, sender_id: 'cid' }, headers })
    expect([named.status, named.body]).toMatchObject([201, { sender_id: 'cid' }])
    const reader = bearer(keys.get('read:any') ?? '')
    expect((await call(jwt, 'GET', '/api/messages?with=bob', { headers: reader })).body).toMatchObject({
      error: { field: 'user_id' },
    })
    expect((await call(jwt, 'GET', '/api/messages?user_id=cid&with=bob', { headers: reader })).status).toBe(200)
  })

  test('answers 404 to a path that is in no row, whoever asks', async () => {
    for (const path of ['/api', '/api/users/', '/api/users/ann/x', '/api/auth', '/api/admin']) {
      expect([path, (await call(jwt, 'GET', path)).status]).toEqual([path, 404])
    }
  })

  test('answers no command but auth and ping to a socket whose user is not known', async () => {
    const socket = SocketClient.dial(jwt, '')
    await socket.opened()
    const commands = COMMAND_TYPES.filter((type) => !['auth', 'ping'].includes(type))
    for (const type of commands) {
      expect(await socket.ask({ type, with: 'bob', seq: 1 })).toMatchObject({ type: 'error', code: 'unauthorized' })
    }
    expect(await socket.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    socket.cut()
  })
})

describe('with AUTH=none', () => {
  test.each(ROUTES)('$method $path asks nobody for a credential, and ignores one', async ({ path, method }) => {
    const isOff = path.startsWith('/api/auth/')
    for (const credential of [undefined, 'x.y.z', tokenFor('eve')]) {
      const request = requestOf(path, method)
      const headers = { 'X-User-Id': 'ann', ...(credential && bearer(credential)) }
      const { status } = await call(none, method, request.path, { ...request.options, headers })
      expect([credential, isOff ? status : isLetIn(status)]).toEqual([credential, isOff ? 404 : true])
    }
  })

  test('lets people describe themselves and nobody else', async () => {
    const describe_ = (path: string) =>
      call(none, 'PUT', `${path}?user_id=ann`, { body: { display_name: 'Ann Lee' } }).then(({ status }) => status)
    expect(await describe_('/api/users/ann')).toBe(200)
    expect(await describe_('/api/users/bob')).toBe(403)
  })

  test('tells who is asked, without a credential', async () => {
    expect((await call(none, 'GET', '/api/server')).body).toMatchObject({ auth: 'none', max_content_bytes: 16_384 })
    expect((await call(jwt, 'GET', '/api/server')).body).toMatchObject({ auth: 'jwt', push: false })
  })
})
