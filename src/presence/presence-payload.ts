import type { UserId } from '../protocol/message.ts'
import type { PresenceState } from './presence.ts'

/** Milliseconds since the epoch, and none that no date can have. */
const TIME = /^\d{1,15}$/

/** What the channel of a user tells of them; undefined where it is nothing that this version says there. */
export function heardState(userId: UserId, payload: string): PresenceState | undefined {
  const [status, ms] = payload.split(' ')
  if (status === 'online') return { userId, status }
  const lastSeenMs = timeIn(ms)
  return status === 'offline' && lastSeenMs !== undefined ? { userId, status, lastSeenMs } : undefined
}

/** A time as the scripts write it into Redis; undefined where there is none, or something else. */
export function timeIn(text: string | null | undefined): number | undefined {
  return text !== null && text !== undefined && TIME.test(text) ? Number(text) : undefined
}
