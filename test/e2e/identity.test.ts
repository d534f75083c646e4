import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { bearer, type IdentityBench, identityBench } from '../support/identity.ts'
import { call } from '../support/rest-client.ts'
import { JSON_PROTOCOL, SocketClient } from '../support/socket-client.ts'
import { tokenFor } from '../support/tokens.ts'

let bench: IdentityBench
let app: App
beforeAll(async () => {
  bench = await identityBench()
  app = await bench.start()
})
afterAll(() => bench?.close())

const post = (path: string, credential: string, body?: object, target = app) =>
  call(target, 'POST', path, { headers: bearer(credential), ...(body && { body }) })

async function byFirstFrame(token: string, target = app): Promise<SocketClient> {
  const socket = SocketClient.dial(target, '')
  await socket.opened()
  socket.send({ type: 'auth', token })
  await socket.next('welcome')
  return socket
}

describe('the doors of a socket', () => {
  test('a header opens it at once, and a bad one is refused before the upgrade', async () => {
    const socket = await SocketClient.connect(app, '', { headers: bearer(tokenFor('ann')) })
    expect(socket.frames[0]).toMatchObject({ user_id: 'ann', expires_at: expect.stringMatching(/Z$/) })
    await socket.close()
    expect(await SocketClient.dial(app, '', { headers: bearer('x.y.z') }).refusal()).toBe(401)
    expect(await SocketClient.dial(app, '', { headers: bearer(await bench.key('admin')) }).refusal()).toBe(401)
    expect(await SocketClient.dial(app, 'user_id=eve', { headers: bearer(tokenFor('ann')) }).refusal()).toBe(403)
  })

  test('a subprotocol opens it, and the server selects the protocol, never the token', async () => {
    const protocol = `${JSON_PROTOCOL},bearer.${tokenFor('ann')}`
    const socket = await SocketClient.connect(app, '', { protocol })
    expect([socket.protocol, socket.frames[0]]).toMatchObject([JSON_PROTOCOL, { user_id: 'ann' }])
    await socket.close()
    const bad = SocketClient.dial(app, '', { protocol: `${JSON_PROTOCOL},bearer.x.y.z` })
    expect(await bad.next('error')).toMatchObject({ code: 'unauthorized' })
    expect(await bad.closed).toMatchObject({ code: 4401 })
  })

  test('a ticket opens one socket, of thirty that try at once', async () => {
    const { body } = await post('/api/auth/ticket', tokenFor('ann', { sid: 'login 1' }))
    expect(body).toMatchObject({ expires_in: 30 })
    expect((await post('/api/auth/ticket', tokenFor('ann'), { user_id: 'bob' })).status).toBe(400)
    const sockets = Array.from({ length: 30 }, () => SocketClient.dial(app, `ticket=${body?.['ticket']}`))
    const outcomes = await Promise.all(
      sockets.map((socket) =>
        Promise.race([socket.next('welcome').then(() => 'welcome'), socket.closed.then(({ code }) => code)]),
      ),
    )
    expect(outcomes.filter((outcome) => outcome === 'welcome')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 4401)).toHaveLength(29)
    for (const socket of sockets) socket.cut()
  })

  test('a first frame opens it; a forged token closes it 4401 after an error that can be read', async () => {
    const socket = await byFirstFrame(tokenFor('bob'))
    expect(socket.frames[0]).toMatchObject({ type: 'welcome', user_id: 'bob' })
    await socket.close()
    const forged = SocketClient.dial(app, '')
    await forged.opened()
    forged.send({ type: 'auth', token: 'x.y.z', ref: 7 })
    expect(await forged.next('error')).toMatchObject({ ref: 7, code: 'unauthorized' })
    expect(await forged.closed).toMatchObject({ code: 4401 })
  })

  test.each(['token=x', 'access_token=x', 'ticket='])('an address with %s is refused', async (query) => {
    expect(await SocketClient.dial(app, query).refusal()).toBe(400)
  })

  test('two credentials at once are refused', async () => {
    const headers = bearer(tokenFor('ann'))
    expect(await SocketClient.dial(app, 'ticket=x', { headers }).refusal()).toBe(400)
    const protocol = `${JSON_PROTOCOL},bearer.${tokenFor('ann')}`
    expect(await SocketClient.dial(app, '', { headers, protocol }).refusal()).toBe(400)
  })
})

