import type { UserId } from '../protocol/message.ts'
import type { OpenSession } from './account-store.ts'
import type { Actor, AuditAction } from './audit.ts'
import type { SessionKey } from './known-sessions.ts'
import type { EndReason, Session } from './session.ts'

/** What decides whether a refresh token is good. */
export interface RefreshState extends OpenSession {
  readonly macKey: Buffer
  /** The token that is good next. */
  readonly counter: number
  readonly lastAttempt: string | undefined
  /** How long ago tokens were used, by the database's clock, the latest first and not those long past; milliseconds. */
  readonly usedAgoMs: readonly number[]
}

export interface SessionsEnd {
  readonly because: EndReason & AuditAction
  readonly actor: Actor
}

/** Logins that are open. Each method is one transaction, audit included; all reject without it. */
export interface SessionStore {
  /** By the hash of the cookie; undefined once the session has ended. Notes the use, every five minutes at most. */
  byCookie(secretHash: Buffer): Promise<OpenSession | undefined>
  /** Undefined once the session has ended, and for one that has no refresh tokens. */
  refreshState(sessionId: string): Promise<RefreshState | undefined>
  /** Makes `counter + 1` the next one, unless a later one is: then undefined. A counter that the database has forgotten counts. */
  rotate(sessionId: string, counter: number, attempt: string): Promise<OpenSession | undefined>
  /** What those that were used last go on by, so many at most, the oldest first. Looks among the latest logins. */
  usedLast(count: number): Promise<SessionKey[]>
  list(userId: UserId): Promise<Session[]>
  /** Ends one session of this person, or all, and with all of them tokens that belong to none. Returns how many were open. */
  end(userId: UserId, sessionId: string | undefined, end: SessionsEnd): Promise<number>
  /** Whether the login is at most so old. */
  isFresh(sessionId: string, seconds: number): Promise<boolean>
}
