// @vitest-environment happy-dom
// What is told outside of the page: in its title and on its icon, and by notifications.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Client, memoryStorage } from '../../../src/client/index.ts'
import { useClient } from '../../../src/client/react.ts'
import { useNotifier } from '../../../src/web/app/notifier.ts'
import { present } from '../../../src/web/app/session.ts'
import { useTitle } from '../../../src/web/app/title.ts'
import { notifying } from '../../../src/web/parts/notifying.ts'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

interface Shown {
  readonly title: string
  readonly data: { readonly with: string; readonly of: string }
  readonly close: () => void
}
let shown: Shown[] = []
let badge: number | undefined

/** A browser with notifications, whose page nobody looks at. */
beforeEach(() => {
  shown = []
  badge = undefined
  const registration = {
    active: {},
    showNotification: async (title: string, { data }: Pick<Shown, 'data'>) => {
      const one = { title, data, close: () => void shown.splice(shown.indexOf(one), 1) }
      shown = [...shown.filter((other) => other.data.with !== data.with), one]
    },
    getNotifications: async () => [...shown],
  }
  const locks = {
    request: async (_name: string, _options: unknown, hold: () => Promise<void>) => hold(),
    query: async () => ({ held: [] }),
  }
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('Notification', { permission: 'granted' })
  for (const [name, value] of Object.entries({
    locks,
    serviceWorker: { getRegistration: async () => registration, addEventListener: () => undefined },
    setAppBadge: async (count: number) => {
      badge = count
    },
  }))
    Object.defineProperty(navigator, name, { value, configurable: true })
  vi.spyOn(document, 'hasFocus').mockReturnValue(false)
  document.head.innerHTML = '<link rel="icon" href="/icon.svg">'
  notifying.set({ isOn: true, showsText: false })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  for (const name of ['locks', 'serviceWorker', 'setAppBadge']) Reflect.deleteProperty(navigator, name)
  present.set(undefined)
  notifying.set({ isOn: false, showsText: false })
})

function Outside() {
  const client = useClient()
  useTitle('Ben')
  useNotifier(client)
  return null
}
/** Of names and pictures, which are asked for by HTTP, nothing is to be had. */
const away = () => Promise.reject(new TypeError('away'))
const icon = () => document.querySelector('link[rel=icon]')?.getAttribute('href')
async function page(client: Client) {
  present.set(client)
  return rendered(<Outside />, client)
}

test('whoever signs out leaves no count, no mark and no notification behind', async () => {
  const { client, server, advance } = fakeChat()
  const amy = client('amy', { fetch: away })
  await advance(500)
  const { render } = await page(amy)
  server.write('ben', 'amy', 'one')
  await act(() => advance(500))
  await vi.waitFor(() => expect([document.title, icon(), badge]).toEqual(['(1) Ben', '/icon-unread.svg', 1]))
  await vi.waitFor(() => expect(shown.map(({ title }) => title)).toEqual(['ben']))
  shown.push({ title: 'of another', data: { with: 'ben', of: 'zoe' }, close: () => expect.unreachable() })
  present.set(undefined)
  await render(<p>the door</p>)
  expect([document.title, icon(), badge]).toEqual(['Messages', '/icon.svg', 0])
  await vi.waitFor(() => expect(shown.map(({ title }) => title)).toEqual(['of another']))
})

test('what came before the page was there is not told; of what came during an outage, the last of each', async () => {
  const { client, server, advance } = fakeChat()
  const storage = memoryStorage()
  const before = client('amy', { storage, fetch: away })
  server.write('ben', 'amy', 'first')
  await advance(1000)
  await before.close()
  for (let n = 1; n <= 30; n += 1) server.write('ben', 'amy', `old ${n}`)
  const amy = client('amy', { storage, fetch: away })
  const told = vi.spyOn(
    await navigator.serviceWorker.getRegistration().then((one) => one as ServiceWorkerRegistration),
    'showNotification',
  )
  await page(amy)
  await act(() => advance(3000))
  expect([amy.status.get().state, amy.conversation('ben').summary.get().unread]).toEqual(['live', 31])
  expect(told).not.toHaveBeenCalled()
  server.write('ben', 'amy', 'now')
  await act(() => advance(500))
  await vi.waitFor(() => expect(told).toHaveBeenCalledTimes(1))
  server.cut()
  for (const from of ['ben', 'ben', 'cid']) server.write(from, 'amy', 'meanwhile')
  await act(() => advance(10_000))
  await vi.waitFor(() => expect(told.mock.calls.map(([title]) => title)).toEqual(['ben', 'ben', 'cid']))
})