test('whoever sends wrong credentials one after another is told to wait, and those with a good one go on', async () => {
  const strict = await bench.start({ ADDRESS_REFUSALS_PER_SECOND: '2' })
  const bad = () => call(strict, 'GET', '/api/messages?with=bob', { headers: bearer('x.y.z') })
  const startMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 20 }, bad))
  const again = (2 * (performance.now() - startMs)) / 1000
  const slowed = answers.filter(({ status }) => status === 429)
  expect(slowed.length).toBeGreaterThan(Math.max(0, 10 - again))
  expect(answers.filter(({ status }) => status === 401).length).toBe(20 - slowed.length)
  for (const { headers, body } of slowed) {
    expect(headers.get('retry-after')).toBe('1')
    expect(body).toMatchObject({ error: { code: 'rate_limited' } })
  }
  const upgrades = Array.from({ length: 20 }, () =>
    SocketClient.dial(strict, '', { headers: bearer('x.y.z') }).refusal(),
  )
  expect(await Promise.all(upgrades)).toContain(429)
  const frames = Array.from({ length: 20 }, async () => {
    const socket = SocketClient.dial(strict, '')
    await socket.opened()
    socket.send({ type: 'auth', token: 'x.y.z' })
    return (await socket.closed).code
  })
  expect(await Promise.all(frames)).toContain(4429)
  expect((await post('/api/auth/ticket', tokenFor('ann'), undefined, strict)).status).toBe(200)
  await (await byFirstFrame(tokenFor('ann'), strict)).close()
  // Without a credential nothing was guessed.
  expect((await call(strict, 'GET', '/api/messages?with=bob')).status).toBe(401)
})

