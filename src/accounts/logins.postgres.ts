import { randomUUID } from 'node:crypto'
import { revokedUpTo } from '../auth/revocation-times.ts'
import { systemClock } from '../lib/clock.ts'
import { Unavailable } from '../lib/errors.ts'
import { Gathering } from '../lib/gathering.ts'
import { isOne } from '../postgres/kept-plan.ts'
import type { Queries, Transaction } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import type { Credentials, Opening, OpenSession } from './account-store.ts'
import type { Actor, AuditEntry } from './audit.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { MAX_DEVICES } from './device-rows.postgres.ts'
import { MAX_SESSIONS, SESSION_SECONDS } from './session.ts'
import { sessionOfCookie } from './session-rows.postgres.ts'

export interface Login {
  readonly verified: Credentials
  readonly opening: Opening
}

export interface LoginFailure {
  readonly userId: UserId | undefined
  readonly network: string
  readonly actor: Actor
}

export interface SignIns {
  /** Of their own, so that nobody who is in waits for those who come. */
  readonly queries: Queries
  /** How many may be on their way to a session, with those that have come so far. */
  readonly expected: () => number
}

/**
 * From one commit to the next while more are on their way: each makes the disk flush, and whoever sends a message waits for the flush
 * of another first.
 */
const GAP_MS = 200

/** Logins, and those that failed. Many that come together are one transaction, which costs hardly more than that of one. */
export class Logins {
  readonly #opened: Gathering<Login, OpenSession | undefined>
  readonly #failed: Gathering<LoginFailure, undefined>

  constructor({ queries, expected }: SignIns) {
    const common = { clock: systemClock, gapMs: GAP_MS }
    const open = (logins: readonly Login[]) => openTogether(queries, logins).catch(noneOf(logins))
    this.#opened = new Gathering({ ...common, expected, run: open })
    // Nobody waits for these.
    const any = (): number => Number.POSITIVE_INFINITY
    this.#failed = new Gathering({ ...common, expected: any, run: (failures) => noteFailures(queries, failures) })
  }

  /** Undefined when this login has to be looked at alone. */
  open(login: Login): Promise<OpenSession | undefined> {
    return this.#opened.add(login)
  }

  /** The first of an account, network and quarter of an hour is in the audit. */
  failed(failure: LoginFailure): Promise<void> {
    return this.#failed.add(failure)
  }

