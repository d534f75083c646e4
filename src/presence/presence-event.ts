import type { PresencePush } from '../protocol/events.ts'
import type { PresenceState } from './presence.ts'

export function presenceEvent({ userId, status, lastSeenMs }: PresenceState): PresencePush {
  const event: PresencePush = { type: 'presence', user_id: userId, status }
  return lastSeenMs === undefined ? event : { ...event, last_seen: new Date(lastSeenMs).toISOString() }
}
