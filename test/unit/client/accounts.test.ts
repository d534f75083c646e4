import { describe, expect, test } from 'vitest'
import { createAccounts, type KeptSession, readLink } from '../../../src/client/accounts.ts'
import { createClientWith, memoryStorage } from '../../../src/client/index.ts'
import { FakeServer } from '../../../src/client/testing/index.ts'

interface Asked {
  readonly call: string
  readonly body: unknown
  readonly token: string | undefined
}
interface Answer {
  readonly status?: number
  readonly body?: object
  readonly retryAfter?: string
}
type Route = (asked: Asked) => Answer

const refused = (status: number, code: string): Answer => ({ status, body: { error: { code, message: code } } })
const amy = { user_id: 'u1', username: 'amy', display_name: 'Amy', role: 'admin' }

/** An HTTP server of a few routes, and all that it was asked. */
function routes(table: Record<string, Route>) {
  const asked: Asked[] = []
  const fetch = (url: string, init: { method?: string; headers?: object; body?: unknown } = {}) => {
    expect(url).toMatch(/^https:\/\/chat\.test\/api\//)
    const { authorization } = (init.headers ?? {}) as { authorization?: string }
    const call = `${init.method} ${url.slice('https://chat.test'.length)}`
    const body = typeof init.body === 'string' ? JSON.parse(init.body) : init.body
    const question = { call, body, token: authorization?.replace('Bearer ', '') }
    asked.push(question)
    const { status = 200, body: answer, retryAfter = null } = table[call]?.(question) ?? refused(404, 'not_found')
    const headers = { get: (name: string) => (name === 'retry-after' ? retryAfter : null) }
    return Promise.resolve({ status, ok: status < 400, headers, json: () => Promise.resolve(answer) })
  }
  return { asked, calls: () => asked.map(({ call }) => call), fetch }
}
const url = 'wss://chat.test/ws'
const later = '2030-01-01T00:00:00.000Z'

describe('a page', () => {
  test('signs in with a cookie, and asks as this user from then on', async () => {
    const { asked, fetch } = routes({
      'POST /api/auth/login': () => ({ body: { user: amy, token: 't1', expires_at: later } }),
      'GET /api/users/me': ({ token }) => (token === 't1' ? { body: amy } : refused(401, 'unauthorized')),
    })
    const accounts = createAccounts({ url, fetch })
    expect(await accounts.login({ username: 'amy', password: 'pw' })).toEqual(amy)
    expect(await accounts.me()).toEqual(amy)
    expect(asked[0]).toMatchObject({ body: { username: 'amy', password: 'pw', client: 'cookie' }, token: undefined })
  })

  test('has its token of the cookie, and another one when that has ended', async () => {
    const tokens = ['t1', 't2']
    const { calls, fetch } = routes({
      'POST /api/auth/token': () => ({ body: { token: tokens.shift(), expires_at: later } }),
      'GET /api/auth/sessions': ({ token }) =>
        token === 't2' ? { body: { sessions: [] } } : refused(401, 'unauthorized'),
    })
    const accounts = createAccounts({ url, fetch })
    expect(await accounts.sessions()).toEqual([])
    const one = ['POST /api/auth/token', 'GET /api/auth/sessions']
    expect(calls()).toEqual([...one, ...one])
    expect(await accounts.sessions()).toEqual([])
    expect(calls()).toHaveLength(5)
  })

  test('is told apart from one where nobody is signed in, and from a server that does not answer now', async () => {
    const nobody = routes({ 'POST /api/auth/token': () => refused(401, 'unauthorized') })
    expect(await createAccounts({ url, fetch: nobody.fetch }).me()).toBeUndefined()
    const busy = routes({ 'POST /api/auth/token': () => refused(503, 'unavailable') })
    await expect(createAccounts({ url, fetch: busy.fetch }).me()).rejects.toMatchObject({ temporary: true })
    const away = createAccounts({ url, fetch: () => Promise.reject(new TypeError('network')) })
    await expect(away.server()).rejects.toMatchObject({ code: 'network', temporary: true })
  })

  test('hears why a login was refused, and does not take its 401 for a token that has ended', async () => {
    const { calls, fetch } = routes({
      'POST /api/auth/login': () => ({ ...refused(429, 'rate_limited'), retryAfter: '7' }),
      'POST /api/auth/token': () => ({ body: { token: 't1', expires_at: later } }),
      'POST /api/auth/password': () => refused(401, 'invalid_credentials'),
    })
    const accounts = createAccounts({ url, fetch })
    const login = accounts.login({ username: 'amy', password: 'pw' })
    await expect(login).rejects.toMatchObject({ code: 'rate_limited', temporary: true, retryAfterMs: 7000 })
    const change = accounts.changePassword({ current: 'no', new: 'other' })
    await expect(change).rejects.toMatchObject({ code: 'invalid_credentials' })
    expect(calls()).toEqual(['POST /api/auth/login', 'POST /api/auth/token', 'POST /api/auth/password'])
  })

  test('signs out by its cookie, also when the session has ended already, and forgets its token', async () => {
    let answer: Answer = { status: 204 }
    const { asked, fetch } = routes({
      'POST /api/auth/login': () => ({ body: { user: amy, token: 't1', expires_at: later } }),
      'POST /api/auth/logout': () => answer,
      'POST /api/auth/token': () => refused(401, 'unauthorized'),
    })
    const accounts = createAccounts({ url, fetch })
    await accounts.login({ username: 'amy', password: 'pw' })
    answer = refused(503, 'unavailable')
    await expect(accounts.logout()).rejects.toMatchObject({ code: 'unavailable' })
    answer = refused(401, 'unauthorized')
    await accounts.logout()
    expect(asked.at(-1)).toMatchObject({ call: 'POST /api/auth/logout', body: {}, token: undefined })
    expect(await accounts.me()).toBeUndefined()
  })

  test('asks for everything at the addresses of the protocol', async () => {
    const ok: Route = () => ({ body: { sessions: [], invites: [], recovery_codes: [], users: [], url: 'u', ...amy } })
    const image = new Blob(['png'], { type: 'image/png' })
    const table: readonly (readonly [string, unknown, (a: ReturnType<typeof createAccounts>) => Promise<unknown>])[] = [
      ['GET /api/server', undefined, (a) => a.server()],
      [
        'POST /api/auth/recover',
        { username: 'a', recovery_code: 'c', new: 'n' },
        (a) => a.recover({ username: 'a', recovery_code: 'c', new: 'n' }),
      ],
      ['POST /api/auth/reset', { link_token: 'l', new: 'n' }, (a) => a.reset({ link_token: 'l', new: 'n' })],
      ['POST /api/auth/logout_all', {}, (a) => a.logoutAll()],
      ['DELETE /api/auth/sessions/s%2F1', undefined, (a) => a.endSession('s/1')],
      ['POST /api/users/me/recovery_codes', {}, (a) => a.newRecoveryCodes()],
      ['DELETE /api/users/me', { password: 'pw' }, (a) => a.deleteAccount({ password: 'pw' })],
      ['PATCH /api/users/me', { display_name: 'A' }, (a) => a.updateProfile({ display_name: 'A' })],
      ['PUT /api/users/me/avatar', image, (a) => a.setAvatar(image)],
      ['DELETE /api/users/me/avatar', undefined, (a) => a.removeAvatar()],
      ['POST /api/invites', { uses: 2 }, (a) => a.invites.create({ uses: 2 })],
      ['GET /api/invites', undefined, (a) => a.invites.list()],
      ['DELETE /api/invites/c1', undefined, (a) => a.invites.remove('c1')],
      ['GET /api/admin/users', undefined, (a) => a.admin.users()],
      ['GET /api/admin/users?search=a+b', undefined, (a) => a.admin.users({ search: 'a b' })],
      ['POST /api/admin/users/u2/suspend', {}, (a) => a.admin.suspend('u2')],
      ['POST /api/admin/users/u2/unsuspend', {}, (a) => a.admin.unsuspend('u2')],
      ['POST /api/admin/users/u2/reset_link', {}, (a) => a.admin.resetLink('u2')],
      ['POST /api/admin/users/u2/role', { role: 'admin' }, (a) => a.admin.setRole('u2', 'admin')],
      ['POST /api/push/test', {}, (a) => a.push.test()],
    ]
    const { asked, fetch } = routes({
      ...Object.fromEntries(table.map(([call]) => [call, ok])),
      'POST /api/auth/token': () => ({ body: { token: 't1', expires_at: later } }),
    })
    const accounts = createAccounts({ url, fetch })
    for (const [call, body, ask] of table) {
      await ask(accounts)
      expect([asked.at(-1)?.call, asked.at(-1)?.body]).toEqual([call, body])
    }
  })

  test('opens the links of the server', () => {
    expect(readLink('#invite=abc-1_2')).toEqual({ kind: 'invite', code: 'abc-1_2' })
    expect(readLink('#reset=x')).toEqual({ kind: 'reset', code: 'x' })
    for (const other of ['', '#invite=', '#token=x', '#invite=<b>']) expect(readLink(other)).toBeUndefined()
  })

  test('connects a client by its session, and stops it when the session has ended', async () => {
    const server = new FakeServer({ userOf: (token) => (token === 't1' ? 'amy' : undefined) })
    let answer: Answer = { body: { token: 't1', expires_at: later } }
    const { fetch } = routes({ 'POST /api/auth/token': () => answer })
    const { clock, WebSocket } = server
    const options = { url, auth: { session: true }, WebSocket, fetch, clock, storage: memoryStorage() } as const
    const client = createClientWith(options)
    await clock.advance(1000)
    expect([client.status.get().state, client.userId]).toEqual(['live', 'amy'])
    answer = refused(401, 'unauthorized')
    server.cut(4401)
    await clock.advance(60_000)
    expect(client.status.get()).toMatchObject({ state: 'stopped', why: 'unauthorized' })
    await client.close()
  })
})

/** A service with refresh tokens: each is used once, and the same attempt gets the same answer. */
function refreshing() {
  let last = 0
  const given = new Map<string, number>()
  const bodies: Record<string, unknown>[] = []
  let isLost = false
  const tokens = (n: number) => ({ token: `t${n}`, refresh_token: `r${n}`, expires_at: later })
  const service = routes({
    'POST /api/auth/login': ({ body }) => {
      bodies.push(body as Record<string, unknown>)
      return { body: { user: amy, ...tokens(last), device_token: 'd1' } }
    },
    'POST /api/auth/refresh': ({ body }) => {
      const { refresh_token, attempt } = body as { refresh_token: string; attempt: string }
      bodies.push({ refresh_token, attempt })
      if (!given.has(attempt) && refresh_token !== `r${last}`) return refused(401, 'unauthorized')
      if (!given.has(attempt)) {
        last += 1
        given.set(attempt, last)
      }
      return isLost ? refused(503, 'unavailable') : { body: tokens(given.get(attempt) ?? 0) }
    },
    'POST /api/auth/logout': ({ token }) => (token ? { status: 204 } : refused(401, 'unauthorized')),
  })
  const lose = (is: boolean): void => {
    isLost = is
  }
  const setLast = (n: number): void => {
    last = n
  }
  return { ...service, bodies, lose, setLast }
}
function keeping(first: KeptSession = {}) {
  const all: KeptSession[] = [first]
  return { all, get: () => all.at(-1), set: (session: KeptSession) => void all.push(session) }
}
const { signal } = new AbortController()

describe('a program without cookies', () => {
  test('keeps its session, uses a token of the last minute, and refreshes once at a time', async () => {
    const { bodies, fetch } = refreshing()
    const keeper = keeping({ device_token: 'd0' })
    const accounts = createAccounts({ url, fetch, keeper })
    await accounts.login({ username: 'amy', password: 'pw' })
    expect(bodies[0]).toMatchObject({ client: 'token', device_token: 'd0' })
    expect(keeper.get()).toEqual({ refresh_token: 'r0', device_token: 'd1' })
    expect(await accounts.getToken({ reason: 'connect', signal })).toBe('t0')
    const both = [accounts.getToken({ reason: 'refresh', signal }), accounts.getToken({ reason: 'refused', signal })]
    expect(await Promise.all(both)).toEqual(['t1', 't1'])
    expect(keeper.get()).toEqual({ refresh_token: 'r1', device_token: 'd1' })
    await accounts.logout()
    expect(keeper.get()).toEqual({ device_token: 'd1' })
    await expect(accounts.getToken({ reason: 'connect', signal })).rejects.toMatchObject({ name: 'AuthError' })
  })

  test('repeats the attempt whose answer was lost, also after it was started anew', async () => {
    const { bodies, fetch, lose } = refreshing()
    const keeper = keeping({ refresh_token: 'r0' })
    const ask = () => createAccounts({ url, fetch, keeper }).getToken({ reason: 'connect', signal })
    lose(true)
    await expect(ask()).rejects.toMatchObject({ code: 'unavailable', temporary: true })
    const { attempt } = keeper.get() ?? {}
    expect(attempt).toMatch(/^[0-9a-f-]{36}$/)
    // Kept before it was used.
    expect(keeper.all.findIndex((kept) => kept.attempt === attempt)).toBe(1)
    lose(false)
    expect(await ask()).toBe('t1')
    expect(bodies.map((body) => body.attempt)).toEqual([attempt, attempt])
    expect(keeper.get()).toEqual({ refresh_token: 'r1' })
  })

  test('is told that its session has ended, and keeps nothing of it', async () => {
    const { fetch, setLast } = refreshing()
    setLast(9)
    const keeper = keeping({ refresh_token: 'r0', device_token: 'd1' })
    const accounts = createAccounts({ url, fetch, keeper })
    await expect(accounts.getToken({ reason: 'connect', signal })).rejects.toMatchObject({ name: 'AuthError' })
    expect(keeper.get()).toEqual({ device_token: 'd1' })
    expect(await accounts.me()).toBeUndefined()
  })
})

describe('push', () => {
  /** A browser: one subscription at most, for the key it was made with. */
  function browser(key?: string) {
    const made = (applicationServerKey: string) => ({
      endpoint: `https://push.test/${applicationServerKey}`,
      options: { applicationServerKey: Uint8Array.from(Buffer.from(applicationServerKey, 'base64url')).buffer },
      toJSON: () => ({
        endpoint: `https://push.test/${applicationServerKey}`,
        expirationTime: null,
        keys: { p256dh: 'p', auth: 'a' },
      }),
      unsubscribe: () => {
        present = undefined
        return Promise.resolve(true)
      },
    })
    let present = key === undefined ? undefined : made(key)
    const subscribe = (options: { userVisibleOnly: boolean; applicationServerKey: string }) => {
      expect(options.userVisibleOnly).toBe(true)
      present = made(options.applicationServerKey)
      return Promise.resolve(present)
    }
    const pushManager = { getSubscription: () => Promise.resolve(present ?? null), subscribe }
    return { pushManager, endpoint: () => present?.endpoint }
  }
  const service = (put: Route = () => ({ status: 204 })) =>
    routes({
      'GET /api/push/key': () => ({ body: { public_key: 'BKey-_8' } }),
      'PUT /api/push/subscription': put,
      'DELETE /api/push/subscription': () => refused(404, 'not_found'),
    })
  const auth = { userId: 'amy' }

  test('tells the server of this device, with a subscription of its key', async () => {
    for (const key of [undefined, 'BOld', 'BKey-_8']) {
      const { asked, fetch } = service()
      const device = browser(key)
      const { push } = createAccounts({ url, auth, fetch })
      await push.subscribe(device, { content: 'full', locale: 'de' })
      expect(device.endpoint()).toBe('https://push.test/BKey-_8')
      const subscription = { endpoint: 'https://push.test/BKey-_8', keys: { p256dh: 'p', auth: 'a' } }
      expect(asked.at(-1)?.body).toEqual({ subscription, content: 'full', locale: 'de' })
      await push.unsubscribe(device)
      await push.unsubscribe(device)
      expect(device.endpoint()).toBeUndefined()
      expect(asked.map(({ call }) => call).filter((call) => call.startsWith('DELETE'))).toHaveLength(1)
      expect(asked.at(-1)?.body).toEqual({ endpoint: 'https://push.test/BKey-_8' })
    }
  })

  test('says that it is off, or that the subscription was not taken', async () => {
    const off = createAccounts({ url, auth, fetch: routes({}).fetch }).push
    await expect(off.subscribe(browser())).rejects.toMatchObject({ code: 'not_found' })
    const { fetch } = service(() => refused(400, 'invalid_request'))
    const { push } = createAccounts({ url, auth, fetch })
    await expect(push.subscribe(browser())).rejects.toMatchObject({ code: 'invalid_request' })
  })
})
