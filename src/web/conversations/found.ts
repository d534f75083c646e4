import { useEffect, useState } from 'react'
import type { Client, User } from '../../client/index.ts'
import { useClient, useConversations } from '../../client/react.ts'
import { USER_ID_PATTERN } from '../../protocol/limits.ts'
import type { UserId } from '../../protocol/message.ts'
import { server } from '../parts/server.ts'
import { fitOf } from './matching.ts'

export interface Found {
  readonly id: UserId
  readonly name: string
}

/** Long enough that not every key is a request. */
const PAUSE_MS = 200
const MIN_SEARCH_LENGTH = 2
const NOBODY: readonly Found[] = []

/** People who fitOf: of the conversations, of those online where everybody may know that, and of the server's directory. */
export function useFoundPeople(text: string): { readonly found: readonly Found[]; readonly exact: UserId | undefined } {
  const client = useClient()
  const conversations = useConversations()
  const others = useAsked(client, text)
  const known = conversations.map(({ with: id }) => ({ id, name: client.user(id).get()?.display_name ?? id }))
  const people = new Map([...others, ...known].map((person) => [person.id, person]))
  people.delete(client.userId)
  const found = [...people.values()]
    .map((person) => ({ person, score: Math.min(fitOf(person.name, text) ?? 9, fitOf(person.id, text) ?? 9) }))
    .filter(({ score }) => score < 9)
    .sort((a, b) => a.score - b.score)
    .map(({ person }) => person)
  const isThere = found.some(({ id }) => id === text)
  // With accounts not every id is somebody's: then the server is asked.
  const mayBe = server.get()?.auth !== 'accounts' && USER_ID_PATTERN.test(text)
  return { found, exact: mayBe && !isThere && text !== client.userId ? text : undefined }
}

/** What the server answers; what cannot be asked for is left out. */
function useAsked(client: Client, text: string): readonly Found[] {
  const [asked, setAsked] = useState(NOBODY)
  useEffect(() => {
    const stop = new AbortController()
    const ask = async (): Promise<void> => {
      const { signal } = stop
      const users = text.length < MIN_SEARCH_LENGTH ? [] : await client.users.search(text, { signal }).catch(() => [])
      const isAsked = server.get()?.auth === 'accounts' && USER_ID_PATTERN.test(text)
      const named = isAsked ? await client.users.get(text).catch(() => undefined) : undefined
      const online = await client.users.online({ signal }).catch(() => [])
      const described = named ? [...users, named] : users
      if (!signal.aborted) setAsked([...online.map((id) => ({ id, name: id })), ...described.map(asFound)])
    }
    const timer = setTimeout(() => void ask(), PAUSE_MS)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [client, text])
  return asked
}

const asFound = ({ user_id, display_name }: User): Found => ({ id: user_id, name: display_name })
