import type { PresenceState } from '../presence/presence.ts'
import type { Presence } from '../protocol/events.ts'

export function presenceEvent({ userId, status, lastSeenMs }: PresenceState): Presence {
  const event: Presence = { type: 'presence', user_id: userId, status }
  return lastSeenMs === undefined ? event : { ...event, last_seen: new Date(lastSeenMs).toISOString() }
}
