// The machine was suspended for ten minutes: the clock by which a process waits stood still, and that of the database went on.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import { newServiceKey } from '../../src/auth/service-key.ts'
import { type AccountsBench, accountsBench, bearer, register } from '../support/accounts.ts'
import { execute } from '../support/databases.ts'
import { call } from '../support/rest-client.ts'
import { SocketClient } from '../support/socket-client.ts'

const MINUTE_MS = 60_000
const { timeOrigin } = performance

let bench: AccountsBench
let app: App
beforeAll(async () => {
  Object.defineProperty(performance, 'timeOrigin', { value: timeOrigin - 10 * MINUTE_MS, configurable: true })
  bench = await accountsBench()
  app = await bench.start({ REGISTRATION: 'open' })
})
afterAll(async () => {
  await bench?.close()
  Object.defineProperty(performance, 'timeOrigin', { value: timeOrigin, configurable: true })
})

test('who signs in is believed at once, over HTTP and on a socket', async () => {
  const ann = await register(app, undefined)
  const { status } = await call(app, 'GET', '/api/auth/sessions', { headers: bearer(ann.token) })
  const socket = SocketClient.dial(app, '')
  await socket.opened()
  socket.send({ type: 'auth', token: ann.token })
  expect([status, await socket.next('welcome')]).toMatchObject([200, { user_id: ann.userId }])
  await socket.close()
})

test('a key that has ended meanwhile is refused', async () => {
  const keyThatEnds = async (interval: string): Promise<number> => {
    const { key, stored } = newServiceKey('test', ['read:any'])
    const hash = stored.secretHash.toString('hex')
    await execute(
      bench.database.dsn,
      `insert into service_keys (key_id, secret_hash, name, scopes, expires_at)
       values ('${stored.keyId}', '\\x${hash}', 'test', '{read:any}', now() + interval '${interval}')`,
    )
    return (await call(app, 'GET', '/api/conversations?user_id=ann', { headers: bearer(key) })).status
  }
  expect([await keyThatEnds('1 minute'), await keyThatEnds('-1 minute')]).toEqual([200, 401])
})
