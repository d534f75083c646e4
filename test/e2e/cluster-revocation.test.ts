// Three instances over Redis, with traffic on every socket: whoever is revoked is out everywhere, also once Redis is gone.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { figure } from '../support/figures.ts'
import { bearer, type IdentityBench, identityBench } from '../support/identity.ts'
import { startRedis } from '../support/played-redis.ts'
import type { RedisSetUp } from '../support/redis-set-up.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'
import { tokenFor } from '../support/tokens.ts'

let bench: IdentityBench
let redis: RedisSetUp
let instances: App[]

beforeAll(async () => {
  ;[bench, redis] = await Promise.all([identityBench(), startRedis()])
  const env = { ...redis.env, MAX_CONNECTIONS_PER_USER: String(SOCKETS_PER_INSTANCE) }
  instances = [await bench.start(env), await bench.start(env), await bench.start(env)]
})
afterAll(async () => {
  await bench?.close()
  await redis?.stop()
})

const SOCKETS_PER_INSTANCE = 4
const TARGETS: Readonly<Record<string, (userId: string) => object>> = {
  user_id: (userId) => ({ user_id: userId }),
  session_id: (userId) => ({ session_id: `login of ${userId}` }),
  jti: (userId) => ({ jti: `token of ${userId}` }),
}

/** Between two sends of a socket: it is busy, and leaves the machine to others. */
const SEND_PAUSE_MS = 10

/** A socket that sends the next message soon after the one before is stored. */
async function busySocket(instance: App, token: string): Promise<SocketClient> {
  // What its user's other sockets send comes in thousands, and nobody reads it.
  const socket = await SocketClient.connect(instance, '', { headers: bearer(token), drops: 'message' })
  const next = (): void => {
    socket.send({ type: 'send', receiver_id: 'somebody', content: 'x', id: randomUUID() })
    socket.next('sent').then(
      () => setTimeout(next, SEND_PAUSE_MS),
      () => undefined,
    )
  }
  next()
  return socket
}

async function revocationOf(kind: string, state: string): Promise<void> {
  const userId = `u-${randomUUID()}`
  const otherId = `o-${randomUUID()}`
  const token = tokenFor(userId, { sid: `login of ${userId}`, jti: `token of ${userId}` })
  const places = instances.flatMap((one) => Array.from({ length: SOCKETS_PER_INSTANCE }, () => one))
  const sockets = await Promise.all(places.map((one) => busySocket(one, token)))
  const others = await Promise.all(instances.map((one) => busySocket(one, tokenFor(otherId, { sid: 'x', jti: 'y' }))))
  const [first] = instances
  if (!first) throw new Error('no instance')
  const headers = bearer(await bench.key('sessions:revoke'))
  const startMs = performance.now()
  const ends: number[] = []
  for (const socket of sockets) void socket.closed.then(() => ends.push(Math.round(performance.now() - startMs)))
  const { status } = await call(first, 'POST', '/api/auth/revoke', { headers, body: TARGETS[kind]?.(userId) })
  expect(status).toBe(204)
  const closings = await Promise.all(sockets.map((socket) => socket.closed))
  ends.sort((one, other) => one - other)
  figure(
    `${sockets.length} busy sockets, ${state}, revoked by ${kind}: last closed after`,
    ends.at(-1),
    'ms, half after',
    ends[ends.length >> 1],
    'ms',
  )
  expect(closings).toEqual(sockets.map(() => ({ code: 4401, reason: 'session_revoked' })))
  for (const instance of instances) {
    expect((await call(instance, 'POST', '/api/auth/ticket', { headers: bearer(token) })).status).toBe(401)
  }
  for (const socket of others) expect(await socket.ask({ type: 'ping' })).toMatchObject({ type: 'pong' })
  await Promise.all(others.map((socket) => socket.close()))
}

async function revocationOfKey(): Promise<void> {
  const key = await bench.key('read:any')
  const read = async (instance: App) =>
    (await call(instance, 'GET', '/api/conversations?user_id=ann', { headers: bearer(key) })).status
  for (const instance of instances) expect(await read(instance)).toBe(200)
  const [first] = instances
  if (!first) throw new Error('no instance')
  const headers = bearer(await bench.key('sessions:revoke'))
  const body = { key_id: key.split('_')[1] }
  expect((await call(first, 'POST', '/api/auth/revoke', { headers, body })).status).toBe(204)
  // What an instance remembers of a key is good for a minute: only the revocation ends it sooner.
  for (const instance of instances) await expect.poll(() => read(instance), { timeout: 45_000 }).toBe(401)
}

test.each(['with Redis', 'with Redis gone'])(
  '%s a user, a session, a token and a key end on every instance',
  async (state) => {
    if (state === 'with Redis gone') await redis.stop()
    for (const kind of Object.keys(TARGETS)) await revocationOf(kind, state)
    await revocationOfKey()
  },
  300_000,
)