  async finish(): Promise<void> {
    await Promise.all([this.#opened.finish(), this.#failed.finish()])
  }
}

/** What one of them brings may be what the database refuses: then each is looked at alone. */
function noneOf(logins: readonly Login[]): (error: unknown) => undefined[] {
  return (error) => {
    if (error instanceof Unavailable) throw error
    return logins.map(() => undefined)
  }
}

/**
 * Those whose account and password are still what was verified. Who is being changed right now is passed over: many logins must not
 * wait for one suspension, and whoever locks accounts without waiting can lock nobody out.
 */
const STILL_SAME = `select v.nth::int from unnest($1::text[], $2::text[]) with ordinality v(user_id, phc, nth)
    join accounts a on ${isOne('a.user_id', 'v.user_id')} join passwords p on ${isOne('p.user_id', 'v.user_id')}
  where a.state = 0 and p.phc = v.phc for no key update of a, p skip locked`

/**
 * Opens sessions, but none that needs more than that: which ends another session, whose person has too many sessions or devices, or
 * whose tokens have to be dated ahead. A statement of its own, so that it sees what was committed before the accounts were locked.
 */
const OPEN = `with given as (
    select *, row_number() over (partition by user_id order by nth) as own_nth
      from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::bytea[])
        with ordinality v(session_id, user_id, kind, secret_hash, mac_key, device_name, user_agent, address, device_hash, replaces, nth)),
  good as (
    select g.*, up_to from given g cross join lateral ${revokedUpTo('g.user_id')} revoked
      where up_to <= extract(epoch from clock_timestamp())
        and (select count(*) from sessions s where s.user_id = g.user_id and s.revoked_at is null) + own_nth <= ${MAX_SESSIONS}
        and (select count(*) from devices d where d.user_id = g.user_id and d.device_hash <> g.device_hash) + own_nth <= ${MAX_DEVICES}
        and not exists (select from (${sessionOfCookie('g.replaces')}) s where s.revoked_at is null)),
  logged_in as (
    update accounts a set last_login_at = now() from good g where ${isOne('a.user_id', 'g.user_id')}),
  known as (
    insert into devices (device_hash, user_id) select distinct device_hash, user_id from good order by device_hash, user_id
      on conflict (device_hash, user_id) do update set last_used_at = now()),
  added as (
    insert into sessions (session_id, user_id, kind, secret_hash, mac_key, device_name, user_agent, address, device_hash, expires_at)
      select session_id, user_id, kind, secret_hash, mac_key, device_name, user_agent, address, device_hash,
          now() + make_interval(secs => ${SESSION_SECONDS}) from good)
  select session_id::text, greatest(floor(extract(epoch from clock_timestamp())), up_to + 1)::text as issued_at from good`

/** Undefined for each whose login has to be looked at alone; nothing of it is done then. */
function openTogether(queries: Queries, logins: readonly Login[]): Promise<(OpenSession | undefined)[]> {
  return queries.transaction(async (transaction) => {
    const asked = [logins.map(({ verified }) => verified.account.userId), logins.map(({ verified }) => verified.phc)]
    const same = await transaction.query<{ nth: number }>(STILL_SAME, asked)
    const opened = new Map<Login, OpenSession>()
    if (same.length > 0) {
      const ready = same.flatMap(({ nth }) => logins[nth - 1] ?? [])
      for (const [login, open] of await openAll(transaction, ready)) opened.set(login, open)
    }
    const entries = [...opened].map(([{ opening }, open]) => loginEntry(opening.actor, 'login', open))
    writeAudit(transaction, ...entries)
    return logins.map((login) => opened.get(login))
  })
}

async function openAll(transaction: Transaction, logins: readonly Login[]): Promise<[Login, OpenSession][]> {
  const ids = new Map(logins.map((login) => [randomUUID() as string, login]))
  const rows = await transaction.query<{ session_id: string; issued_at: string }>(OPEN, columnsOf(ids))
  return rows.flatMap(({ session_id: sessionId, issued_at }) => {
    const login = ids.get(sessionId)
    if (!login) return []
    return [[login, { userId: login.verified.account.userId, sessionId, issuedAtSeconds: Number(issued_at) }]]
  })
}

function columnsOf(logins: ReadonlyMap<string, Login>): unknown[][] {
  const rows = [...logins].map(([sessionId, { verified, opening }]) => {
    const { secret, deviceName, userAgent, address } = opening.session
    const [hash, key] = secret.kind === 'cookie' ? [secret.secretHash, null] : [null, secret.macKey]
    const session = [sessionId, verified.account.userId, secret.kind, hash, key, deviceName ?? null, userAgent ?? null]
    return [...session, address, opening.deviceHash, opening.replaces ?? null]
  })
  return (rows[0] ?? []).map((_, column) => rows.map((row) => row[column]))
}

/** What the audit holds of a session that was opened. */
export function loginEntry(
  actor: Actor,
  action: 'login' | 'register',
  { userId, sessionId }: { userId: UserId; sessionId: string },
): AuditEntry {
  return { actor: { ...actor, kind: 'user', id: userId }, action, target: userId, details: { session: sessionId } }
}

/** In one order, so that instances wait for each other and do not lock each other out. Returns those that are the first of theirs. */
const FAILED = `with given as (
    select user_id, network, count(*)::int as failures, min(nth)::int as nth
      from unnest($1::text[], $2::text[]) with ordinality v(user_id, network, nth) group by user_id, network),
  counted as (
    insert into login_failures as f (username_key, network, quarter, failures)
      select user_id, network, date_bin('15 minutes', now(), 'epoch'), failures from given order by user_id, network
      on conflict (username_key, network, quarter) do update set failures = f.failures + excluded.failures
      returning username_key, network, failures)
  select nth from given g join counted c on c.username_key = g.user_id and c.network = g.network where c.failures = g.failures
  order by nth`

async function noteFailures(queries: Queries, failures: readonly LoginFailure[]): Promise<undefined[]> {
  await queries.transaction(async (transaction) => {
    const asked = [failures.map(({ userId }) => userId ?? ''), failures.map(({ network }) => network)]
    const first = await transaction.query<{ nth: number }>(FAILED, asked)
    const entries = first.flatMap(({ nth }) => failures[nth - 1] ?? []).map(failureEntry)
    writeAudit(transaction, ...entries)
  })
  return failures.map(() => undefined)
}

function failureEntry({ userId, network, actor }: LoginFailure): AuditEntry {
  return { actor, action: 'login_failed', target: userId ?? '', details: { network } }
}
