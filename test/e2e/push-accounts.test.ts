// Notifications with AUTH=accounts: one browser, and the people who sign in to it one after the other.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ACCOUNTS_ENV, ask, login, type Person, register } from '../support/accounts.ts'
import { createDatabase, type TestDatabase } from '../support/databases.ts'
import { type FakeBrowser, FakePushService } from '../support/fake-push-service.ts'
import { bearer } from '../support/identity.ts'
import { call } from '../support/rest-client.ts'
import { type ServiceProcess, useServices } from '../support/service.ts'

const services = useServices()
let database: TestDatabase
let fake: FakePushService
let service: ServiceProcess
let publicKey: string
let bob: Person

beforeAll(async () => {
  ;[database, fake] = await Promise.all([createDatabase(), FakePushService.start()])
  const env = { ...ACCOUNTS_ENV, ...fake.env, REGISTRATION: 'open', PUSH_AFTER_SECONDS: '1' }
  service = await services.start({ ...env, POSTGRES_DSN: database.dsn, PUBLIC_URL: 'https://chat.test' })
  bob = await register(service, undefined)
  const { body } = await call(service, 'GET', '/api/push/key', { headers: bearer(bob.token) })
  publicKey = String(body?.['public_key'])
})
afterAll(async () => {
  await service?.stop()
  await fake?.close()
  await database?.drop()
})

async function declare({ token }: Person, { json }: FakeBrowser): Promise<void> {
  const answer = await call(service, 'PUT', '/api/push/subscription', {
    headers: bearer(token),
    body: { subscription: json },
  })
  expect(answer.status).toBe(204)
}

async function write({ userId }: Person): Promise<void> {
  const answer = await call(service, 'POST', '/api/send_message', {
    headers: bearer(bob.token),
    body: { receiver_id: userId, content: 'hi' },
  })
  expect(answer.status).toBe(201)
}

/** Resolves when a message that came later has been pushed to somebody else: what was to come before has come. */
async function afterwards(): Promise<void> {
  const [later, browser] = [await register(service, undefined), fake.subscribe(publicKey)]
  await declare(later, browser)
  await write(later)
  await fake.pushed(browser)
}

const toldOf = (browser: FakeBrowser): unknown[] => fake.of(browser).map(({ data }) => data.notification.data.of)

test.each([
  ['/api/auth/logout', {}],
  ['/api/auth/logout_all', undefined],
] as const)(
  'after %s and the login of somebody else nobody hears of the one before in this browser',
  async (path, body) => {
    const [ann, cid] = [await register(service, undefined), await register(service, undefined)]
    const browser = fake.subscribe(publicKey)
    await declare(ann, browser)
    await write(ann)
    await fake.pushed(browser)
    expect((await ask(service, path, body, bearer(ann.token))).status).toBe(204)
    // The page did not get to take its subscription back.
    await write(ann)
    await afterwards()
    await declare(cid, browser)
    await write(ann)
    await write(cid)
    await fake.pushed(browser, ({ data }) => data.notification.data.of === cid.userId)
    await afterwards()
    expect(toldOf(browser)).toEqual([ann.userId, cid.userId])
    // Who signs in again on another device is told there.
    const again = await login(service, ann.username)
    const other = fake.subscribe(publicKey)
    await declare(again, other)
    await write(ann)
    await fake.pushed(other)
    expect(toldOf(browser)).toEqual([ann.userId, cid.userId])
    expect(fake.faults).toEqual([])
  },
)
