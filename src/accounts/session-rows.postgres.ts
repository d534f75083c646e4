import { nextNotBefore } from '../auth/revocation-times.ts'
import type { Queryable } from '../postgres/queries.ts'
import { asUuid } from '../postgres/uuid-text.ts'
import type { UserId } from '../protocol/message.ts'
import { type EndReason, MAX_SESSIONS, type NewSession, SESSION_SECONDS } from './session.ts'

const CREATE = `insert into sessions (user_id, kind, secret_hash, mac_key, device_name, user_agent, address, device_hash, expires_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9)) returning session_id::text`
const LOGGED_IN = 'update accounts set last_login_at = now() where user_id = $1'
/** Also one that was revoked: the index of the others would be looked through while there are few (`kept-plan.ts`). */
export const sessionOfCookie = (hash: string): string => `select * from sessions where secret_hash = ${hash} offset 0`
/** Those beyond the number that a person may have, the one idle for the longest first. */
const TOO_MANY = `select session_id::text from sessions where user_id = $1 and revoked_at is null
  order by last_used_at desc, session_id offset $2`

/** Makes a session in this transaction, and ends those that are then too many. */
export async function createSession(
  transaction: Queryable,
  session: NewSession,
  lives: TokenLife,
): Promise<{ readonly sessionId: string; readonly tooMany: readonly string[] }> {
  const { userId, secret, deviceName, userAgent, address, deviceHash } = session
  const [hash, key] = secret.kind === 'cookie' ? [secret.secretHash, null] : [null, secret.macKey]
  await transaction.query(LOGGED_IN, [userId])
  const client = [deviceName ?? null, userAgent ?? null, address, deviceHash]
  const values = [userId, secret.kind, hash, key, ...client, SESSION_SECONDS]
  const [row] = await transaction.query<{ session_id: string }>(CREATE, values)
  if (!row) throw new Error('a new session returned no row')
  const old = await transaction.query<{ session_id: string }>(TOO_MANY, [userId, MAX_SESSIONS])
  const tooMany = old.map(({ session_id }) => session_id)
  if (tooMany.length > 0) {
    const ended = { userId, sessionIds: tooMany }
    await endSessions(transaction, ended, { ...lives, because: 'too_many', actor: 'service' })
  }
  return { sessionId: row.session_id, tooMany }
}

/** How long the longest token of a session may still be good; seconds. */
export interface TokenLife {
  readonly lifetimeSeconds: number
}

/** Which sessions of one person: all, all but one, or these. */
export type EndedSessions = { readonly userId: UserId } & (
  | { readonly except?: string | undefined; readonly sessionIds?: undefined }
  | { readonly sessionIds: readonly string[] }
)

export interface Ending extends TokenLife {
  readonly because: EndReason
  /** The name of the actor, as `revocations` shows it. */
  readonly actor: string
}

const END = `with ended as (
    update sessions set revoked_at = now(), revoked_because = $2
    where user_id = $1 and revoked_at is null
      and ($3::text is null or session_id::text <> $3) and ($4::text[] is null or session_id::text = any($4))
    returning session_id)
  insert into revocations (session_id, actor, expires_at)
    select session_id::text, $5, clock_timestamp() + make_interval(secs => $6) from ended
  returning session_id`

/**
 * Ends sessions in this transaction: their tokens are refused and their sockets closed on every instance, each by its id, so that
 * a login of the same second is spared. Returns their ids. Once it is committed the caller calls `Revocations.added`.
 */
export async function endSessions(transaction: Queryable, ended: EndedSessions, ending: Ending): Promise<string[]> {
  const except = ended.sessionIds === undefined ? (ended.except ?? null) : null
  const values = [ended.userId, ending.because, except, ended.sessionIds ?? null, ending.actor, ending.lifetimeSeconds]
  const rows = await transaction.query<{ session_id: string }>(END, values)
  return rows.map(({ session_id }) => session_id)
}

const OWNER = `select user_id from sessions where session_id = ${asUuid('$1::text')}`

/** The owner of a session; undefined where there is none of this name, which may be any text. */
export async function ownerOfSession(transaction: Queryable, sessionId: string): Promise<UserId | undefined> {
  const [row] = await transaction.query<{ user_id: string }>(OWNER, [sessionId])
  return row?.user_id
}

const REVOKE_USER = `insert into revocations (user_id, actor, reason, not_before, expires_at)
  values ($1, $2, $3, ${nextNotBefore('$1')}, clock_timestamp() + make_interval(secs => $4))`

/**
 * Refuses every token of a person up to now, of whatever session, in this transaction. With `suspended` their sockets close with
 * 4403; with `sessionless` tokens of sessions are spared, which end one by one. A login afterwards gets tokens that are later: see `auth/revocation-times.ts`.
 */
export async function revokeUser(
  transaction: Queryable,
  userId: UserId,
  options: TokenLife & { readonly actor: string; readonly reason: 'suspended' | 'sessionless' | null },
): Promise<void> {
  await transaction.query(REVOKE_USER, [userId, options.actor, options.reason, options.lifetimeSeconds])
}
