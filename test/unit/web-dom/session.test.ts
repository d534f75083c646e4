// @vitest-environment happy-dom
// Who uses this tab: what is left of them when they go.
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts.ts'
import { door, enter, leave, pause, present } from '../../../src/web/app/session.ts'
import { server } from '../../../src/web/parts/server.ts'

let isSubscribed = true

beforeEach(() => {
  isSubscribed = true
  vi.stubGlobal('WebSocket', class {})
  const unsubscribe = async (): Promise<void> => {
    isSubscribed = false
  }
  const pushManager = { getSubscription: async () => ({ endpoint: 'https://push.example/1', unsubscribe }) }
  vi.stubGlobal('navigator', { serviceWorker: { getRegistration: async () => ({ pushManager }) } })
  vi.stubGlobal('fetch', async () => ({ ok: true, status: 204, headers: new Headers() }))
  server.set({ auth: 'none', push: true } as ServerInfo)
})
afterEach(() => {
  vi.unstubAllGlobals()
  server.set(undefined)
})

test.each([
  ['whoever signs out', leave],
  ['whoever is signed out', pause],
])('%s is notified no more, and the door opens once they are gone', async (_who, go) => {
  enter({ userId: 'ann' })
  const going = go()
  expect([present.get(), door.get().isLeaving]).toEqual([undefined, true])
  await going
  expect([isSubscribed, door.get()]).toEqual([false, { hash: '' }])
})

test('whoever signs out leaves the notifications of one who came after, in another tab', async () => {
  enter({ userId: 'ann' })
  localStorage.setItem('name', 'bob')
  await leave()
  expect([isSubscribed, localStorage.getItem('name')]).toEqual([true, 'bob'])
  localStorage.removeItem('name')
})

test('what a tab declares for one who leaves in another tab is undone', async () => {
  const heard: Record<string, (event: object) => void> = {}
  const on = (type: string, hear: (event: object) => void): void => {
    heard[type] = hear
  }
  vi.resetModules()
  vi.doMock('../../../src/client/index.ts', () => ({ createClient: () => ({ on, userId: 'ann' }) }))
  onTestFinished(() => vi.doUnmock('../../../src/client/index.ts'))
  const { enter } = await import('../../../src/web/app/session.ts')
  const { applyPushes } = await import('../../../src/web/parts/pushing.ts')
  const parts = await import('../../../src/web/parts/server.ts')
  parts.server.set({ auth: 'none', push: true } as ServerInfo)
  const isUnderWay = new Promise<void>((resolve) => {
    vi.stubGlobal('fetch', (_url: string, { signal }: RequestInit) => {
      resolve()
      return new Promise((_, reject) => signal?.addEventListener('abort', reject))
    })
  })
  enter({ userId: 'ann' })
  const declared = applyPushes({ userId: 'ann' }, { isOn: true, showsText: false })
  await isUnderWay
  heard['logout']?.({ user_id: 'ann' })
  await declared
  await expect.poll(() => isSubscribed).toBe(false)
})

test('to begin twice at a time makes one client', async () => {
  const answers: Record<string, object> = {
    '/api/server': { auth: 'jwt', push: false },
    '/api/users/me': { user_id: 'ann', display_name: 'Ann' },
  }
  vi.stubGlobal('fetch', async (path: string) => ({ ok: true, status: 200, json: async () => answers[path] }))
  // As in a tab that has just been opened: what a file before has learned of a server is not known.
  vi.resetModules()
  const { begin, leave, present } = await import('../../../src/web/app/session.ts')
  location.hash = '#token=abc'
  const clients: unknown[] = []
  const end = present.subscribe(() => clients.push(present.get()))
  await Promise.all([begin(), begin()])
  expect([clients.length, location.hash]).toEqual([1, ''])
  end()
  await leave()
})
