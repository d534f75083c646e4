// @vitest-environment happy-dom
// How high the page is while a phone shows its keyboard.
import { afterEach, expect, test, vi } from 'vitest'
import { endAboveKeyboard } from '../../../src/web/parts/viewport.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  document.documentElement.removeAttribute('style')
})

test('the page ends above a keyboard that covers it, and where it ended before when that is gone', () => {
  const seen = Object.assign(new EventTarget(), { height: 844, scale: 1 })
  vi.stubGlobal('visualViewport', seen)
  vi.stubGlobal('innerHeight', 844)
  const back = vi.fn()
  vi.stubGlobal('scrollTo', back)
  endAboveKeyboard()
  const covered = (height: number, scale = 1): string => {
    Object.assign(seen, { height, scale })
    seen.dispatchEvent(new Event('resize'))
    return document.documentElement.style.getPropertyValue('--covered')
  }
  // A bar of the browser; the keyboard; the keyboard gone; somebody who zooms in.
  expect([covered(800), covered(508), covered(844), covered(422, 2)]).toEqual(['0px', '336px', '0px', '0px'])
  expect(back.mock.calls).toEqual([[0, 0]])
})
