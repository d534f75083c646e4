// @vitest-environment happy-dom
// What this device wants to hear while no page is open, as it is told to the server.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts.ts'
import { notifying, whyNoNotifications } from '../../../src/web/parts/notifying.ts'
import { declareAgain, declarePushes, stopPushes, undoPushes } from '../../../src/web/parts/pushing.ts'
import { server } from '../../../src/web/parts/server.ts'

const DAY_MS = 86_400_000
let calls: string[]
let subscribed: object | undefined
let status: number

beforeEach(() => {
  calls = []
  subscribed = undefined
  status = 200
  vi.useFakeTimers({ toFake: ['Date'] })
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('Notification', { permission: 'granted' })
  const subscription = {
    endpoint: 'https://push.example/1',
    toJSON: () => ({ endpoint: 'https://push.example/1', keys: {} }),
    unsubscribe: async () => {
      subscribed = undefined
    },
  }
  const pushManager = {
    getSubscription: async () => subscribed ?? null,
    subscribe: async () => {
      subscribed = subscription
      return subscription
    },
  }
  vi.stubGlobal('navigator', { serviceWorker: { getRegistration: async () => ({ pushManager }) } })
  vi.stubGlobal('fetch', async (url: string, { method, headers, signal }: RequestInit & { headers: object }) => {
    signal?.throwIfAborted()
    const who = Object.values(headers).find((value) => /^(ann|bob)$/.test(value)) ?? 'nobody'
    calls.push(`${who} ${method} ${new URL(url).pathname}`)
    return { ok: status < 400, status, headers: new Headers(), json: async () => ({ public_key: '' }) }
  })
  server.set({ push: true } as ServerInfo)
  notifying.set({ isOn: true, showsText: false })
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  server.set(undefined)
  notifying.set({ isOn: false, showsText: false })
})

const DECLARED = ['ann GET /api/push/key', 'ann PUT /api/push/subscription']

test('it is declared with each load of the page, and with a connection that comes a day later', async () => {
  const ann = { userId: 'ann' }
  for (const hours of [0, 1, 22]) {
    vi.advanceTimersByTime(hours * 3_600_000)
    await declarePushes(ann)
  }
  expect(calls).toEqual(DECLARED)
  vi.advanceTimersByTime(DAY_MS)
  await declarePushes(ann)
  expect(calls).toEqual([...DECLARED, ...DECLARED])
  // The browser has another subscription.
  await declareAgain(ann)
  expect(calls.length).toBe(6)
  // As whoever is here now.
  await declarePushes({ userId: 'bob' })
  expect(calls.slice(6)).toEqual(['bob GET /api/push/key', 'bob PUT /api/push/subscription'])
})

test('what the server could not take is declared with the next connection', async () => {
  const ann = { userId: 'ann' }
  status = 503
  await declarePushes(ann)
  status = 200
  await declarePushes(ann)
  expect(calls).toEqual(['ann GET /api/push/key', ...DECLARED])
})

test.each([
  ['it is off', () => notifying.set({ isOn: false, showsText: false })],
  ['the browser gives no permission any more', () => vi.stubGlobal('Notification', { permission: 'default' })],
])('what somebody else has left here ends when %s', async (_when, change) => {
  await declarePushes({ userId: 'ann' })
  change()
  await declarePushes({ userId: 'bob' })
  expect([subscribed, calls.slice(2)]).toEqual([undefined, ['bob DELETE /api/push/subscription']])
})

test('it ends also when nobody can tell the server', async () => {
  await declarePushes({ userId: 'ann' })
  await stopPushes(undefined)
  expect([subscribed, calls]).toEqual([undefined, DECLARED])
})

test.each(['GET', 'PUT'])('a declaration that is under way with its %s ends with the session', async (held) => {
  const answer = fetch
  const isAsked = new Promise<void>((resolve) => {
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      if (init.method !== held) return answer(url, init)
      resolve()
      return new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(init.signal?.reason)))
    })
  })
  const ann = { userId: 'ann' }
  const declared = declarePushes(ann)
  await isAsked
  await stopPushes(ann)
  await declared
  expect([subscribed, calls.filter((call) => call.includes('PUT'))]).toEqual([undefined, []])
})

test.each([
  ['here', () => stopPushes({ userId: 'ann' })],
  ['in another tab', undoPushes],
])('what the browser is doing for one who has gone %s is undone', async (_where, stop) => {
  const { serviceWorker } = navigator
  const registration = await serviceWorker.getRegistration()
  const subscribe = registration?.pushManager.subscribe as () => Promise<object>
  const isAsked = new Promise<() => void>((resolve) => {
    const slow = (): Promise<unknown> => new Promise<void>((go) => resolve(go)).then(subscribe)
    const pushManager = { ...registration?.pushManager, subscribe: slow }
    vi.stubGlobal('navigator', { serviceWorker: { getRegistration: async () => ({ pushManager }) } })
  })
  const declared = declarePushes({ userId: 'ann' })
  const goOn = await isAsked
  const stopped = stop()
  goOn()
  await Promise.all([declared, stopped])
  expect([subscribed, calls.filter((call) => call.includes('PUT'))]).toEqual([undefined, []])
})

test('what nobody is declaring here stays when somebody leaves in another tab', async () => {
  await declarePushes({ userId: 'bob' })
  await undoPushes()
  expect(subscribed).toBeDefined()
})

const forever = (): Promise<never> => new Promise(() => undefined)

test.each([
  ['server', () => vi.stubGlobal('fetch', forever)],
  [
    'push service',
    () => {
      const pushManager = { getSubscription: async () => null, subscribe: forever }
      vi.stubGlobal('navigator', { serviceWorker: { getRegistration: async () => ({ pushManager }) } })
    },
  ],
])('a %s that does not answer does not hold up what is declared later', async (_which, hang) => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
  const [answering, working] = [fetch, navigator]
  hang()
  const first = declarePushes({ userId: 'ann' })
  // By then it is under way: what works again is for the next one.
  await vi.advanceTimersByTimeAsync(0)
  calls = []
  vi.stubGlobal('fetch', answering)
  vi.stubGlobal('navigator', working)
  const second = declarePushes({ userId: 'bob' })
  await vi.advanceTimersByTimeAsync(60_000)
  await Promise.all([first, second])
  expect(calls).toEqual(['bob GET /api/push/key', 'bob PUT /api/push/subscription'])
})

test.each([
  ['iPhone', { userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X)' }, false, 'ios'],
  ['iPad', { userAgent: 'Mozilla/5.0 (Macintosh)', platform: 'MacIntel', maxTouchPoints: 5 }, false, 'ios'],
  ['Mac', { userAgent: 'Mozilla/5.0 (Macintosh)', platform: 'MacIntel', maxTouchPoints: 0 }, false, 'missing'],
  ['old installed page', { userAgent: 'Mozilla/5.0 (iPhone)' }, true, 'missing'],
])('why there are no notifications on an %s', (_device, navigator, isInstalled, why) => {
  vi.stubGlobal('Notification', undefined)
  vi.stubGlobal('navigator', navigator)
  vi.stubGlobal('matchMedia', () => ({ matches: isInstalled }))
  expect(whyNoNotifications()).toBe(why)
})
