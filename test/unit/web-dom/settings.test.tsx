// @vitest-environment happy-dom
// The settings of somebody with an account, while the server does not answer.
import { act } from 'react'
import { afterEach, expect, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts-types.ts'
import { Settings } from '../../../src/web/account/settings.tsx'
import { server } from '../../../src/web/parts/server.ts'
import { fakeChat } from '../../support/fake-chat.ts'
import { rendered } from './rendered.tsx'

afterEach(() => {
  vi.unstubAllGlobals()
  server.set(undefined)
})

test('what the server did not say about an account is said to be missing, and asked for again', async () => {
  server.set({ auth: 'accounts', version: '1' } as unknown as ServerInfo)
  const { client, advance } = fakeChat()
  const amy = client('amy', { fetch: (url, init) => fetch(url, init as RequestInit) })
  await advance(500)
  vi.stubGlobal('isSecureContext', false)
  let isAway = true
  const profile = { user_id: 'amy', display_name: 'Amy', username: 'amy_1', role: 'member' }
  vi.stubGlobal('fetch', async () => {
    if (isAway) throw new TypeError('network')
    return Response.json(profile)
  })
  const { element, text } = await rendered(<Settings part="profile" onLeave={() => undefined} />, amy)
  await vi.waitFor(() => expect(element.querySelector('[role=alert]')?.textContent).toMatch(/cannot be reached/))
  isAway = false
  const again = [...element.querySelectorAll('button')].find(({ textContent }) => textContent === 'Try now')
  await act(async () => again?.click())
  await vi.waitFor(() => expect(text()).toContain('Profile'))
})
