import { usePresence, useUser } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { formats, t } from '../texts/index.ts'
import { useMinute } from './now.ts'

export interface Person {
  readonly id: UserId
  /** The id, until the name is known. */
  readonly name: string
  readonly picture: string | undefined
  readonly isOnline: boolean
}

export function usePerson(id: UserId): Person {
  const user = useUser(id)
  const { status } = usePresence(id)
  return { id, name: user?.display_name ?? id, picture: user?.avatar, isOnline: status === 'online' }
}

/** "online", "last seen …", or '' when nobody knows. */
export function usePresenceText(id: UserId): string {
  const { status, last_seen } = usePresence(id)
  const now = useMinute()
  if (status === 'online') return t('presence.online')
  if (status === 'unknown') return ''
  return last_seen === undefined
    ? t('presence.offline')
    : t('presence.seen', { when: formats().past(new Date(last_seen), now) })
}
