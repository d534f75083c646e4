// AUTH=accounts: what programs keep, what ends a login, how people come back, and what strangers may try.
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
  type Person,
  register,
  someNetwork,
} from '../support/accounts.ts'
import { execute } from '../support/databases.ts'
import { type Answer, call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { openTransaction, rowsOf, WAITING_FOR_LOCK } from '../support/transactions.ts'

let bench: AccountsBench
let app: App
/** Another instance on the same database; there is no Redis between them. */
let other: App

beforeAll(async () => {
  bench = await accountsBench()
  ;[app, other] = [await bench.start({ REGISTRATION: 'open' }), await bench.start({ REGISTRATION: 'open' })]
})
afterAll(() => bench?.close())

const NEXT = 'another horse battery'

const isIn = async (token: string, target = app): Promise<boolean> =>
  (await call(target, 'GET', '/api/auth/sessions', { headers: bearer(token) })).status === 200
const refresh = (refresh_token: string, attempt: string = randomUUID(), target = app): Promise<Answer> =>
  ask(target, '/api/auth/refresh', { refresh_token, attempt })
const refreshed = async (token: string, attempt?: string): Promise<string> => {
  const { status, body } = await refresh(token, attempt)
  expect(status).toBe(200)
  return String(body?.['refresh_token'])
}
const codeOf = ({ status, body }: Answer): [number, unknown] => [
  status,
  (body?.['error'] as { code?: string } | undefined)?.code,
]
/** As if so much time had passed since the session was last used. */
const age = (person: Person, interval: string) =>
  execute(
    bench.database.dsn,
    `update sessions set rotated_at = rotated_at - interval '${interval}',
       rotated_before = array(select used - interval '${interval}' from unnest(rotated_before) used), last_used_at = last_used_at - interval '${interval}',
       created_at = created_at - interval '${interval}' where user_id = '${person.userId}'`,
  )
/** However long the machine took for it. */
const allUsed = (person: Person, ago: string) =>
  execute(
    bench.database.dsn,
    `update sessions set rotated_at = now() - interval '${ago}',
       rotated_before = array(select now() - interval '${ago}' from unnest(rotated_before)) where user_id = '${person.userId}'`,
  )
const actionsOf = async (userId: string): Promise<unknown[]> => {
  const text = `select action from audit_log where target = '${userId}' order by audit_id`
  return (await rowsOf(bench.database.dsn, text)).map(({ action }) => action)
}
async function socketOf(token: string, target: App): Promise<SocketClient> {
  const socket = SocketClient.dial(target, '')
  await socket.opened()
  socket.send({ type: 'auth', token })
  await socket.next('welcome')
  return socket
}
const REVOKED = { code: 4401, reason: 'session_revoked' }

describe('a refresh token', () => {
  test('brings an access token and the next one; the same attempt brings the same again, at any time', async () => {
    const ann = await register(app, undefined)
    const attempt = randomUUID()
    const second = await refreshed(ann.refreshToken, attempt)
    expect(await refreshed(ann.refreshToken, attempt)).toBe(second)
    await age(ann, '20 days')
    expect(await refreshed(ann.refreshToken, attempt.toUpperCase())).toBe(second)
    const answers = await Promise.all([app, other, app, other].map((one) => refresh(second, attempt, one)))
    // The counter has one successor, whoever asks.
    expect(new Set(answers.map(({ body }) => body?.['refresh_token'])).size).toBe(1)
    expect(await isIn(String(answers[0]?.body?.['token']))).toBe(true)
  })

  test('of two processes goes to one, and the other is told to look, and is not thrown out', async () => {
    const ann = await register(app, undefined)
    const answers = await Promise.all([refresh(ann.refreshToken), refresh(ann.refreshToken, randomUUID(), other)])
    expect(answers.map(codeOf).sort()).toEqual([
      [200, undefined],
      [409, 'refresh_in_progress'],
    ])
    const next = answers.find(({ status }) => status === 200)?.body?.['refresh_token']
    expect((await refresh(String(next))).status).toBe(200)
  })

  test('that was copied ends the session at the next use, whoever of the two comes second', async () => {
    const ann = await register(app, undefined)
    const socket = await socketOf(ann.token, other)
    const used = await refresh(ann.refreshToken)
    await age(ann, '1 minute')
    expect(codeOf(await refresh(ann.refreshToken))).toEqual([401, 'unauthorized'])
    expect(codeOf(await refresh(String(used.body?.['refresh_token'])))).toEqual([401, 'unauthorized'])
    expect(await socket.closed).toEqual(REVOKED)
    expect(await isIn(ann.token)).toBe(false)
    expect(await actionsOf(ann.userId)).toEqual(['register', 'refresh_reuse'])
  })

  test('that was copied is noticed at its next use also while the thief goes on using what came of it', async () => {
    const ann = await register(app, undefined)
    let stolen = ann.refreshToken
    for (let times = 0; times < 4; times += 1) {
      stolen = await refreshed(stolen)
      await age(ann, '9 seconds')
    }
    await refreshed(stolen)
    expect(codeOf(await refresh(ann.refreshToken))).toEqual([401, 'unauthorized'])
    expect(await actionsOf(ann.userId)).toEqual(['register', 'refresh_reuse'])
  })

  test('of several processes that renew one after another ends nothing within ten seconds of its own use', async () => {
    const ann = await register(app, undefined)
    const tokens = [ann.refreshToken]
    for (let times = 0; times < 6; times += 1) tokens.push(await refreshed(String(tokens.at(-1))))
    const next = await refreshed(String(tokens.at(-1)))
    for (const used of tokens) {
      await allUsed(ann, '3 seconds')
      expect(codeOf(await refresh(used))).toEqual([409, 'refresh_in_progress'])
    }
    expect((await refresh(next)).status).toBe(200)
  })

  test('that is refused says how to do better, as every 401', async () => {
    const { status, headers } = await refresh('mrt_x')
    expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    const dead = await ask(app, '/api/auth/token', undefined, { ...OWN_PAGE, Cookie: 'session=dead' })
    expect([dead.status, dead.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
    const wrong = await ask(app, '/api/auth/login', { username: 'nobody', password: 'wrong password' })
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
  })

  test('that is forged, cut or of an ended session gets one answer, and ends nothing', async () => {
    const ann = await register(app, undefined)
    const [head = '', counter, mac = ''] = ann.refreshToken.split('.')
    const flipped = `${mac.slice(0, -1)}${mac.endsWith('A') ? 'B' : 'A'}`
    const forged = [
      'x',
      `${head}.${counter}.${flipped}`,
      `${head}.7.${mac}`,
      `mrt_${randomUUID()}.${counter}.${mac}`,
      `${ann.refreshToken}=`,
    ]
    for (const one of forged) expect([one, ...codeOf(await refresh(one))]).toEqual([one, 401, 'unauthorized'])
    await refreshed(ann.refreshToken)
    await age(ann, '31 days')
    expect(codeOf(await refresh(ann.refreshToken))).toEqual([401, 'unauthorized'])
  })

  test('ahead of the database, as after a restore, is still good', async () => {
    const ann = await register(app, undefined)
    const third = await refreshed(await refreshed(ann.refreshToken))
    await execute(bench.database.dsn, `update sessions set refresh_counter = 0 where user_id = '${ann.userId}'`)
    const fourth = await refreshed(third)
    await age(ann, '1 minute')
    expect((await refresh(third)).status).toBe(401)
    expect((await refresh(fourth)).status).toBe(401)
  })
})

describe('wrong secrets of sessions', () => {
  test('are counted by what they are, and looked up no more where there are too many; who is in goes on', async () => {
    const network = someNetwork()
    const username = (await register(app, undefined)).username
    const sign = async (target: App, client: 'token' | 'cookie'): Promise<Answer> =>
      ask(target, '/api/auth/login', { username, password: PASSWORD, client }, { ...OWN_PAGE, ...network })
    const before = [await sign(app, 'token'), await sign(app, 'cookie')]
    const slowed = await bench.start({ ADDRESS_REFUSALS_PER_SECOND: '1' })
    const here = [await sign(slowed, 'token'), await sign(slowed, 'cookie')]
    // Each port has cookies of its own name.
    const [ownName = ''] = cookiesOf(here[1] as Answer).split('=')
    const cookieOf = (page: Answer | undefined): string => cookiesOf(page as Answer).replace(/^[^=]+/, ownName)
    // Of another instance, so this one does not know it.
    const elsewhere = cookieOf(await sign(app, 'cookie'))
    const renew = (refresh_token: unknown, from = network) =>
      ask(slowed, '/api/auth/refresh', { refresh_token, attempt: randomUUID() }, from)
    const byCookie = (path: string, Cookie: string) => ask(slowed, path, undefined, { ...OWN_PAGE, ...network, Cookie })
    const token = (cookie: string) => byCookie('/api/auth/token', cookie)
    const forged = () => `mrt_${randomUUID()}.0.${'A'.repeat(43)}`
    const forgedCookie = elsewhere.replace(/=.*$/, `=${randomUUID()}`)
    const wrong = (at: number) => (at % 2 === 0 ? renew(forged()) : token(forgedCookie))
    const answers = await Promise.all(Array.from({ length: 60 }, (_, at) => wrong(at)))
    const statuses = answers.map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([401, 429]))
    expect(statuses.filter((status) => status === 401).length).toBeLessThan(60)
    for (const [program, page] of [before, here]) {
      expect((await renew(program?.body?.['refresh_token'])).status).toBe(200)
      expect((await token(cookieOf(page))).status).toBe(200)
    }
    expect((await byCookie('/api/auth/logout', forgedCookie)).status).toBe(401)
    expect((await byCookie('/api/auth/logout', elsewhere)).status).toBe(204)
    expect((await renew(forged(), someNetwork())).status).toBe(401)
    const { text } = await call(slowed, 'GET', '/metrics')
    for (const fault of ['refresh_token', 'cookie']) {
      expect(text).toMatch(new RegExp(`^messaging_credentials_refused_total\\{fault="${fault}"\\} [1-9]`, 'm'))
    }
  })

  test('keep no start waiting: the look for the sessions from before it may take as long as it likes', async () => {
    const held = await openTransaction(bench.database.dsn, 'lock table sessions')
    const starting = bench.start()
    const waiting = () => rowsOf(bench.database.dsn, WAITING_FOR_LOCK)
    await expect.poll(waiting, { interval: 5, timeout: 60_000 }).toHaveLength(1)
    const started = await starting
    expect((await call(started, 'GET', '/readyz')).status).toBe(200)
    await held.end()
  })
})

describe('a login', () => {
  test('says the same of a wrong password and of a name that nobody has', async () => {
    const ann = await register(app, undefined)
    const attempt = (username: string) => ask(app, '/api/auth/login', { username, password: 'wrong password' })
    const answers = [await attempt(ann.username), await attempt('nobody-at-all')]
    const bodies = answers.map(({ status, body }) => [status, body?.['error']])
    expect(bodies[0]).toEqual(bodies[1])
    expect(bodies[0]).toMatchObject([401, { code: 'invalid_credentials' }])
    // One entry for an account, a network and a quarter of an hour.
    const headers = someNetwork()
    const again = { username: ann.username, password: 'wrong password' }
    for (let at = 0; at < 2; at += 1) await ask(app, '/api/auth/login', again, headers)
    const failed = async () => (await actionsOf(ann.userId)).filter((action) => action === 'login_failed').length
    await expect.poll(failed).toBe(2)
  })

  test('is shown in the list of its person, and ended from there, with its sockets', async () => {
    const ann = await register(app, undefined)
    const phone = await login(app, ann.username, { device_name: 'Phone' })
    const socket = await socketOf(phone.token, other)
    const list = await call(app, 'GET', '/api/auth/sessions', { headers: bearer(ann.token) })
    const sessions = list.body?.['sessions'] as { session_id: string; device_name: string | null; current: boolean }[]
    expect(sessions).toMatchObject([
      { device_name: 'Phone', current: false },
      { device_name: null, current: true },
    ])
    const end = (id: unknown, person: Person) =>
      call(app, 'DELETE', `/api/auth/sessions/${id}`, { headers: bearer(person.token) })
    const stranger = await register(app, undefined)
    expect((await end(sessions[0]?.session_id, stranger)).status).toBe(404)
    expect((await end('nothing', ann)).status).toBe(404)
    expect((await end(sessions[0]?.session_id, ann)).status).toBe(204)
    expect(await socket.closed).toEqual(REVOKED)
    expect([await isIn(phone.token), await isIn(ann.token)]).toEqual([false, true])
    expect((await refresh(phone.refreshToken)).status).toBe(401)
  })

  test('is one of fifty at most: the one that was idle for the longest leaves', async () => {
    const ann = await register(app, undefined)
    await execute(
      bench.database.dsn,
      `insert into sessions (user_id, kind, mac_key, address, expires_at)
       select '${ann.userId}', 'refresh', '\\x00', '', now() + interval '1 day' from generate_series(1, 49)`,
    )
    await age(ann, '1 hour')
    await execute(
      bench.database.dsn,
      `update sessions set last_used_at = now() where user_id = '${ann.userId}' and mac_key = '\\x00'`,
    )
    const newest = await login(app, ann.username)
    expect([await isIn(newest.token), (await refresh(ann.refreshToken)).status]).toEqual([true, 401])
  })

  test('of everywhere ends at once, also what was opened in the same second, and the next is good', async () => {
    const ann = await register(app, undefined)
    const sockets = await Promise.all([socketOf(ann.token, app), socketOf(ann.token, other)])
    expect((await ask(other, '/api/auth/logout_all', undefined, bearer(ann.token))).status).toBe(204)
    expect(await Promise.all(sockets.map((socket) => socket.closed))).toEqual([REVOKED, REVOKED])
    const again = await login(app, ann.username)
    expect([await isIn(again.token), await isIn(again.token, other)]).toEqual([true, true])
    expect((await ask(app, '/api/auth/logout', {}, bearer(again.token))).status).toBe(204)
    expect(await isIn(again.token)).toBe(false)
  })
})

describe('a password', () => {
  test('is changed and proven while somebody who comes new waits in the database', async () => {
    const ann = await register(app, undefined)
    const username = `n${randomUUID().slice(0, 12)}`
    const taken = await openTransaction(
      bench.database.dsn,
      `insert into accounts (user_id, username, username_key) values ('${username}', '${username}', '${username}')`,
    )
    const coming = ask(app, '/api/auth/register', { username, password: PASSWORD })
    const waiting = () => rowsOf(bench.database.dsn, WAITING_FOR_LOCK)
    await expect.poll(waiting, { interval: 5, timeout: 60_000 }).toHaveLength(1)
    const changed = await ask(app, '/api/auth/password', { current: PASSWORD, new: NEXT }, bearer(ann.token))
    expect([changed.status, await waiting()]).toEqual([204, [expect.anything()]])
    await taken.end()
    expect(codeOf(await coming)).toEqual([409, 'username_taken'])
  })

  test('is changed by who knows it; the other sessions end, and the own goes on', async () => {
    const ann = await register(app, undefined)
    const phone = await login(app, ann.username)
    const [own, foreign] = await Promise.all([socketOf(ann.token, other), socketOf(phone.token, other)])
    const change = (body: object) => ask(app, '/api/auth/password', body, bearer(ann.token))
    expect(codeOf(await change({ current: 'wrong password', new: NEXT }))).toEqual([401, 'invalid_credentials'])
    expect(codeOf(await change({ current: PASSWORD, new: 'password1' }))).toEqual([400, 'weak_password'])
    expect((await change({ current: PASSWORD, new: NEXT })).status).toBe(204)
    expect(await foreign.closed).toEqual(REVOKED)
    expect(await own.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await own.close()
    expect([await isIn(ann.token), (await refresh(phone.refreshToken)).status]).toEqual([true, 401])
    const old = await ask(app, '/api/auth/login', { username: ann.username, password: PASSWORD })
    expect(codeOf(old)).toEqual([401, 'invalid_credentials'])
    await login(app, ann.username, { password: NEXT })
  })

  test.each([
    ['/api/auth/password', { current: PASSWORD, new: NEXT }],
    ['/api/auth/logout_all', undefined],
  ])('%s ends what a backend had made for the person, too', async (path, body) => {
    const ann = await register(app, undefined)
    const headers = bearer(await bench.key('tokens:issue'))
    const issued = async () =>
      String((await ask(app, '/api/auth/tokens', { user_id: ann.userId }, headers)).body?.['token'])
    const sees = async (token: string) => (await call(app, 'GET', '/api/users/me', { headers: bearer(token) })).status
    const [token, socket] = [await issued(), await socketOf(await issued(), other)]
    expect((await ask(app, path, body, bearer(ann.token))).status).toBe(204)
    expect([await sees(token), await socket.closed]).toEqual([401, REVOKED])
    // The login that changed the password goes on, and a token that is made afterwards is good.
    expect([await sees(ann.token), await sees(await issued())]).toEqual([body ? 200 : 401, 200])
  })

  test('that was lost is replaced by a recovery code, once, and nobody is signed in by it', async () => {
    const ann = await register(app, undefined)
    const socket = await socketOf(ann.token, other)
    const { body } = await ask(app, '/api/users/me/recovery_codes', {}, bearer(ann.token))
    const codes = body?.['recovery_codes'] as string[]
    expect(codes).toEqual(Array.from({ length: 10 }, () => expect.stringMatching(/^([0-9a-z]{4}-){3}[0-9a-z]{4}$/)))
    const recover = (recovery_code: string, next = NEXT) =>
      ask(app, '/api/auth/recover', { username: ann.username, recovery_code, new: next })
    expect(codeOf(await recover('aaaa-aaaa-aaaa-aaaa'))).toEqual([401, 'invalid_credentials'])
    const written = String(codes[3]).toUpperCase().replaceAll('-', ' ').replaceAll('0', 'O')
    const answer = await recover(written)
    expect([answer.status, answer.text, answer.headers.getSetCookie()]).toEqual([204, '', []])
    expect(await socket.closed).toEqual(REVOKED)
    expect(codeOf(await recover(String(codes[3])))).toEqual([401, 'invalid_credentials'])
    // In the same second.
    expect(await isIn((await login(app, ann.username, { password: NEXT })).token, other)).toBe(true)
    await age(ann, '6 minutes')
    const late = await login(app, ann.username, { password: NEXT })
    await age(late, '6 minutes')
    const stale = await ask(app, '/api/users/me/recovery_codes', {}, bearer(late.token))
    expect(codeOf(stale)).toEqual([403, 'reauthentication_required'])
  })

  test('is set by a link, once, however many try; every session ends, also on the other instance', async () => {
    const ann = await register(app, undefined)
    const sockets = await Promise.all([socketOf(ann.token, app), socketOf(ann.token, other)])
    const link = `link of ${ann.userId}`
    await execute(
      bench.database.dsn,
      `insert into one_time_links (link_hash, purpose, user_id, epoch, created_by, expires_at)
       select sha256('${link}'), 'reset', '${ann.userId}', epoch, 'test', now() + interval '1 hour' from service_state`,
    )
    const reset = (next: string) => ask(app, '/api/auth/reset', { link_token: link, new: next })
    expect(codeOf(await reset('password1'))).toEqual([400, 'weak_password'])
    const answers = await Promise.all(Array.from({ length: 6 }, () => reset(NEXT)))
    expect(answers.filter(({ status }) => status === 204)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 400)).toHaveLength(5)
    expect(await Promise.all(sockets.map((socket) => socket.closed))).toEqual([REVOKED, REVOKED])
    await login(app, ann.username, { password: NEXT })
    expect(await actionsOf(ann.userId)).toEqual(['register', 'password_reset', 'login'])
  })
})

describe('whoever guesses', () => {
  const guess = (username: string, headers: Readonly<Record<string, string>>, more: object = {}) =>
    ask(other, '/api/auth/login', { username, password: 'wrong password', client: 'token', ...more }, headers)

  test('has ten attempts at a name from one network, and its person still signs in from a device that is known', async () => {
    const ann = await register(app, undefined)
    const network = someNetwork()
    const answers = await Promise.all(Array.from({ length: 12 }, () => guess(ann.username, network)))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10)
    const slowed = answers.find(({ status }) => status === 429)
    expect(Number(slowed?.headers.get('retry-after'))).toBeGreaterThan(60)
    const right = { username: ann.username, password: PASSWORD, client: 'token' }
    expect((await ask(app, '/api/auth/login', right, network)).status).toBe(429)
    const known = await ask(app, '/api/auth/login', { ...right, device_token: ann.deviceToken }, network)
    expect([known.status, known.body?.['device_token']]).toEqual([200, ann.deviceToken])
    expect((await ask(app, '/api/auth/login', right)).status).toBe(200)
  })

  test('has a hundred attempts at a name from everywhere, and its person still signs in', async () => {
    const ann = await register(app, undefined)
    await execute(bench.database.dsn, 'truncate throttles')
    // What a hundred networks have used up, without the work of a hundred hashes.
    await guess(ann.username, someNetwork())
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 98.5 where tokens > 98')
    expect((await guess(ann.username, someNetwork())).status).toBe(429)
    const right = { username: ann.username, password: PASSWORD, client: 'token', device_token: ann.deviceToken }
    expect((await ask(app, '/api/auth/login', right)).status).toBe(200)
  })

  test('has a hundred attempts at a name from all devices that are known together', async () => {
    const ann = await register(app, undefined)
    const { deviceToken } = await login(app, ann.username)
    await execute(bench.database.dsn, 'truncate throttles')
    const from = (device_token: string) => guess(ann.username, someNetwork(), { device_token })
    expect((await from(deviceToken)).status).toBe(401)
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 98.5 where tokens > 98')
    expect((await from(ann.deviceToken)).status).toBe(429)
    expect((await guess(ann.username, someNetwork())).status).toBe(401)
  })

  test('has fifty attempts at all names from one network; signing in uses up none', async () => {
    const ann = await register(app, undefined)
    await execute(bench.database.dsn, 'truncate throttles')
    const network = someNetwork()
    const right = { username: ann.username, password: PASSWORD, client: 'token' }
    for (let at = 0; at < 3; at += 1) expect((await ask(app, '/api/auth/login', right, network)).status).toBe(200)
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 48 where tokens between 49 and 51')
    const answers = await Promise.all(Array.from({ length: 5 }, (_, at) => guess(`nobody-${at}`, network)))
    expect(answers.map(({ status }) => status).sort()).toEqual([401, 401, 429, 429, 429])
    expect((await guess('nobody-else', someNetwork())).status).toBe(401)
  })

  test('may know a password, and still cannot have it hashed without end', async () => {
    const ann = await register(app, undefined)
    const network = someNetwork()
    const right = { username: ann.username, password: PASSWORD, client: 'token' }
    const status = async (more: object = {}, from = someNetwork()) =>
      (await ask(app, '/api/auth/login', { ...right, ...more }, from)).status
    await execute(bench.database.dsn, 'truncate throttles')
    // A wrong guess uses up none of what is right.
    expect([(await guess(ann.username, network)).status, await status({}, network)]).toEqual([401, 200])
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 28.5 where tokens between 28.5 and 30')
    expect([await status(), await status({ device_token: ann.deviceToken })]).toEqual([429, 200])
    // Of all hashes of one network, whoever asks for them.
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 320 where tokens > 200')
    const newcomer = { username: `p${randomUUID().slice(0, 12)}`, password: PASSWORD, client: 'token' }
    expect((await ask(app, '/api/auth/register', newcomer, network)).status).toBe(429)
    expect((await ask(app, '/api/auth/register', newcomer)).status).toBe(201)
  })

  test('holds no more than half of the places, so somebody from elsewhere still signs in', async () => {
    const ann = await register(app, undefined)
    const right = { username: ann.username, password: PASSWORD, client: 'token' }
    const network = someNetwork()
    const slow = await openTransaction(bench.database.dsn, 'lock table throttles')
    const refused: number[] = []
    const attempts = Array.from({ length: 60 }, async (_, at) => {
      const { status } = await guess(`nobody-${at}`, network)
      if (status !== 401) refused.push(status)
    })
    // From then on this network has all places that it can have.
    await expect.poll(() => refused.length, { interval: 5, timeout: 60_000 }).toBeGreaterThan(0)
    const [elsewhere, own] = [ask(other, '/api/auth/login', right), ask(other, '/api/auth/login', right, network)]
    expect((await own).status).toBe(429)
    await slow.end()
    expect((await elsewhere).status).toBe(200)
    await Promise.all(attempts)
    expect(new Set(refused)).toEqual(new Set([429]))
  })

  test('behind a proxy that is not listed shuts out ten times later who else comes through it, and not never', async () => {
    const unlisted = await bench.start({ TRUSTED_PROXIES: '192.0.2.1' })
    const headers = someNetwork()
    const attempt = async (target: App, at: number): Promise<number> => {
      const body = { username: `nobody-${at}`, password: 'wrong password' }
      return (await ask(target, '/api/auth/login', body, headers)).status
    }
    const afterFifty = async (target: App): Promise<number> => {
      await execute(bench.database.dsn, 'truncate throttles')
      await attempt(target, 1)
      await execute(bench.database.dsn, 'update throttles set tokens = tokens - 49.5 where tokens > 40')
      return attempt(target, 2)
    }
    expect([await afterFifty(app), await afterFifty(unlisted)]).toEqual([429, 401])
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 450 where tokens between 400 and 500')
    expect(await attempt(unlisted, 3)).toBe(429)
    await execute(bench.database.dsn, 'truncate throttles')
    await attempt(unlisted, 4)
    await execute(bench.database.dsn, 'update throttles set tokens = tokens - 2999.5 where tokens > 2000')
    expect(await attempt(unlisted, 5)).toBe(429)
  })
})

test('another epoch refuses every token and link from before it, and asks nobody for their password', async () => {
  const ann = await register(app, undefined)
  const page = await ask(app, '/api/auth/login', { username: ann.username, password: PASSWORD }, OWN_PAGE)
  const cookie = page.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ')
  await execute(
    bench.database.dsn,
    `insert into invites (code_id, code_hash, epoch, uses, uses_left, created_by, expires_at)
     select 'before', sha256('invite from before'), epoch, 9, 9, 'test', now() + interval '1 day' from service_state`,
  )
  const invited = (username: string) =>
    ask(app, '/api/auth/register', { username, password: PASSWORD, invite: 'invite from before' })
  expect((await invited('invited-before')).status).toBe(201)
  await execute(bench.database.dsn, "update service_state set epoch = 'another', renewed_at = now()")
  await expect.poll(() => isIn(ann.token), { timeout: 30_000 }).toBe(false)
  expect(codeOf(await invited('invited-after'))).toEqual([400, 'invite_invalid'])
  const renewed = await refresh(ann.refreshToken)
  expect([renewed.status, await isIn(String(renewed.body?.['token']))]).toEqual([200, true])
  const token = await ask(app, '/api/auth/token', {}, { Cookie: cookie, ...OWN_PAGE })
  expect([token.status, await isIn(String(token.body?.['token']), other)]).toEqual([200, true])
})
