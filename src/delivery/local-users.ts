import type { UserId } from '../protocol/message.ts'
import type { Recipient } from './recipient.ts'

/** The users who are connected to this instance. */
export interface LocalUsers {
  /** Connections of this user, oldest first. */
  of(userId: UserId): readonly Recipient[]
  /** Everybody with a connection here. */
  ids(): UserId[]
}
