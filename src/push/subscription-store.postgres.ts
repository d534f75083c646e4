import { createHash } from 'node:crypto'
import type { Queries } from '../postgres/queries.ts'
import { asUuid } from '../postgres/uuid-text.ts'
import type { UserId } from '../protocol/message.ts'
import {
  type Declaration,
  PUSH_CONTENTS,
  type Subscription,
  type SubscriptionStore,
  type Verdict,
} from './subscription.ts'

export interface SubscriptionRow {
  readonly id: string
  readonly user_id: UserId
  readonly endpoint: string
  readonly host: string
  readonly p256dh: string
  readonly auth: string
  readonly vapid_kid: string
  readonly content: number
  readonly locale: string | null
}

const MAX_PER_USER = 10
const ASK_AFTER_DAYS = 60
const FORGET_AFTER_DAYS = 90
const SECONDS_BETWEEN_TESTS = 10
/** One who is asked is told so once; a few at a time, each ten seconds. */
const ASKED_AT_ONCE = 100
const REMOVED_AT_ONCE = 1_000
/** Longer than a declaration may take that passed the check of its login just before that ended. */
const LOOKED_AT_AGAIN = `interval '5 minutes'`

const COLUMNS = `s.subscription_id as id, s.user_id, s.endpoint, s.host, s.p256dh, s.auth, s.vapid_kid, s.content, s.locale`

/** A login of the built-in accounts that was not used for so long has ended; as `accounts/session.ts` has it. */
const IDLE_DAYS = 30
/** Of another epoch nothing counts: a restore brings back what ended since, and gives an endpoint back to its owner of before. */
export const isPresent = (s: string): string => `${s}.epoch = (select epoch from service_state)`
/**
 * Of a revocation `r` and a subscription: the one ends the other. Those of a user may spare logins (`sessionless`). The end of a
 * login in the database (`end_push_of_revoked`) says the same.
 */
const endsLogin = (s: string): string => `r.session_id = ${s}.session_id`
const endsUser = (s: string): string =>
  `(r.user_id = ${s}.user_id and r.not_before >= ${s}.confirmed_at
    and (${s}.session_id is null or r.reason is distinct from 'sessionless'))`
/**
 * Of a subscription `s`: it was declared in this epoch, and its login still stands. Sessions of the built-in accounts end by their
 * own row, and a subscription is removed with that; those of another issuer, and all of a user, end by a revocation. Each is asked
 * for with `offset 0`, as `kept-plan.ts` has it.
 */
export const IS_LIVE = `${isPresent('s')} and (s.expires_at is null or s.expires_at > now())
  and not exists (select from revocations r where ${endsLogin('s')} offset 0)
  and not exists (select from revocations r where ${endsUser('s')} offset 0)
  and not exists (select from sessions l where l.session_id = ${asUuid('s.session_id')}
    and (l.revoked_at is not null or l.expires_at <= now() or l.last_used_at <= now() - interval '${IDLE_DAYS} days') offset 0)`

/** Another owner's past does not count. The epoch is named: its default is a function, which this role may not be let use. */
const PUT = `insert into push_subscriptions as s
    (user_id, session_id, endpoint, endpoint_hash, host, p256dh, auth, vapid_kid, content, locale, expires_at, epoch)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, to_timestamp($11::float8 / 1000), (select epoch from service_state))
  on conflict (endpoint_hash) do update set
    user_id = excluded.user_id, session_id = excluded.session_id, p256dh = excluded.p256dh, auth = excluded.auth,
    vapid_kid = excluded.vapid_kid, content = excluded.content, locale = excluded.locale, expires_at = excluded.expires_at,
    epoch = excluded.epoch, confirmed_at = now(), asked_at = null,
    created_at = case when s.user_id = excluded.user_id then s.created_at else now() end,
    tested_at = case when s.user_id = excluded.user_id then s.tested_at end,
    failures = case when s.p256dh = excluded.p256dh and s.vapid_kid = excluded.vapid_kid then s.failures else 0 end`
