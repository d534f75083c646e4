// @vitest-environment happy-dom
// New versions of the page.
import { afterEach, expect, test, vi } from 'vitest'
import { newVersion, startVersions } from '../../../src/web/parts/versions.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  newVersion.set(undefined)
})

test('one that was found while the page was starting is offered as well', async () => {
  const installing = new EventTarget()
  const registration = Object.assign(new EventTarget(), { installing })
  vi.stubGlobal('isSecureContext', true)
  vi.stubGlobal('navigator', { serviceWorker: { controller: {}, register: async () => registration } })
  await startVersions()
  expect(newVersion.get()).toBe(undefined)
  Object.assign(registration, { installing: null, waiting: installing })
  installing.dispatchEvent(new Event('statechange'))
  expect(newVersion.get()).toBeTypeOf('function')
})
