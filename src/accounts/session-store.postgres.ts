import { issuedAt } from '../auth/revocation-times.ts'
import type { Queries } from '../postgres/queries.ts'
import { asUuid } from '../postgres/uuid-text.ts'
import type { UserId } from '../protocol/message.ts'
import { holdAccount } from './account-rows.postgres.ts'
import type { OpenSession } from './account-store.ts'
import { writeAudit } from './audit-log.postgres.ts'
import type { SessionKey } from './known-sessions.ts'
import { IDLE_SECONDS, type Session } from './session.ts'
import { endSessions, revokeUser, type TokenLife } from './session-rows.postgres.ts'
import type { RefreshState, SessionStore, SessionsEnd } from './session-store.ts'

interface OpenRow {
  readonly session_id: string
  readonly user_id: string
  readonly issued_at: string
}

/** Whether a login still counts. */
const IS_OPEN = `s.revoked_at is null and s.expires_at > clock_timestamp()
  and s.last_used_at > clock_timestamp() - interval '${IDLE_SECONDS} seconds'`
const OPEN_COLUMNS = `s.session_id::text, s.user_id, ${issuedAt('s.user_id')}`

const BY_COOKIE = `select ${OPEN_COLUMNS}, s.last_used_at < now() - interval '5 minutes' as is_stale
  from sessions s join accounts a using (user_id) where s.secret_hash = $1 and a.state = 0 and ${IS_OPEN}`
const USED = 'update sessions set last_used_at = now() where session_id = $1'
const REFRESH_STATE = `select ${OPEN_COLUMNS}, s.mac_key, s.refresh_counter, s.last_attempt::text,
    array(select extract(epoch from clock_timestamp() - used) * 1000
      from unnest(array_prepend(s.rotated_at, s.rotated_before)) with ordinality u(used, nth)
      where used is not null order by nth)::float8[] as used_ago
  from sessions s join accounts a using (user_id)
  where s.session_id = $1 and s.mac_key is not null and a.state = 0 and ${IS_OPEN}`
/** Of the tokens of a login: more are hardly used within seconds. */
const REMEMBERED_USES = 16
/** One statement: of two that come with the same token one finds the counter it asks for. */
const ROTATE = `update sessions s
  set refresh_counter = $2::int + 1, last_attempt = $3, rotated_at = clock_timestamp(), last_used_at = clock_timestamp(),
    rotated_before = (array_prepend(rotated_at, rotated_before))[1:${REMEMBERED_USES - 1}]
  where s.session_id = $1 and s.refresh_counter <= $2 and ${IS_OPEN} returning ${OPEN_COLUMNS}`
/**
 * $1 how many, $2 of how many logins, the latest: those have an index, where the time of the last use would be written there again
 * and again. All logins last equally long, so the order of their ends is that of their beginnings.
 */
const USED_LAST = `select session_id::text, secret_hash
  from (select * from sessions s where ${IS_OPEN} order by s.expires_at desc limit $2) latest
  order by last_used_at desc limit $1`
const LOGINS_PER_USED = 5
const LIST = `select s.session_id::text, s.user_id, s.device_name, s.created_at, s.last_used_at from sessions s
  where s.user_id = $1 and ${IS_OPEN} order by s.last_used_at desc, s.session_id`
/** $1 which, $2 seconds: a row if it is younger. */
export const IS_FRESH = `select from sessions where session_id = ${asUuid('$1::text')} and created_at > clock_timestamp() - make_interval(secs => $2)`

/** Sessions in the table of that name. */
export class PostgresSessionStore implements SessionStore {
  readonly #queries: Queries
  readonly #life: TokenLife

  constructor(queries: Queries, life: TokenLife) {
    this.#queries = queries
    this.#life = life
  }

  async byCookie(secretHash: Buffer): Promise<OpenSession | undefined> {
    const [row] = await this.#queries.query<OpenRow & { is_stale: boolean }>(BY_COOKIE, [secretHash])
    if (row?.is_stale) await this.#queries.query(USED, [row.session_id])
    return row && toOpen(row)
  }

  async refreshState(sessionId: string): Promise<RefreshState | undefined> {
    type Row = OpenRow & { mac_key: Buffer; refresh_counter: number; last_attempt: string | null; used_ago: number[] }
    const [row] = await this.#queries.query<Row>(REFRESH_STATE, [sessionId])
    return (
      row && {
        ...toOpen(row),
        macKey: row.mac_key,
        counter: row.refresh_counter,
        lastAttempt: row.last_attempt ?? undefined,
        usedAgoMs: row.used_ago,
      }
    )
  }

  async rotate(sessionId: string, counter: number, attempt: string): Promise<OpenSession | undefined> {
    const [row] = await this.#queries.query<OpenRow>(ROTATE, [sessionId, counter, attempt])
    return row && toOpen(row)
  }

  async usedLast(count: number): Promise<SessionKey[]> {
    const rows = await this.#queries.query<{ session_id: string; secret_hash: Buffer | null }>(USED_LAST, [
      count,
      LOGINS_PER_USED * count,
    ])
    return rows.map(({ session_id, secret_hash }) => secret_hash ?? session_id).reverse()
  }

  async list(userId: UserId): Promise<Session[]> {
    type Row = { session_id: string; user_id: string; device_name: string | null; created_at: Date; last_used_at: Date }
    const rows = await this.#queries.query<Row>(LIST, [userId])
    return rows.map((row) => ({
      sessionId: row.session_id,
      userId: row.user_id,
      deviceName: row.device_name ?? undefined,
      createdAtMs: row.created_at.getTime(),
      lastUsedAtMs: row.last_used_at.getTime(),
    }))
  }

  end(userId: UserId, sessionId: string | undefined, { because, actor }: SessionsEnd): Promise<number> {
    return this.#queries.transaction(async (transaction) => {
      const isAll = sessionId === undefined
      if (isAll) await holdAccount(transaction, userId)
      const ended = isAll ? { userId } : { userId, sessionIds: [sessionId] }
      const ids = await endSessions(transaction, ended, { ...this.#life, because, actor: actor.id })
      if (isAll) await revokeUser(transaction, userId, { ...this.#life, actor: actor.id, reason: 'sessionless' })
      if (ids.length === 0 && !isAll) return 0
      const details = { sessions: ids.length, ...(!isAll && { session: sessionId }) }
      writeAudit(transaction, { actor, action: because, target: userId, details })
      return ids.length
    })
  }

  async isFresh(sessionId: string, seconds: number): Promise<boolean> {
    return (await this.#queries.query(IS_FRESH, [sessionId, seconds])).length > 0
  }
}

function toOpen({ session_id, user_id, issued_at }: OpenRow): OpenSession {
  return { sessionId: session_id, userId: user_id, issuedAtSeconds: Number(issued_at) }
}
