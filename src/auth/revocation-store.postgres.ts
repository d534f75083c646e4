import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import type { Revocation, RevocationStore, RevocationsRead, RevocationTarget } from './revocation-store.ts'
import { issuedAt, nextNotBefore } from './revocation-times.ts'

interface Row {
  readonly user_id: string | null
  readonly session_id: string | null
  readonly jti: string | null
  readonly key_id: string | null
  /** Seconds and milliseconds since the epoch, as text. */
  readonly not_before: string
  readonly expires: string | null
  readonly reason: string | null
}

const COLUMNS = `user_id, session_id, jti, key_id, floor(extract(epoch from not_before))::text as not_before,
  (extract(epoch from expires_at) * 1000)::text as expires, reason`

/** A key's revocation has no end, so `expires_at` is null. */
const ADD = `insert into revocations (user_id, session_id, jti, key_id, actor, not_before, expires_at)
  values ($1, $2, $3, $4, $5, ${nextNotBefore('$1')}, case when $4::text is null then clock_timestamp() + make_interval(secs => $6) end)
  returning ${COLUMNS}`

const SINCE = `select ${COLUMNS} from revocations where at >= to_timestamp($1::float8 / 1000)`
const UNEXPIRED = `select ${COLUMNS} from revocations where expires_at is null or expires_at > clock_timestamp()`
/**
 * Asked before the rows are read: what is committed between the two is read again by the next look. No time limit ends a COMMIT
 * that waits for a standby. A role is told so of its own sessions alone: who revokes under another one is waited for ten seconds.
 */
const NOW = `select (extract(epoch from clock_timestamp()) * 1000)::text as ms,
  (select (extract(epoch from min(xact_start)) * 1000)::text from pg_stat_activity
    where datname = current_database() and wait_event = 'SyncRep') as waiting_since`
const ISSUED_AT = `select ${issuedAt('$1')}`
const REMOVE_EXPIRED = 'delete from revocations where expires_at <= clock_timestamp()'

/** Revocations in the table of that name; rows are never changed. */
export class PostgresRevocationStore implements RevocationStore {
  readonly #queries: Queryable

  constructor(queries: Queryable) {
    this.#queries = queries
  }

  async add(
    target: RevocationTarget,
    { actor, lifetimeSeconds }: { actor: string; lifetimeSeconds: number },
  ): Promise<Revocation> {
    const fields: Partial<Record<'user_id' | 'session_id' | 'jti' | 'key_id', string>> = target
    const { user_id = null, session_id = null, jti = null, key_id = null } = fields
    const values = [user_id, session_id, jti, key_id, actor, lifetimeSeconds]
    const [row] = await this.#queries.query<Row>(ADD, values)
    if (!row) throw new Error('a revocation returned no row')
    return toRevocation(row)
  }

  async since(sinceMs: number | undefined): Promise<RevocationsRead> {
    const [now] = await this.#queries.query<{ ms: string; waiting_since: string | null }>(NOW)
    const rows = await (sinceMs === undefined
      ? this.#queries.query<Row>(UNEXPIRED)
      : this.#queries.query<Row>(SINCE, [sinceMs]))
    const waitingSinceMs = now?.waiting_since == null ? undefined : Number(now.waiting_since)
    return { revocations: rows.map(toRevocation), serverTimeMs: Number(now?.ms), waitingSinceMs }
  }

  async issuedAt(userId: UserId): Promise<number> {
    const [row] = await this.#queries.query<{ issued_at: string }>(ISSUED_AT, [userId])
    if (!row) throw new Error('the time of the database returned no row')
    return Number(row.issued_at)
  }

  async removeExpired(): Promise<void> {
    await this.#queries.query(REMOVE_EXPIRED)
  }
}

function toRevocation({ user_id, session_id, jti, key_id, not_before, expires, reason }: Row): Revocation {
  return {
    target: targetOf({ user_id, session_id, jti, key_id }),
    notBeforeSeconds: Number(not_before),
    expiresAtMs: expires === null ? Number.POSITIVE_INFINITY : Number(expires),
    isSuspension: reason === 'suspended',
    sparesLogins: reason === 'sessionless',
  }
}

function targetOf(row: Pick<Row, 'user_id' | 'session_id' | 'jti' | 'key_id'>): RevocationTarget {
  if (row.user_id !== null) return { user_id: row.user_id }
  if (row.session_id !== null) return { session_id: row.session_id }
  if (row.jti !== null) return { jti: row.jti }
  return { key_id: row.key_id ?? '' }
}