describe('a token on an open socket', () => {
  test('is replaced in band by another of the same user, and not by one of somebody else', async () => {
    const socket = await byFirstFrame(tokenFor('ann'))
    const now = Math.floor(Date.now() / 1000)
    const renewed = await socket.ask({ type: 'auth', token: tokenFor('ann', { exp: now + 900 }) })
    expect(renewed).toMatchObject({ type: 'authenticated', expires_at: new Date((now + 900) * 1000).toISOString() })
    const other = await byFirstFrame(tokenFor('bob'))
    expect(await other.ask({ type: 'auth', token: tokenFor('eve') })).toMatchObject({
      type: 'error',
      code: 'forbidden',
    })
    expect(await other.ask({ type: 'auth', token: tokenFor('bob') })).toMatchObject({ code: 'rate_limited' })
    expect(await other.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await Promise.all([socket.close(), other.close()])
  })

  test('that ends within a minute is told of at once, and ends the socket 4401', async () => {
    const strict = await bench.start({ JWT_LEEWAY_SECONDS: '0' })
    const now = Math.floor(Date.now() / 1000)
    const socket = await byFirstFrame(tokenFor('ann', { exp: now + 15 }), strict)
    expect((await socket.next('auth_expiring'))['in_ms']).toBeLessThanOrEqual(15_000)
    expect(await socket.closed).toEqual({ code: 4401, reason: 'token_expired' })
  })
})

describe('revocation, over three instances without Redis', () => {
  test.each<[string, (userId: string) => object]>([
    ['user_id', (userId) => ({ user_id: userId })],
    ['session_id', (userId) => ({ session_id: `login of ${userId}` })],
    ['jti', (userId) => ({ jti: `token of ${userId}` })],
  ])('by %s ends every socket of it everywhere, and nobody else', async (kind, target) => {
    const instances = [app, await bench.start(), await bench.start()]
    const key = await bench.key('sessions:revoke')
    const [userId, otherId] = [`u-${randomUUID()}`, `o-${randomUUID()}`]
    const issued = new Map<string, string>()
    const token = (id: string): string => {
      const known = issued.get(id) ?? tokenFor(id, { sid: `login of ${id}`, jti: `token of ${id}` })
      issued.set(id, known)
      return known
    }
    const sockets = await Promise.all(
      instances.flatMap((one) => [byFirstFrame(token(userId), one), byFirstFrame(token(userId), one)]),
    )
    const others = await Promise.all(instances.map((one) => byFirstFrame(token(otherId), one)))
    expect((await post('/api/auth/revoke', key, target(userId), instances[1])).status).toBe(204)
    const closings = await Promise.all(sockets.map((socket) => socket.closed))
    expect(closings).toEqual(sockets.map(() => ({ code: 4401, reason: 'session_revoked' })))
    for (const instance of instances) {
      expect([kind, (await post('/api/auth/ticket', token(userId), undefined, instance)).status]).toEqual([kind, 401])
    }
    for (const socket of others) expect(await socket.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await Promise.all(others.map((socket) => socket.close()))
  })

  test('of a key refuses it, at once here', async () => {
    const [key, revoker] = [await bench.key('send:any'), await bench.key('sessions:revoke')]
    const send = () => post('/api/send_message', key, { sender_id: 'ann', receiver_id: 'bob', content: 'hi' })
    expect((await send()).status).toBe(201)
    const keyId = key.split('_')[1]
    expect((await post('/api/auth/revoke', revoker, { key_id: keyId })).status).toBe(204)
    expect((await send()).status).toBe(401)
    expect((await post('/api/auth/revoke', revoker, { key_id: keyId })).status).toBe(404)
  })

  test.each([{}, { user_id: 'ann', jti: 'x' }])('names one thing: %j is refused', async (body) => {
    expect((await post('/api/auth/revoke', await bench.key('sessions:revoke'), body)).status).toBe(400)
  })

  test('spares the login that comes a second later', async () => {
    const userId = `u-${randomUUID()}`
    await post('/api/auth/revoke', await bench.key('sessions:revoke'), { user_id: userId })
    const later = Math.floor(Date.now() / 1000) + 1
    expect((await post('/api/auth/ticket', tokenFor(userId, { iat: later }))).status).toBe(200)
    expect((await post('/api/auth/ticket', tokenFor(userId, { iat: later - 10 }))).status).toBe(401)
  })
})

describe('people', () => {
  test('are described by a backend, shown to all, and a change reaches those who watch', async () => {
    const writer = await bench.key('users:write')
    const watching = await byFirstFrame(tokenFor('bob'))
    watching.send({ type: 'watch', user_ids: ['dan'] })
    await watching.next('presence')
    const put = (body: object) => call(app, 'PUT', '/api/users/dan', { headers: bearer(writer), body })
    expect((await put({ display_name: 'Dan', avatar_url: 'https://example.com/d.png' })).body).toEqual({
      user_id: 'dan',
      display_name: 'Dan',
      avatar: 'https://example.com/d.png',
    })
    expect(await watching.next('user_changed')).toEqual({
      type: 'user_changed',
      user_id: 'dan',
      display_name: 'Dan',
      avatar: 'https://example.com/d.png',
    })
    const headers = bearer(tokenFor('ann'))
    const { body } = await call(app, 'GET', '/api/users?ids=dan,nobody', { headers })
    expect(body).toMatchObject({ users: [{ display_name: 'Dan' }, { user_id: 'nobody', display_name: 'nobody' }] })
    expect((await call(app, 'GET', '/api/users?search=da', { headers })).status).toBe(403)
    // A name is no search: there are none here.
    const named = await call(app, 'GET', '/api/users?username=dan', { headers })
    expect([named.status, named.body]).toEqual([200, { users: [] }])
    expect((await put({ display_name: 'a\u202eb' })).body).toMatchObject({ error: { field: 'display_name' } })
    for (const avatar_url of ['', 'https://exa\tmple.com/', ' https://example.com/']) {
      expect((await put({ avatar_url })).body).toMatchObject({ error: { field: 'avatar_url' } })
    }
    expect((await put({ avatar_url: 'http://example.com/' })).body).toMatchObject({ error: { field: 'avatar_url' } })
    await watching.close()
  })

  test('describe themselves', async () => {
    const headers = bearer(tokenFor('fay'))
    await call(app, 'PATCH', '/api/users/me', { headers, body: { display_name: 'Fay' } })
    expect((await call(app, 'GET', '/api/users/me', { headers })).body).toEqual({ user_id: 'fay', display_name: 'Fay' })
    await call(app, 'PATCH', '/api/users/me', { headers, body: { display_name: null } })
    expect((await call(app, 'GET', '/api/users/fay', { headers })).body).toEqual({
      user_id: 'fay',
      display_name: 'fay',
    })
  })
})

describe('tokens for backends without a token library', () => {
  test('are good here, for as long as is said', async () => {
    const key = await bench.key('tokens:issue')
    const { body } = await post('/api/auth/tokens', key, { user_id: 'gus', expires_in: 120 })
    const token = String(body?.['token'])
    expect((await call(app, 'GET', '/api/users/me', { headers: bearer(token) })).body).toMatchObject({ user_id: 'gus' })
    const socket = await byFirstFrame(token)
    expect(socket.frames[0]?.['expires_at']).toBe(body?.['expires_at'])
    await socket.close()
    const both = await bench.key('sessions:revoke')
    for (const again of [false, true]) {
      expect((await post('/api/auth/revoke', both, { user_id: 'gus' })).status).toBe(204)
      const after = String((await post('/api/auth/tokens', key, { user_id: 'gus' })).body?.['token'])
      const answer = await call(app, 'GET', '/api/users/me', { headers: bearer(after) })
      // Within the second of what was revoked, and again.
      expect([again, answer.status]).toEqual([again, 200])
    }
    const tooLong = await post('/api/auth/tokens', key, { user_id: 'gus', expires_in: 10_000_000 })
    expect([tooLong.status, tooLong.body]).toMatchObject([400, { error: { field: 'expires_in' } }])
  })
})
