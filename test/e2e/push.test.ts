// Notifications, from a message to what a browser decrypts: a compiled service and a push service of the test's own.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newServiceKey } from '../../src/auth/service-key.ts'
import { PostgresServiceKeyStore } from '../../src/auth/service-key-store.postgres.ts'
import { openDatabase } from '../../src/postgres/database.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { type FakeBrowser, FakePushService } from '../support/fake-push-service.ts'
import { bearer, JWT_ENV } from '../support/identity.ts'
import { type Answer, call } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'
import { silentLogger } from '../support/silent-logger.ts'
import { SocketClient } from '../support/socket-client.ts'
import { tokenFor } from '../support/tokens.ts'

const services = useServices()
let database: TestDatabase
let fake: FakePushService
let service: ServiceProcess
let revokingKey: string
let publicKey: string

beforeAll(async () => {
  ;[database, fake] = await Promise.all([createDatabase(), FakePushService.start()])
  const opened = await openDatabase({ dsn: database.dsn, dataDir: '', poolMax: 1, logger: silentLogger })
  const { key, stored } = newServiceKey('test', ['sessions:revoke'])
  await new PostgresServiceKeyStore(opened.openQueries(1)).add(stored)
  await opened.writerConnection.close()
  await opened.close()
  revokingKey = key
  service = await services.start({
    ...JWT_ENV,
    ...fake.env,
    POSTGRES_DSN: database.dsn,
    // Several messages, and what acknowledges one, have to come before it is due.
    PUSH_AFTER_SECONDS: '5',
    PUBLIC_URL: 'https://chat.test',
    USER_SEARCH: 'on',
  })
  publicKey = String((await as('ann', 'GET', '/api/push/key')).body?.public_key)
})
afterAll(async () => {
  await service?.stop()
  await fake?.close()
  await database?.drop()
})

function as(user: string, method: string, path: string, body?: object, sid?: string): Promise<Answer> {
  const headers = bearer(tokenFor(user, sid === undefined ? {} : { sid }))
  return call(service, method, path, body === undefined ? { headers } : { headers, body })
}

const declare = (user: string, { json }: FakeBrowser, more: object = {}, sid?: string): Promise<Answer> =>
  as(user, 'PUT', '/api/push/subscription', { subscription: json, ...more }, sid)

async function subscribed(user: string, more: object = {}, sid?: string): Promise<FakeBrowser> {
  const browser = fake.subscribe(publicKey)
  expect((await declare(user, browser, more, sid)).status).toBe(204)
  return browser
}

const send = async (from: string, to: string, content = 'hi'): Promise<number> =>
  Number((await as(from, 'POST', '/api/send_message', { receiver_id: to, content })).body?.seq)

const connect = (user: string): Promise<SocketClient> =>
  SocketClient.connect(service, '', { headers: bearer(tokenFor(user)) })

/** Resolves when a message that came later has been pushed to somebody else: what was to come before has come. */
async function afterwards(): Promise<void> {
  const user = `later${crypto.randomUUID().slice(0, 8)}`
  const browser = await subscribed(user)
  await send('bob', user)
  await fake.pushed(browser)
}

