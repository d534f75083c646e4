// @vitest-environment happy-dom
// Somebody leaves in one tab of a browser while others are open: what they do meanwhile.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { accounts } from '../../../src/web/account/accounts.ts'
import { enter, leave, pause } from '../../../src/web/app/session.ts'

const LEAVING = 'leaving-until'
let calls: string[]

beforeEach(() => {
  calls = []
  vi.stubGlobal('WebSocket', class {})
  vi.stubGlobal('fetch', async (url: string | URL) => {
    const { pathname } = new URL(String(url), 'http://x')
    calls.push(pathname)
    if (pathname === '/api/server') return Response.json({ auth: 'accounts', push: false })
    return Response.json({ user: {}, token: 't', expires_at: new Date().toISOString() })
  })
})
afterEach(() => {
  vi.unstubAllGlobals()
  localStorage.clear()
})

/** As another tab of this browser says it. */
function leavesElsewhere(): string {
  const until = String(Date.now() + 5000)
  localStorage.setItem(LEAVING, until)
  return until
}
function hasLeftElsewhere(): void {
  localStorage.removeItem(LEAVING)
  dispatchEvent(new Event('storage'))
}

const FORM = { username: 'bob', password: 'correct horse' }

test.each([
  ['login', () => accounts().login(FORM)],
  ['register', () => accounts().register(FORM)],
])('a form that was open before does not %s before they are gone', async (path, submit) => {
  leavesElsewhere()
  const done = submit()
  // A request that waits for nobody is under way by the time another one has been answered.
  await accounts().server()
  expect(calls).toEqual(['/api/server'])
  hasLeftElsewhere()
  await done
  expect(calls.slice(1)).toEqual([`/api/auth/${path}`])
})

test('a tab that pauses does not end the waiting for one that leaves', async () => {
  enter({ session: true })
  const until = leavesElsewhere()
  await pause()
  expect(localStorage.getItem(LEAVING)).toBe(until)
})

test('a tab that has left keeps nobody out', async () => {
  enter({ session: true })
  const going = leave()
  expect(localStorage.getItem(LEAVING)).not.toBe(null)
  await going
  expect(localStorage.getItem(LEAVING)).toBe(null)
})

test('a link that is open meanwhile opens again afterwards', async () => {
  // As in a tab that has just been opened: what a file before has learned of a server is not known.
  vi.resetModules()
  const { begin, door } = await import('../../../src/web/app/session.ts')
  location.hash = '#invite=abc'
  await begin()
  expect(door.get()).toEqual({ hash: '#invite=abc' })
  leavesElsewhere()
  // As when the server was away for a moment.
  const again = begin()
  await expect.poll(() => door.get().isLeaving).toBe(true)
  hasLeftElsewhere()
  await again
  expect(door.get()).toEqual({ hash: '#invite=abc' })
})
