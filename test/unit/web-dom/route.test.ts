// @vitest-environment happy-dom
// What the history holds after one has gone into a screen and up from it.
import { beforeEach, expect, test, vi } from 'vitest'
import { goUp, navigate } from '../../../src/web/parts/route.ts'

beforeEach(() => {
  vi.restoreAllMocks()
  history.replaceState(null, '', '/c/ann')
})

test('up to where one came from is back', () => {
  const back = vi.spyOn(history, 'back').mockImplementation(() => undefined)
  navigate('/settings')
  navigate('/settings/profile')
  goUp('/settings')
  expect([back.mock.calls.length, location.pathname]).toEqual([1, '/settings/profile'])
})

test('up to where one did not come from takes the place of the screen, and what lies below stays known', () => {
  const back = vi.spyOn(history, 'back').mockImplementation(() => undefined)
  navigate('/settings')
  goUp('/')
  expect([back.mock.calls.length, location.pathname]).toEqual([0, '/'])
  navigate('/c/bob')
  goUp('/')
  expect(back).toHaveBeenCalledTimes(1)
})