/**
 * Those of another epoch go first, whose clock may have been ahead. It waits for no row while it holds others: the end of a login
 * locks them in the order of their ids.
 */
const KEEP_NEWEST = `delete from push_subscriptions where subscription_id in
  (select subscription_id from push_subscriptions s where user_id = $1
    order by ${isPresent('s')} desc, confirmed_at desc offset ${MAX_PER_USER} for update skip locked)`
const REMOVE = 'delete from push_subscriptions where endpoint_hash = $1 and user_id = $2'
const TAKE_FOR_TEST = `update push_subscriptions s set tested_at = now() where s.subscription_id in (
    select s.subscription_id from push_subscriptions s
    where s.user_id = $1 and ${IS_LIVE} and not exists (select from push_subscriptions t
      where t.user_id = $1 and t.tested_at between now() - make_interval(secs => ${SECONDS_BETWEEN_TESTS}) and now())
    order by s.subscription_id for update)
  returning ${COLUMNS}`
const HAS_ANY = `select 1 from push_subscriptions s where s.user_id = $1 and ${IS_LIVE} limit 1`
const USERS = `select distinct user_id from push_subscriptions s where user_id > $1 and ${isPresent('s')} order by user_id limit $2`
const USERS_SINCE = `select distinct user_id from push_subscriptions s
  where confirmed_at >= to_timestamp($1::float8 / 1000) and ${isPresent('s')}`
const NOW = `select (extract(epoch from clock_timestamp()) * 1000)::text as ms`

/** Of one that a clock which was set back since began in the future nothing counts. */
const IN_WINDOW = `window_started_at between now() - interval '1 hour' and now()`
/** $1 ids. The window is the hour in which a user is told so much and no more. */
const NOTE_SENT = `update push_subscriptions set last_success_at = now(), failures = 0,
    window_started_at = case when ${IN_WINDOW} then window_started_at else now() end,
    window_pushes = case when ${IN_WINDOW} then window_pushes + 1 else 1 end
  where subscription_id = any($1::uuid[])`
const NOTE_CLEAR = `update push_subscriptions set last_success_at = now(), failures = 0, clears_on = current_date,
    clears = case when clears_on = current_date then clears + 1 else 1 end
  where subscription_id = any($1::uuid[])`
const FORGET = 'delete from push_subscriptions where subscription_id = any($1::uuid[])'
const NOTE_REFUSED =
  'update push_subscriptions set failures = least(failures + 1, 1000) where subscription_id = any($1::uuid[])'
/** What never worked, or was made with a key that is no longer in use: the page subscribes with the new one when it is opened. */
const FORGET_REFUSED = `delete from push_subscriptions s where subscription_id = any($1::uuid[]) and failures >= 3
  and (last_success_at is null
    or exists (select from secrets k where k.name = 'vapid' and k.kid = s.vapid_kid and k.retired_at is not null))`

/** Looked for by an index each, a few at a time: the browsers that are to be told share this connection. */
const removeSome = (from: string): string => `delete from push_subscriptions where subscription_id in (
    select s.subscription_id from push_subscriptions s where s.subscription_id in (
      select o.subscription_id from ${from} limit ${REMOVED_AT_ONCE})
    order by s.subscription_id for update)`
/**
 * What ended by its time. The end of a login removes what is bound to it; of what was declared in that very moment the revocation is
 * looked at once more.
 */
