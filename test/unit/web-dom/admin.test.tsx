// @vitest-environment happy-dom
// What an admin's list of people asks the server for.
import { act } from 'react'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Profile } from '../../../src/client/accounts.ts'
import { People } from '../../../src/web/account/people.tsx'
import { rendered } from './rendered.tsx'

const ME = { user_id: 'amy', display_name: 'Amy', username: 'amy', role: 'admin' } as unknown as Profile
let asked: string[] = []

/** A server with three pages of people. */
async function answer(url: string): Promise<Response> {
  const { pathname, search, searchParams } = new URL(url)
  if (pathname !== '/api/admin/users') return Response.json({ invites: [] })
  asked.push(search)
  const page = Number(searchParams.get('cursor') ?? 1)
  const id = `p${page}`
  const users = [{ user_id: id, display_name: `Person ${page}`, username: id, role: 'member', state: 'active' }]
  return Response.json({ users, next_cursor: page < 3 ? `${page + 1}` : null })
}

beforeEach(() => {
  asked = []
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  vi.stubGlobal('fetch', (url: string) => answer(url))
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

const pass = (ms: number): Promise<void> => act(async () => void (await vi.advanceTimersByTimeAsync(ms)))

test('a page is asked for, the next one on request, and a search only when the typing has stopped', async () => {
  const { element, text } = await rendered(<People me={ME} />)
  await pass(500)
  expect(asked).toEqual([''])
  const more = (): HTMLButtonElement | undefined =>
    [...element.querySelectorAll('button')].find(({ textContent }) => textContent === 'Show more')
  await act(async () => more()?.click())
  await pass(10)
  expect([asked, text()]).toEqual([['', '?cursor=2'], expect.stringMatching(/Person 1.*Person 2/)])
  const field = element.querySelector<HTMLInputElement>('input[type=search]')
  for (const typed of ['a', 'an', 'ann']) {
    await act(async () => {
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')?.set?.call(field, typed)
      field?.dispatchEvent(new Event('input', { bubbles: true }))
    })
    await pass(50)
  }
  await pass(500)
  expect(asked.slice(2)).toEqual(['?search=ann'])
})

test('what an admin has changed is asked for anew, as far as it is shown', async () => {
  const { element } = await rendered(<People me={ME} />)
  await pass(500)
  const press = (text: string): Promise<void> =>
    act(async () => {
      const buttons = [...element.querySelectorAll('button')]
      buttons.find(({ textContent }) => textContent?.startsWith(text))?.click()
      await vi.advanceTimersByTimeAsync(10)
    })
  await press('Show more')
  await press('Make admin')
  expect(asked).toEqual(['', '?cursor=2', '', '?cursor=2'])
  await press('Show more')
  expect(asked.slice(4)).toEqual(['?cursor=3'])
})
