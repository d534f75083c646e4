import type { UserId } from '../protocol/message.ts'

/** A login that was not ended. */
export interface Session {
  readonly sessionId: string
  readonly userId: UserId
  readonly deviceName: string | undefined
  readonly createdAtMs: number
  readonly lastUsedAtMs: number
}

/** What a login leaves at the client: a page has a cookie that stays the same, a program has refresh tokens. */
export type SessionSecret =
  | { readonly kind: 'cookie'; readonly secretHash: Buffer }
  | { readonly kind: 'refresh'; readonly macKey: Buffer }

export interface NewSession {
  readonly userId: UserId
  readonly secret: SessionSecret
  /** What is kept of the token by which its device is known. */
  readonly deviceHash: Buffer
  readonly deviceName: string | undefined
  readonly userAgent: string | undefined
  readonly address: string
}

/** Why sessions end; kept with them, and in the words of the audit. */
export type EndReason =
  | 'logout'
  | 'logout_all'
  | 'login'
  | 'session_end'
  | 'password_change'
  | 'password_recover'
  | 'password_reset'
  | 'refresh_reuse'
  | 'revoke'
  | 'suspend'
  | 'delete'
  | 'too_many'

/** After so long, however much it was used; seconds. */
export const SESSION_SECONDS = 180 * 86_400
/** After so long without use; seconds. */
export const IDLE_SECONDS = 30 * 86_400
/** Of one person; the one that was idle for the longest leaves. */
export const MAX_SESSIONS = 50