const REMOVE_DEAD = [
  'push_subscriptions o where o.expires_at <= now()',
  `push_subscriptions o where o.confirmed_at < now() - make_interval(days => ${FORGET_AFTER_DAYS})`,
  ...[endsLogin('o'), endsUser('o')].map(
    (ends) => `revocations r join push_subscriptions o on ${ends} where r.at > now() - ${LOOKED_AT_AGAIN}`,
  ),
].map(removeSome)
const TAKE_SILENT = `update push_subscriptions s set asked_at = now() where subscription_id in
    (select q.subscription_id from push_subscriptions q
      where q.confirmed_at < now() - make_interval(days => ${ASK_AFTER_DAYS}) and q.asked_at is null and ${isPresent('q')}
        and not exists (select from push_hosts h where h.host = q.host and h.not_before > now())
      limit ${ASKED_AT_ONCE} for update of q skip locked)
  returning ${COLUMNS}`

/** Subscriptions in the table of that name. */
export class PostgresSubscriptionStore implements SubscriptionStore {
  readonly #queries: Queries

  constructor(queries: Queries) {
    this.#queries = queries
  }

  async put({ userId, sessionId, subscription, content, locale }: Declaration, vapidKid: string): Promise<void> {
    const { endpoint, p256dh, auth, expiresAtMs } = subscription
    await this.#queries.transaction(async (transaction) => {
      await transaction.query(PUT, [
        userId,
        sessionId ?? null,
        endpoint,
        hashOf(endpoint),
        new URL(endpoint).host,
        p256dh,
        auth,
        vapidKid,
        PUSH_CONTENTS.indexOf(content),
        locale ?? null,
        expiresAtMs ?? null,
      ])
      await transaction.query(KEEP_NEWEST, [userId])
    })
  }

  async remove(userId: UserId, endpoint: string): Promise<void> {
    await this.#queries.query(REMOVE, [hashOf(endpoint), userId])
  }

  async takeForTest(userId: UserId): Promise<Subscription[] | 'wait'> {
    const rows = await this.#queries.query<SubscriptionRow>(TAKE_FOR_TEST, [userId])
    if (rows.length > 0) return rows.map(toSubscription)
    return (await this.#queries.query(HAS_ANY, [userId])).length > 0 ? 'wait' : []
  }

  async users(after: UserId, limit: number): Promise<UserId[]> {
    return (await this.#queries.query<{ user_id: string }>(USERS, [after, limit])).map(({ user_id }) => user_id)
  }

  async usersSince(sinceMs: number | undefined): Promise<{ users: UserId[]; asOfMs: number }> {
    // Asked before the rows are read: what is committed between the two is read again by the next look.
    const [now] = await this.#queries.query<{ ms: string }>(NOW)
    const rows = sinceMs === undefined ? [] : await this.#queries.query<{ user_id: string }>(USERS_SINCE, [sinceMs])
    return { users: rows.map(({ user_id }) => user_id), asOfMs: Number(now?.ms) }
  }

  async note(verdicts: readonly Verdict[]): Promise<void> {
    const statements = {
      sent: [NOTE_SENT],
      clear: [NOTE_CLEAR],
      gone: [FORGET],
      refused: [NOTE_REFUSED, FORGET_REFUSED],
    }
    for (const kind of ['sent', 'clear', 'gone', 'refused'] as const) {
      const ids = verdicts.filter((one) => one.kind === kind).map(({ id }) => id)
      // In one order, so that two instances never wait for each other.
      const sorted = [...new Set(ids)].sort()
      for (const statement of sorted.length > 0 ? statements[kind] : []) await this.#queries.query(statement, [sorted])
    }
  }

  async cleanUp(): Promise<Subscription[]> {
    for (const statement of REMOVE_DEAD) await this.#queries.query(statement)
    return (await this.#queries.query<SubscriptionRow>(TAKE_SILENT)).map(toSubscription)
  }
}

export function toSubscription({ user_id, vapid_kid, content, locale, ...row }: SubscriptionRow): Subscription {
  return {
    ...row,
    userId: user_id,
    vapidKid: vapid_kid,
    content: PUSH_CONTENTS[content] ?? 'none',
    locale: locale ?? undefined,
  }
}

function hashOf(endpoint: string): Buffer {
  return createHash('sha256').update(endpoint).digest()
}
