// @vitest-environment happy-dom
// The doors of a server whose tokens come from elsewhere.
import { act } from 'react'
import { afterEach, expect, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts.ts'
import { StrangerDoor, TokenDoor } from '../../../src/web/account/token-door.tsx'
import { keep, kept } from '../../../src/web/parts/kept.ts'
import { server } from '../../../src/web/parts/server.ts'
import { rendered } from './rendered.tsx'

test('whoever calls themselves like the one who is here is told apart by their id', async () => {
  const [stranger, present] = [
    { id: 'mallory', name: 'Ann Example' },
    { id: 'ann', name: 'Ann Example' },
  ]
  const { element, text } = await rendered(
    <StrangerDoor stranger={stranger} present={present} onAnswer={() => undefined} />,
  )
  expect(element.querySelector('h1')?.textContent).toMatch(/Ann Example.*mallory/)
  expect(text()).toMatch(/signed in here as .*Ann Example.*ann/)
})

const LOGIN = 'https://login.example/'
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  sessionStorage.clear()
  server.set(undefined)
})

test('whoever comes without a token is sent to sign in, and not again when they come back without one', async () => {
  server.set({ auth: 'jwt', login_url: LOGIN } as ServerInfo)
  const assign = vi.spyOn(location, 'assign').mockReturnValue()
  await rendered(<TokenDoor />)
  expect(assign.mock.calls).toEqual([[LOGIN]])
  const { text } = await rendered(<TokenDoor />)
  expect([assign.mock.calls.length, text()]).toEqual([1, expect.stringContaining('Signed out')])
})

test('a browser that keeps nothing sends nobody by itself: it could not know who comes back', async () => {
  server.set({ auth: 'jwt', login_url: LOGIN } as ServerInfo)
  const refuse = (): never => {
    throw new DOMException('denied', 'SecurityError')
  }
  vi.stubGlobal('sessionStorage', { getItem: refuse, setItem: refuse, removeItem: refuse })
  const assign = vi.spyOn(location, 'assign').mockReturnValue()
  const { element } = await rendered(<TokenDoor />)
  expect(assign.mock.calls).toEqual([])
  await act(async () => element.querySelector('button')?.click())
  expect(assign.mock.calls).toEqual([[LOGIN]])
  // A token that a link brings is there for as long as the page is.
  keep('token', 'abc', 'sessionStorage')
  expect(kept('token', 'sessionStorage')).toBe('abc')
  keep('token', undefined, 'sessionStorage')
  keep('sent-to-login', undefined, 'sessionStorage')
  expect(kept('token', 'sessionStorage')).toBe(undefined)
})