describe.concurrent('a notification', () => {
  test('of three messages to somebody who is away is one, and goes when it is read', async () => {
    const browser = await subscribed('ann', { locale: 'de' })
    for (const text of ['one', 'two', 'three']) await send('bob', 'ann', text)
    const { data, ...push } = await fake.pushed(browser)
    expect(data).toEqual({
      web_push: 8030,
      notification: {
        title: 'bob',
        body: '3 neue Nachrichten',
        navigate: 'https://chat.test/c/bob',
        tag: push.topic,
        lang: 'de',
        data: { kind: 'notify', with: 'bob', seq: 3, count: 3, of: 'ann' },
      },
      app_badge: 1,
      kind: 'notify',
      with: 'bob',
      seq: 3,
      count: 3,
    })
    expect(push).toMatchObject({ urgency: 'high', bytes: 1_024, topic: expect.stringMatching(/^[\w-]{22}$/) })
    expect(push.ttl).toBeGreaterThan(86_000)
    const socket = await connect('ann')
    socket.send({ type: 'read', with: 'bob', seq: 3 })
    const clear = await fake.pushed(browser, ({ data }) => data.kind === 'clear')
    expect(clear).toMatchObject({ topic: push.topic, ttl: 0, urgency: 'low', data: { tag: push.topic, badge: 0 } })
    await socket.close()
    expect(fake.of(browser)).toHaveLength(2)
  })

  test('tells as much as its owner allows', async () => {
    const [full, none] = await Promise.all([
      subscribed('cat', { content: 'full' }),
      subscribed('cat', { content: 'none' }),
    ])
    await send('bob', 'cat', `${'ü'.repeat(2_000)} the end`)
    const [shown, hidden] = await Promise.all([fake.pushed(full), fake.pushed(none)])
    expect(shown).toMatchObject({ bytes: 3_072, data: { notification: { title: 'bob' } } })
    expect(shown.data.notification.body).toMatch(/^ü{700,}…$/)
    expect(hidden).toMatchObject({ bytes: 1_024, topic: shown.topic })
    expect(JSON.stringify(hidden.data)).not.toMatch(/bob|ü/)
  })

  test('reaches who is connected and acknowledges nothing, and not who acknowledges', async () => {
    const [dan, eve] = await Promise.all([subscribed('dan'), subscribed('eve')])
    const [acks, hangs] = await Promise.all([connect('dan'), connect('eve')])
    await Promise.all([send('bob', 'eve'), send('bob', 'dan')])
    const { seq } = await acks.next('message')
    acks.send({ type: 'ack', with: 'bob', seq })
    await fake.pushed(eve)
    await afterwards()
    expect(fake.of(dan)).toEqual([])
    await Promise.all([acks.close(), hangs.close()])
  })

  test('reaches who acknowledged and looks at no client, and not who looks at one', async () => {
    const [away, looking] = await Promise.all([subscribed('gil'), subscribed('hal')])
    const sockets = await Promise.all(['gil', 'hal', 'hal'].map(connect))
    for (const socket of sockets.slice(0, 2)) socket.send({ type: 'state', active: false })
    const [gil, hal] = await Promise.all([send('bob', 'gil'), send('bob', 'hal')])
    sockets[0]?.send({ type: 'ack', with: 'bob', seq: gil })
    sockets[1]?.send({ type: 'ack', with: 'bob', seq: hal })
    const { data } = await fake.pushed(away)
    expect(data).toMatchObject({ with: 'bob', count: 1 })
    // What is due later than hal's would have been has come.
    await afterwards()
    expect(fake.of(looking)).toEqual([])
    await Promise.all(sockets.map((socket) => socket.close()))
  })

  test('never reaches the one before in a browser that somebody else signed in to', async () => {
    const browser = await subscribed('ida', {}, 'session-of-ida')
    const revoked = await call(service, 'POST', '/api/auth/revoke', {
      headers: bearer(revokingKey),
      body: { session_id: 'session-of-ida' },
    })
    expect(revoked.status).toBe(204)
    await send('bob', 'ida', 'for the eyes of ida')
    await afterwards()
    expect(fake.of(browser)).toEqual([])
    // Without a logout the endpoint moves with its browser.
    await declare('ida', browser)
    await declare('jan', browser)
    await Promise.all([send('bob', 'ida', 'for the eyes of ida'), send('bob', 'jan', 'for jan')])
    await fake.pushed(browser)
    await afterwards()
    expect(fake.of(browser).map(({ data }) => data.count)).toEqual([1])
  })

  test('is not sent again where the push service says that the subscription has ended', async () => {
    const browser = await subscribed('kay')
    const before = fake.answer
    let asked = 0
    fake.answer = (id, count) => {
      if (id !== browser.id) return before(id, count)
      asked += 1
      return { status: 410 }
    }
    await send('bob', 'kay')
    await fake.until(() => asked === 1, 'the push that is refused')
    await send('bob', 'kay')
    await afterwards()
    expect(asked).toBe(1)
    expect((await as('kay', 'POST', '/api/push/test')).status).toBe(404)
  })
})

describe('a subscription', () => {
  test('is taken for a push service alone, with keys that something can be encrypted for', async () => {
    const { json } = fake.subscribe(publicKey)
    const statusOf = async (subscription: object): Promise<unknown> => {
      const { status, body } = await as('lea', 'PUT', '/api/push/subscription', { subscription })
      return [status, (body?.error as { field?: string } | undefined)?.field]
    }
    const { keys, endpoint } = json
    for (const other of [
      'https://127.0.0.1/push/x',
      'https://169.254.169.254/latest/meta-data/',
      'https://example.com/push/x',
      endpoint.replace('https', 'http'),
      endpoint.replace('127.0.0.1', '[::ffff:127.0.0.1]'),
    ]) {
      expect([other, await statusOf({ endpoint: other, keys })]).toEqual([other, [400, 'subscription.endpoint']])
    }
    const offCurve = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 1)]).toString('base64url')
    for (const wrong of [
      { ...keys, p256dh: offCurve },
      { ...keys, p256dh: 'AAAA' },
      { ...keys, auth: 'AAAA' },
      { ...keys, auth: '!' },
    ]) {
      expect(await statusOf({ endpoint, keys: wrong })).toEqual([400, 'subscription.keys'])
    }
    expect(await statusOf({ endpoint })).toEqual([400, 'subscription.keys'])
    // Browsers may say more in time.
    expect(await statusOf({ endpoint, keys, expirationTime: null, more: 1 })).toEqual([204, undefined])
  })

  test('can be tried once in ten seconds, and taken back', async () => {
    const browser = await subscribed('mia')
    expect((await as('mia', 'POST', '/api/push/test', {})).status).toBe(202)
    await fake.pushed(browser, ({ data }) => data.kind === 'test')
    expect((await as('mia', 'POST', '/api/push/test', {})).status).toBe(429)
    const { endpoint } = browser.json
    // Of somebody else it does nothing.
    expect((await as('bob', 'DELETE', '/api/push/subscription', { endpoint })).status).toBe(204)
    expect((await as('mia', 'POST', '/api/push/test', {})).status).toBe(429)
    expect((await as('mia', 'DELETE', '/api/push/subscription', { endpoint })).status).toBe(204)
    expect((await as('mia', 'POST', '/api/push/test', {})).status).toBe(404)
  })
})

test('the push service found nothing wrong, and the log tells nothing of what was sent', () => {
  expect(fake.faults).toEqual([])
  const log = JSON.stringify(service.logs) + service.stderr
  expect(service.logs).not.toEqual([])
  expect(log).not.toMatch(/\/push\/|p256dh|for the eyes/)
})
