// @vitest-environment happy-dom
// What the page takes the server for before the server has said so.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

const INFO = { name: 'messaging-server', version: '1', auth: 'none', push: false, max_content_bytes: 16_384 }
let answers: ((info: object | undefined) => void)[]
const reload = vi.fn()

beforeEach(() => {
  answers = []
  reload.mockReset()
  localStorage.clear()
  vi.resetModules()
  vi.spyOn(location, 'reload').mockImplementation(reload)
  vi.stubGlobal(
    'fetch',
    () =>
      new Promise((resolve, reject) =>
        answers.push((info) => (info ? resolve({ ok: true, json: async () => info }) : reject(new TypeError('away')))),
      ),
  )
})
afterEach(() => {
  localStorage.clear()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** The page as it is loaded anew. */
const load = () => import('../../../src/web/parts/server.ts')
const late = (): Promise<string> => new Promise((resolve) => setTimeout(resolve, 0, 'it waits for the server'))
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))

test('a server that does not answer is what it was, at once; what it says later is what it is', async () => {
  const first = await load()
  const asked = first.askServer()
  answers[0]?.(INFO)
  expect(await asked).toEqual(INFO)
  vi.resetModules()
  const { askServer, server } = await load()
  const info = await Promise.race([askServer(), late()])
  expect(info).toEqual(INFO)
  server.set(info as never)
  const newer = { ...INFO, version: '2', push: true }
  answers[1]?.(newer)
  await settled()
  expect([server.get(), reload.mock.calls.length]).toEqual([newer, 0])
})

test('one where people now sign in otherwise is begun with anew', async () => {
  localStorage.setItem('server', JSON.stringify(INFO))
  const { askServer } = await load()
  await askServer()
  answers[0]?.({ ...INFO, auth: 'accounts' })
  await settled()
  expect(reload.mock.calls.length).toBe(1)
  expect(localStorage.getItem('server')).toContain('accounts')
})

test('of two that take turns the page does not follow each change', async () => {
  localStorage.setItem('server', JSON.stringify(INFO))
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{ type: 'reload' }] as never)
  const now = vi.spyOn(performance, 'now').mockReturnValue(500)
  const { askServer } = await load()
  await askServer()
  answers[0]?.({ ...INFO, auth: 'accounts' })
  await settled()
  expect(reload.mock.calls.length).toBe(0)
  now.mockReturnValue(60_000)
  await askServer()
  answers[1]?.({ ...INFO, auth: 'accounts' })
  await settled()
  expect(reload.mock.calls.length).toBe(1)
})

test('one of which nothing is known is waited for, and asked again', async () => {
  const { askServer } = await load()
  const asked = askServer()
  answers[0]?.(undefined)
  expect(await asked).toBe(undefined)
  const again = askServer()
  answers[1]?.(INFO)
  expect(await again).toEqual(INFO)
})
