// @vitest-environment happy-dom
// Whom the search offers to write to.
import { act } from 'react'
import { afterEach, expect, test, vi } from 'vitest'
import type { ServerInfo } from '../../../src/client/accounts.ts'
import type { Client } from '../../../src/client/index.ts'
import { useFoundPeople } from '../../../src/web/conversations/found.ts'
import { server } from '../../../src/web/parts/server.ts'
import { rendered } from './rendered.tsx'

afterEach(() => server.set(undefined))

function Found({ text }: { text: string }) {
  const { found, exact } = useFoundPeople(text)
  return (
    <p>
      {found.map(({ id, name }) => `${id} ${name}, `)}
      {exact ?? 'nobody'}
    </p>
  )
}

/** A directory with one person; the search for others finds nobody. */
async function offered(auth: ServerInfo['auth'], text: string): Promise<string> {
  server.set({ auth } as ServerInfo)
  const none: [] = []
  const online = vi.fn(async () => [])
  const client = {
    userId: 'me',
    conversations: { get: () => none, subscribe: () => () => undefined },
    users: {
      ...{ search: async () => [], online },
      get: async (id: string) => (id === 'u7k2' ? { user_id: id, display_name: 'Carol' } : undefined),
    },
  } as unknown as Client
  const shown = await rendered(<Found text={text} />, client)
  await act(() => vi.waitFor(() => expect(online.mock.calls.length).toBe(1)))
  return shown.text()
}

test.each<[ServerInfo['auth'], string, string]>([
  ['none', 'carol', 'carol'],
  ['jwt', 'carol', 'carol'],
  ['accounts', 'carol', 'nobody'],
  ['accounts', 'u7k2', 'u7k2 Carol, nobody'],
])('with AUTH=%s, who types %s', async (auth, text, expected) => {
  expect(await offered(auth, text)).toBe(expected)
})
