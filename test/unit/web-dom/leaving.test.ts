// @vitest-environment happy-dom
// Somebody leaves in one tab of a browser while others are open: what they do meanwhile.
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { accounts } from '../../../src/web/account/accounts.ts'
import { enter, leave, pause } from '../../../src/web/app/session.ts'

const LEAVING = 'leaving-until of another tab'
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

/** What a tab knows of those that leave: each has loaded the page for itself. */
function aTab(): Promise<typeof import('../../../src/web/parts/leaving.ts')> {
  vi.resetModules()
  return import('../../../src/web/parts/leaving.ts')
}

test('a tab that has left keeps nobody out', async () => {
  const { isSomebodyLeaving } = await aTab()
  enter({ session: true })
  const going = leave()
  expect(isSomebodyLeaving()).toBe(true)
  await going
  expect(isSomebodyLeaving()).toBe(false)
})

test('of two tabs that leave at one time each keeps others out until it has left itself', async () => {
  const [first, second, third] = [await aTab(), await aTab(), await aTab()]
  first.announceLeaving()
  second.announceLeaving()
  second.announceGone()
  expect([third, second, first].map((tab) => tab.isSomebodyLeaving())).toEqual([true, true, false])
  first.announceGone()
  expect(third.isSomebodyLeaving()).toBe(false)
})

test('what a tab has said that was closed meanwhile is removed by the next that leaves', async () => {
  localStorage.setItem(LEAVING, String(Date.now() - 1))
  const { announceLeaving, announceGone } = await aTab()
  announceLeaving()
  announceGone()
  expect(Object.keys(localStorage)).toEqual([])
})

test.each([
  ['ends all sessions', () => accounts().logoutAll()],
  ['ends the account', () => accounts().deleteAccount({ password: 'correct horse' })],
])('who %s keeps others out meanwhile, however long it takes, and until they have left', async (_what, go) => {
  const { isSomebodyLeaving } = await aTab()
  await accounts().login(FORM)
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  let answer: (response: Response) => void = () => undefined
  vi.stubGlobal('fetch', () => new Promise((resolve) => (answer = resolve)))
  const refused = go()
  await vi.advanceTimersByTimeAsync(60_000)
  expect(isSomebodyLeaving()).toBe(true)
  answer(Response.json({ error: { code: 'internal' } }, { status: 500 }))
  await expect(refused).rejects.toThrow()
  expect(isSomebodyLeaving()).toBe(false)
  const done = go()
  await vi.advanceTimersByTimeAsync(60_000)
  answer(new Response(null, { status: 204 }))
  await done
  expect(isSomebodyLeaving()).toBe(true)
  // Whoever has gone so far leaves next. A tab that was closed instead keeps nobody out for long.
  await vi.advanceTimersByTimeAsync(5000)
  expect(isSomebodyLeaving()).toBe(false)
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
