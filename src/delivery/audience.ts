import type { UserId } from '../protocol/message.ts'

/**
 * The people there to see what comes: `nobody`, without an open connection; `away`, all of whose clients said that nobody looks at them;
 * `looking`; or `unknown`, while the other instances cannot be asked.
 */
export type Attention = 'nobody' | 'away' | 'looking' | 'unknown'

/** Over all instances. */
export interface Audience {
  /** To be called whenever a connection of this user opened, closed, or said whether somebody looks at it. */
  changed(userId: UserId): void
  /** In the order asked. Never rejects. */
  of(userIds: readonly UserId[]): Promise<Attention[]>
}

/** The connections of this instance. */
export interface Watchers {
  of(userId: UserId): readonly { readonly isLooking: boolean }[]
}

/** As far as this instance can tell. */
export function attentionHere(watchers: Watchers, userId: UserId): Exclude<Attention, 'unknown'> {
  const connections = watchers.of(userId)
  if (connections.length === 0) return 'nobody'
  return connections.some(({ isLooking }) => isLooking) ? 'looking' : 'away'
}
