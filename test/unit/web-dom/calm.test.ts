import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { calmed } from '../../../src/web/parts/calm.ts'
import { Value } from '../../../src/web/parts/store.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** When each value was shown, while one comes every ten milliseconds and a rendering takes so long until its frame. */
function shownTimes(renderingMs: number, forMs: number): number[] {
  vi.stubGlobal('requestAnimationFrame', (task: () => void) => setTimeout(task, renderingMs))
  const store = new Value(0)
  const calm = calmed(store, 80)
  const began = performance.now()
  const times: number[] = []
  const end = calm.subscribe(() => times.push(performance.now() - began))
  for (let at = 0; at < forMs; at += 10) {
    store.set(at + 1)
    vi.advanceTimersByTime(10)
  }
  end()
  return times
}

test('what changes many times in a moment is shown at once, and then after each pause', () => {
  expect(shownTimes(10, 400)).toEqual([0, 80, 160, 240, 320, 400])
})

test('a machine that renders slowly renders less often', () => {
  const [fast, slow] = [shownTimes(10, 3000), shownTimes(60, 3000)]
  expect(slow.length).toBeLessThan(fast.length / 2)
  expect(slow.length).toBeGreaterThan(5)
})

test('a page that was hidden for minutes is up to date half a second after it is seen', () => {
  let frame: () => void = () => undefined
  vi.stubGlobal('requestAnimationFrame', (task: () => void) => {
    frame = task
  })
  const store = new Value('before')
  const calm = calmed(store, 80)
  calm.subscribe(() => undefined)
  store.set('hidden')
  vi.advanceTimersByTime(600_000)
  frame()
  vi.advanceTimersByTime(1)
  store.set('seen')
  vi.advanceTimersByTime(500)
  expect(calm.get()).toBe('seen')
})
