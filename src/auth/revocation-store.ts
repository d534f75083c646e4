import type { UserId } from '../protocol/message.ts'

/** The subject of a revocation: every token of a user up to now, one login, one token, or one service key. */
export type RevocationTarget =
  | { readonly user_id: UserId }
  | { readonly session_id: string }
  | { readonly jti: string }
  | { readonly key_id: string }

export interface Revocation {
  readonly target: RevocationTarget
  /** Of a user: tokens whose `iat` is not later than this second are refused. */
  readonly notBeforeSeconds: number
  /** When no token that it refuses can be valid any more, by the database's clock; milliseconds since the epoch. */
  readonly expiresAtMs: number
  /** Of a user: the account is suspended or deleted, so that nobody needs to come back with another token. */
  readonly isSuspension?: boolean
  /** Of a user: tokens with a `sid` are spared, because their logins have ended or go on by themselves. */
  readonly sparesLogins?: boolean
}

/** Who revokes: `key <id>`, `command line`, or a user id; and where the request came from, if one did. */
export interface Revoker {
  readonly actor: string
  readonly address?: string
  readonly requestId?: string
}

export interface RevocationsRead {
  readonly revocations: readonly Revocation[]
  readonly serverTimeMs: number
  /** When the first of those transactions began whose COMMIT waits for a standby: what they revoke is seen when it comes, however late. */
  readonly waitingSinceMs?: number | undefined
}

/** Durable revocations. All reject when the database refuses or is away. */
export interface RevocationStore {
  /** Resolves once it is committed. `lifetimeSeconds`: how long the longest token lives; keys are revoked for ever. */
  add(target: RevocationTarget, options: Revoker & { readonly lifetimeSeconds: number }): Promise<Revocation>
  /** Those of this time or later by the database's clock, milliseconds since the epoch; without it all that are unexpired. */
  since(sinceMs: number | undefined): Promise<RevocationsRead>
  /** The second, by the database's clock, from which no revocation so far refuses a token of this user: what `iat` is to be. */
  issuedAt(userId: UserId): Promise<number>
  removeExpired(): Promise<void>
}

/** One text for one target. */
export function targetKey(target: RevocationTarget): string {
  const [[kind, name] = []] = Object.entries(target)
  return `${kind} ${name}`
}
