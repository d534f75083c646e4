// @vitest-environment happy-dom
// Parts of the page that are fetched when they are wanted, while the network fails.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Later, Part } from '../../../src/web/parts/later.tsx'
import { startVersions } from '../../../src/web/parts/versions.ts'
import { rendered } from './rendered.tsx'

let served: string | undefined
const reload = vi.fn()
/** The page listens once. */
let starting: Promise<void> | undefined

beforeEach(async () => {
  served = undefined
  reload.mockReset()
  vi.spyOn(location, 'reload').mockImplementation(reload)
  vi.stubGlobal('isSecureContext', false)
  starting ??= startVersions()
  await starting
  vi.stubGlobal('fetch', async () => {
    if (served === undefined) throw new TypeError('no network')
    return { ok: true, text: async () => `<script type="module" crossorigin src="${served}"></script>` }
  })
  // What the page itself was made of.
  const script = document.head.appendChild(document.createElement('script'))
  script.setAttribute('type', 'module')
  Object.assign(script, { getAttribute: () => '/assets/index-1.js' })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  document.head.innerHTML = ''
})

/** Everything that waits for nothing outside has come about. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))

/** A part that cannot be fetched so many times. */
async function shown(failures: number) {
  let asked = 0
  const part = new Part(async () => {
    asked += 1
    if (asked <= failures) throw new TypeError('Failed to fetch dynamically imported module')
    return () => <p>here it is</p>
  })
  const { element, text } = await rendered(<Later part={part} props={{}} failed={(content) => content} />)
  const retry = () => act(async () => element.querySelector('button')?.click())
  return { text, retry }
}

test('what could not be fetched is fetched when the person wants it, and the page stays', async () => {
  const { text, retry } = await shown(2)
  expect(text()).toContain('The server cannot be reached')
  await retry()
  // Nor is there a server to load the page from.
  expect(text()).toContain('Try now')
  await retry()
  expect([text(), reload.mock.calls.length]).toEqual(['here it is', 0])
})

test('a browser that does not fetch again loads the page anew, once there is a server', async () => {
  const { text, retry } = await shown(3)
  await retry()
  served = '/assets/index-1.js'
  await retry()
  expect([text().includes('Try now'), reload.mock.calls.length]).toEqual([true, 1])
})

test.each([
  ['the server cannot be reached', undefined, 0],
  ['the server has this build', '/assets/index-1.js', 0],
  ['the server has another build', '/assets/index-2.js', 1],
])('a missing part loads the page anew only for another build: %s', async (_when, build, times) => {
  served = build
  dispatchEvent(new Event('vite:preloadError'))
  await turn()
  expect(reload.mock.calls.length).toBe(times)
})

test('a page that was just loaded anew for it is not again', async () => {
  served = '/assets/index-2.js'
  vi.spyOn(performance, 'getEntriesByType').mockReturnValue([{ type: 'reload' }] as never)
  vi.spyOn(performance, 'now').mockReturnValue(900)
  dispatchEvent(new Event('vite:preloadError'))
  await turn()
  expect(reload.mock.calls.length).toBe(0)
})
