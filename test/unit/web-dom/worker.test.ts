// @vitest-environment happy-dom
// The service worker, with a browser that is played: what it answers, what it shows of what is pushed, and what it does about a
// subscription.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { isServed } from '../../../src/web/parts/versions.ts'

interface Shown {
  readonly title: string
  readonly tag: string
  readonly renotify?: boolean
  readonly data?: object
  close(): void
}
let shown: Shown[]
let pages: { messages: unknown[] }[]
let calls: string[]

function show(title: string, options: { tag: string; data?: object; renotify?: boolean }): void {
  const one: Shown = {
    title,
    ...options,
    close: () => {
      shown = shown.filter((other) => other !== one)
    },
  }
  shown = [...shown.filter(({ tag }) => tag !== options.tag), one]
}

beforeEach(async () => {
  shown = []
  pages = []
  calls = []
  const json = { endpoint: 'https://push.example/2', keys: {} }
  const pushManager = { getSubscription: async () => null, subscribe: async () => ({ toJSON: () => json }) }
  const around = {
    ...{ BUILD: 'build', FILES: ['/'], PAGES: [] },
    registration: {
      pushManager,
      getNotifications: async ({ tag }: { tag?: string } = {}) =>
        shown.filter((one) => tag === undefined || one.tag === tag),
      showNotification: async (title: string, options: { tag: string }) => show(title, options),
    },
    clients: {
      matchAll: async () =>
        pages.map(({ messages }) => ({ postMessage: (message: unknown) => void messages.push(message) })),
    },
    fetch: async (url: string, { method }: { method: string }) => {
      calls.push(`${method} ${new URL(url).pathname}`)
      return { ok: true, status: 200, headers: new Headers(), json: async () => ({ token: 't', public_key: 'k' }) }
    },
  }
  for (const [name, value] of Object.entries(around)) vi.stubGlobal(name, value)
  await import('../../../src/web/worker/sw.ts')
})

afterEach(() => vi.unstubAllGlobals())

/** Resolves when the worker has done what it has to do about it. */
async function happen(name: string, more: object = {}): Promise<void> {
  const tasks: Promise<unknown>[] = []
  dispatchEvent(Object.assign(new Event(name), more, { waitUntil: (task: Promise<unknown>) => tasks.push(task) }))
  await Promise.all(tasks)
}

const push = (seq: number, more: object = {}): Promise<void> => {
  const about = { kind: 'notify', with: 'bob', seq, ...more }
  const shownAs = { title: `Bob ${seq}`, body: '', navigate: 'https://chat.example/c/bob', tag: 'made' }
  // As the server makes it: whose it is stands in what stays with the notification alone.
  const data = { ...about, notification: { ...shownAs, data: { ...about, of: 'ann' } } }
  return happen('push', { data: { json: () => data } })
}

test('a newer one in place of an older is heard, and one that comes twice is not', async () => {
  const heard: (boolean | undefined)[] = []
  for (const seq of [1, 1, 2]) {
    await push(seq)
    heard.push(shown[0]?.renotify)
  }
  expect([heard, shown.map(({ title }) => title)]).toEqual([[true, false, true], ['Bob 2']])
})

test('a notification knows whose it is', async () => {
  await push(1)
  expect(shown[0]?.data).toMatchObject({ with: 'bob', of: 'ann' })
})

test.each<[string, object, string[]]>([
  ['of the same conversation', { with: 'bob', of: 'ann' }, ['Bob 1']],
  ['that does not say to whom', { with: 'bob' }, ['Bob 1']],
  ['to another person of this browser', { with: 'bob', of: 'zoe' }, ['from a page', 'Bob 1']],
  ['of another conversation', { with: 'dan', of: 'ann' }, ['from a page', 'Bob 1']],
])('a conversation has one notification, also when a page has told of it: one %s', async (_which, data, expected) => {
  show('from a page', { tag: 'ann bob', data })
  await push(1)
  expect(shown.map(({ title }) => title)).toEqual(expected)
})

test('what says nothing of its conversation closes none', async () => {
  show('from a page', { tag: 'ann bob', data: { with: 'bob', of: 'ann' } })
  await push(1, { with: undefined })
  expect(shown.length).toBe(2)
})

test('an exchanged subscription is declared by the open pages, or else by the session', async () => {
  pages = [{ messages: [] }, { messages: [] }]
  await happen('pushsubscriptionchange')
  expect([pages.map(({ messages }) => messages), calls]).toEqual([[[{ type: 'declare' }], [{ type: 'declare' }]], []])
  pages = []
  await happen('pushsubscriptionchange')
  expect(calls).toEqual(['POST /api/auth/token', 'GET /api/push/key', 'PUT /api/push/subscription'])
})

test('the page is kept, and whoever asks what the server has by now is not answered with what is kept', async () => {
  vi.stubGlobal('caches', { open: async () => ({ match: async (path: string) => `kept ${path}` }) })
  const answerTo = async (url: string, mode: string): Promise<unknown> => {
    let answer: unknown
    const request = { method: 'GET', mode, url: new URL(url, location.origin).href }
    const respondWith = (given: unknown): void => {
      answer = given
    }
    dispatchEvent(Object.assign(new Event('fetch'), { request, respondWith }))
    return answer
  }
  const asked: string[] = []
  vi.stubGlobal('fetch', async (url: string) => {
    asked.push(url)
    return { ok: true, text: async () => '<script type="module" src="/assets/a.js">' }
  })
  expect(await isServed()).toBe(true)
  expect([
    await answerTo('/', 'navigate'),
    await answerTo('/?from=home', 'navigate'),
    await answerTo('/', 'cors'),
    ...(await Promise.all(asked.map((url) => answerTo(url, 'cors')))),
  ]).toEqual(['kept /', 'kept /', 'kept /', undefined])
})
