// Three instances with accounts: whoever is suspended, deleted or given another password is out everywhere, also without Redis.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import {
  type AccountsBench,
  accountsBench,
  ask,
  bearer,
  login,
  PASSWORD,
  type Person,
  register,
  secretIn,
} from '../support/accounts.ts'
import { figure } from '../support/figures.ts'
import { startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { call } from '../support/rest-client.ts'
import { type Closing, SocketClient } from '../support/socket-client.ts'

let bench: AccountsBench
let redis: RedisSetUp
let instances: App[]
let first: App
let admin: Person

beforeAll(async () => {
  ;[bench, redis] = await Promise.all([accountsBench(), startRedis()])
  const env = { ...redis.env, REGISTRATION: 'open' }
  first = await bench.start(env)
  instances = [first, await bench.start(env), await bench.start(env)]
  admin = await register(first, secretIn(bench.told(), 'bootstrap'))
})
afterAll(async () => {
  await bench?.close()
  await redis?.stop()
})

const socketsOf = ({ token }: Person): Promise<SocketClient[]> =>
  Promise.all(instances.map((one) => SocketClient.connect(one, '', { headers: bearer(token) })))
const as = (person: Person, method: string, path: string, body?: unknown) =>
  call(first, method, path, { headers: bearer(person.token), ...(body !== undefined && { body }) })

const ENDS: Readonly<Record<string, (person: Person) => Promise<unknown>>> = {
  suspended: ({ userId }) => as(admin, 'POST', `/api/admin/users/${userId}/suspend`, {}),
  deleted: ({ userId }) => as(admin, 'DELETE', `/api/admin/users/${userId}`),
  'given another password by a link': async ({ userId }) => {
    const { body } = await as(admin, 'POST', `/api/admin/users/${userId}/reset_link`, {})
    return ask(first, '/api/auth/reset', { link_token: secretIn(String(body?.['url']), 'reset'), new: `${PASSWORD} 2` })
  },
  'made an administrator': ({ userId }) => as(admin, 'POST', `/api/admin/users/${userId}/role`, { role: 'admin' }),
}
const OUT: Closing = { code: 4403, reason: 'account_suspended' }
const BACK: Closing = { code: 4401, reason: 'session_revoked' }

/** Another login of the same person asks for it, and goes on. */
async function othersEnd(): Promise<void> {
  const person = await register(first, undefined)
  const phone = await login(first, person.username)
  const [own, others] = [await socketsOf(person), await socketsOf(phone)]
  expect((await as(person, 'POST', '/api/auth/password', { current: PASSWORD, new: `${PASSWORD} 2` })).status).toBe(204)
  expect(await Promise.all(others.map((socket) => socket.closed))).toEqual([BACK, BACK, BACK])
  for (const socket of own) expect(await socket.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
  await Promise.all(own.map((socket) => socket.close()))
}

async function everybodyEnds(state: string): Promise<void> {
  await othersEnd()
  for (const [name, end] of Object.entries(ENDS)) {
    const person = await register(first, undefined)
    const [sockets, others] = [await socketsOf(person), await socketsOf(admin)]
    const startMs = performance.now()
    await end(person)
    const closings = await Promise.all(sockets.map((socket) => socket.closed))
    figure(
      `${state}, a person is ${name}: the last of three sockets closed after`,
      Math.round(performance.now() - startMs),
      'ms',
    )
    expect([name, closings]).toEqual([name, sockets.map(() => (/suspended|deleted/.test(name) ? OUT : BACK))])
    for (const instance of instances) {
      expect((await call(instance, 'POST', '/api/auth/ticket', { headers: bearer(person.token) })).status).toBe(401)
    }
    for (const socket of others) expect(await socket.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
    await Promise.all(others.map((socket) => socket.close()))
  }
}

test('ends everywhere', () => everybodyEnds('with Redis'))

test('ends everywhere once Redis is gone', async () => {
  await redis.stop()
  await everybodyEnds('without Redis')
})
