// The whole of it once: a fresh database, the link of the start, an invite, two people who talk, and a restart.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { App } from '../../src/app.ts'
import {
  type AccountsBench,
  accountsBench,
  ask,
  bearer,
  cookiesOf,
  OWN_PAGE,
  PASSWORD,
  register,
  secretIn,
} from '../support/accounts.ts'
import { SocketClient } from '../support/socket-client.ts'

let bench: AccountsBench

beforeAll(async () => {
  bench = await accountsBench()
})
afterAll(() => bench?.close())

/** Browsers know the service by one address, whichever port a process of this test takes. */
const ENV = { PUBLIC_URL: 'http://chat.test' }

async function socketOf(token: string, target: App): Promise<SocketClient> {
  const socket = SocketClient.dial(target, '', { headers: bearer(token) })
  await socket.next('welcome')
  return socket
}

test('who opens the link invites somebody; both talk, and both are still signed in after a restart', async () => {
  const app = await bench.start(ENV)
  const first = { username: 'Ann', password: PASSWORD, invite: secretIn(bench.told(), 'bootstrap') }
  const page = await ask(app, '/api/auth/register', first, OWN_PAGE)
  expect([page.status, page.body]).toMatchObject([201, { user: { username: 'Ann', role: 'admin' } }])
  const invite = await ask(app, '/api/invites', {}, bearer(String(page.body?.['token'])))
  expect(invite.body).toMatchObject({ url: `${ENV.PUBLIC_URL}/#invite=${invite.body?.['code']}` })
  const bob = await register(app, String(invite.body?.['code']), { username: 'Bob' })
  const { user_id: annId } = (page.body?.['user'] ?? {}) as { user_id?: string }
  const talk = async (target: App, annToken: string, bobToken: string, text: string): Promise<void> => {
    const [ann, other] = await Promise.all([socketOf(annToken, target), socketOf(bobToken, target)])
    await other.next('synced')
    expect(await ann.ask({ type: 'send', receiver_id: bob.userId, content: text })).toMatchObject({ type: 'sent' })
    const heard = await other.next((frame) => frame.type === 'message' && frame.content === text)
    expect(heard).toMatchObject({ sender_id: annId })
    await Promise.all([ann.close(), other.close()])
  }
  await talk(app, String(page.body?.['token']), bob.token, 'before')
  await bench.stop(app)

  const again = await bench.start(ENV)
  expect(bench.told().split('#bootstrap')).toHaveLength(2)
  const headers = { ...OWN_PAGE, Cookie: cookiesOf(page) }
  const ann = await ask(again, '/api/auth/token', {}, headers)
  const attempt = '0190d1f8-6a5c-7c3e-8a44-1f0f6f2f9b11'
  const renewed = await ask(again, '/api/auth/refresh', { refresh_token: bob.refreshToken, attempt })
  expect([ann.status, renewed.status]).toEqual([200, 200])
  await talk(again, String(ann.body?.['token']), String(renewed.body?.['token']), 'after')
})
