// @vitest-environment happy-dom
// What this device wants to hear is told again to a server whose history is another one.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts.ts'
import type { Client } from '../../../src/client/index.ts'
import { useNotifier } from '../../../src/web/app/notifier.ts'
import { present } from '../../../src/web/app/session.ts'
import { identity } from '../../../src/web/parts/identity.ts'
import { notifying } from '../../../src/web/parts/notifying.ts'
import { server as known } from '../../../src/web/parts/server.ts'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

let calls: string[]

beforeEach(() => {
  calls = []
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('Notification', { permission: 'granted' })
  const subscription = { endpoint: 'https://push.example/1', toJSON: () => ({ keys: {} }) }
  const pushManager = { getSubscription: async () => subscription, subscribe: async () => subscription }
  const registration = { pushManager, getNotifications: async () => [] }
  const serviceWorker = { addEventListener: () => undefined, getRegistration: async () => registration }
  vi.stubGlobal('navigator', { serviceWorker, locks: { request: async () => undefined } })
  vi.stubGlobal('fetch', async (url: string, { method }: RequestInit) => {
    calls.push(`${method} ${new URL(url).pathname}`)
    return { ok: true, status: 200, headers: new Headers(), json: async () => ({ public_key: '' }) }
  })
  known.set({ push: true } as ServerInfo)
  notifying.set({ isOn: true, showsText: false })
})
afterEach(() => {
  vi.unstubAllGlobals()
  known.set(undefined)
  notifying.set({ isOn: false, showsText: false })
  identity.set(undefined)
  present.set(undefined)
})

function Notifying({ client }: { client: Client }) {
  useNotifier(client)
  return null
}

test('a subscription is declared again when the server was set back, and at no other reconnect', async () => {
  const { client, server, advance } = fakeChat()
  const ann = client('ann', { fetch: (url, init) => fetch(url, init as RequestInit) })
  identity.set({ userId: 'ann' })
  present.set(ann)
  await rendered(<Notifying client={ann} />)
  await advance(1000)
  server.cut()
  await advance(30_000)
  expect([ann.status.get().state, calls]).toEqual(['live', []])
  server.epoch = 'second'
  server.cut()
  await advance(30_000)
  await vi.waitFor(() => expect(calls).toEqual(['GET /api/push/key', 'PUT /api/push/subscription']))
})
