import { issuedAt } from '../auth/revocation-times.ts'
import type { Queries, Queryable, Transaction } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import type { Account } from './account.ts'
import {
  ACCOUNT_COLUMNS,
  type AccountRow,
  addAccount,
  findAccount,
  holdAccount,
  isTaken,
  toAccount,
} from './account-rows.postgres.ts'
import type { AccountStore, Credentials, Door, Opening, OpenSession, Registration } from './account-store.ts'
import type { Actor, AuditEntry } from './audit.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { forgetDevices, knowDevice } from './device-rows.postgres.ts'
import { addLink, hasAdmin, linkOwner, takeDoor, takeResetLink, voidResetLinks } from './link-rows.postgres.ts'
import { type LoginFailure, Logins, loginEntry, type SignIns } from './logins.postgres.ts'
import { nameWords } from './profile-rows.postgres.ts'
import { createSession, endSessions, revokeUser, sessionOfCookie, type TokenLife } from './session-rows.postgres.ts'

const CREDENTIALS = `select ${ACCOUNT_COLUMNS}, p.phc,
    exists (select from devices d where d.user_id = a.user_id and d.device_hash = $2) as is_known_device
  from accounts a
  left join lateral (select * from users u where u.user_id = a.user_id offset 0) u on true
  cross join lateral (select * from passwords p where p.user_id = a.user_id offset 0) p`

const SET_PASSWORD = `insert into passwords (user_id, phc) values ($1, $2)
  on conflict (user_id) do update set phc = excluded.phc, changed_at = now()`
/**
 * A suspension or another password that commits first is seen; one that comes later finds the session and ends it. Whoever begins
 * a conversation with this person waits for neither.
 */
const STILL_SAME = `select 1 from accounts a join passwords p using (user_id)
  where a.user_id = $1 and a.state = 0 and p.phc = $2 for no key update of a, p`
const REHASH = 'update passwords set phc = $2 where user_id = $1'
const ISSUED_AT = `select ${issuedAt('$1')}`
/** Locked, so that a suspension which is just being committed is waited for. */
const ISSUED_AT_WHILE_ACTIVE = `select ${issuedAt('a.user_id')} from accounts a
  where a.user_id = $1 and a.state = 0 for key share`
const BY_COOKIE = `select session_id::text, user_id from (${sessionOfCookie('$1')}) s where s.revoked_at is null`
const USE_CODE =
  'update recovery_codes set used_at = now() where user_id = $1 and code_hash = $2 and used_at is null returning 1'
const FORGET_CODES = 'delete from recovery_codes where user_id = $1'
const ADD_CODES = 'insert into recovery_codes (user_id, code_hash) select $1, hash from unnest($2::bytea[]) hash'

/** What is long over: kept for a while, so that a person can still see what happened. None of it waits for another. */
const REMOVE_EXPIRED = [
  "delete from throttles where at < now() - interval '1 day'",
  "delete from login_failures where quarter < now() - interval '1 day'",
  "delete from devices where last_used_at < now() - interval '1 year'",
  "delete from one_time_links where expires_at < now() - interval '30 days'",
  "delete from sessions where least(expires_at, last_used_at + interval '60 days', revoked_at + interval '30 days') < now()",
]

/** Thrown within a transaction to undo it; the value is what the caller is told. */
class Undone extends Error {
  readonly outcome: 'username_taken' | 'invite_invalid'

  constructor(outcome: 'username_taken' | 'invite_invalid') {
    super(outcome)
    this.outcome = outcome
  }
}

/** Accounts in the tables of `sql/005_accounts.sql`. */
export class PostgresAccountStore implements AccountStore {
  readonly #queries: Queries
  readonly #life: TokenLife
  readonly #signIns: Queries
  readonly #logins: Logins

  constructor(queries: Queries, life: TokenLife, signIns: SignIns = { queries, expected: () => 0 }) {
    this.#queries = queries
    this.#life = life
    this.#signIns = signIns.queries
    this.#logins = new Logins(signIns)
  }

  find(userId: UserId): Promise<Account | undefined> {
    return findAccount(this.#queries, userId)
  }

  credentials(nameKey: string, deviceHash: Buffer | undefined): Promise<Credentials | undefined> {
    return credentialsIn(this.#signIns, `${CREDENTIALS} where a.username_key = $1`, nameKey, deviceHash)
  }

  credentialsOf(userId: UserId): Promise<Credentials | undefined> {
    return credentialsIn(this.#queries, `${CREDENTIALS} where a.user_id = $1`, userId, undefined)
  }

  isCodeGood(door: Extract<Door, { kind: 'code' }>): Promise<boolean> {
    return this.#signIns.transaction(async (transaction) => (await takeDoor(transaction, door, 'look')) !== undefined)
  }

  async register(registration: Registration, opening: Opening) {
    try {
      return await this.#signIns.transaction((transaction) => this.#register(transaction, registration, opening))
    } catch (error) {
      if (error instanceof Undone) return error.outcome
      throw error
    }
  }

  async login(verified: Credentials, opening: Opening, rehashed: string | undefined): Promise<OpenSession | undefined> {
    const open = rehashed === undefined ? await this.#logins.open({ verified, opening }) : undefined
    return open ?? this.#loginAlone(verified, opening, rehashed)
  }

  issueToken(userId: UserId, actor: Actor, seconds: number | undefined): Promise<number | undefined> {
    return this.#queries.transaction(async (transaction) => {
      const [row] = await transaction.query<{ issued_at: string }>(ISSUED_AT_WHILE_ACTIVE, [userId])
      if (!row) return undefined
      const details = seconds === undefined ? {} : { seconds }
      writeAudit(transaction, { actor, action: 'token_issue', target: userId, details })
      return Number(row.issued_at)
    })
  }

  loginFailed(failure: LoginFailure): Promise<void> {
    return this.#logins.failed(failure)
  }

  changePassword(
    { account: { userId }, phc: verified }: Credentials,
    phc: string,
    keptSession: string | undefined,
    actor: Actor,
  ): Promise<boolean> {
    return this.#queries.transaction(async (transaction) => {
      const [same] = await transaction.query(STILL_SAME, [userId, verified])
      if (!same) return false
      await transaction.query(SET_PASSWORD, [userId, phc])
      await voidResetLinks(transaction, userId)
      await forgetDevices(transaction, userId, keptSession)
      const ending = { ...this.#life, because: 'password_change', actor: userId } as const
      const ended = await endSessions(transaction, { userId, except: keptSession }, ending)
      // Of a backend, and of whoever had it make them.
      await revokeUser(transaction, userId, { ...this.#life, actor: userId, reason: 'sessionless' })
      const details = { sessions: ended.length }
      writeAudit(transaction, { actor, action: 'password_change', target: userId, details })
      return true
    })
  }

  recover(userId: UserId, codeHash: Buffer, phc: string, actor: Actor): Promise<boolean> {
    return this.#queries.transaction(async (transaction) => {
      await holdAccount(transaction, userId)
      const [used] = await transaction.query(USE_CODE, [userId, codeHash])
      if (!used) return false
      await this.#replacePassword(transaction, userId, phc, { actor, action: 'password_recover' })
      return true
    })
  }

  resetLinkOwner(linkHash: Buffer): Promise<Account | undefined> {
    return linkOwner(this.#queries, linkHash)
  }

  reset(linkHash: Buffer, phc: string, actor: Actor): Promise<boolean> {
    return this.#queries.transaction(async (transaction) => {
      const userId = await takeResetLink(transaction, linkHash)
      if (userId === undefined) return false
      // Whoever held the account for a while may have made codes.
      await transaction.query(FORGET_CODES, [userId])
      await this.#replacePassword(transaction, userId, phc, { actor, action: 'password_reset' })
      return true
    })
  }

  setRecoveryCodes(userId: UserId, hashes: readonly Buffer[], actor: Actor): Promise<boolean> {
    return this.#queries.transaction(async (transaction) => {
      if (!(await holdAccount(transaction, userId))) return false
      await transaction.query(FORGET_CODES, [userId])
      await transaction.query(ADD_CODES, [userId, hashes])
      writeAudit(transaction, { actor, action: 'recovery_codes', target: userId })
      return true
    })
  }

  addBootstrapLink(hash: Buffer, lifetimeSeconds: number, actor: Actor): Promise<boolean> {
    return this.#queries.transaction(async (transaction) => {
      if (await hasAdmin(transaction)) return false
      await addLink(transaction, { hash, userId: undefined, createdBy: actor.kind, lifetimeSeconds })
      writeAudit(transaction, { actor, action: 'bootstrap_link', target: '' })
      return true
    })
  }

  finish(): Promise<void> {
    return this.#logins.finish()
  }

  async removeExpired(): Promise<void> {
    const failures: unknown[] = []
    for (const statement of REMOVE_EXPIRED) {
      await this.#queries.query(statement).catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Waits for whoever changes the account right now, and does what a login of many does not. */
  #loginAlone(
    { account: { userId }, phc }: Credentials,
    opening: Opening,
    rehashed: string | undefined,
  ): Promise<OpenSession | undefined> {
    return this.#queries.transaction(async (transaction) => {
      const [same] = await transaction.query(STILL_SAME, [userId, phc])
      if (!same) return undefined
      if (rehashed !== undefined) await transaction.query(REHASH, [userId, rehashed])
      return this.#open(transaction, userId, opening, 'login')
    })
  }

  async #register(
    transaction: Transaction,
    { userId, username, displayName, phc, door }: Registration,
    opening: Opening,
  ) {
    const role = await takeDoor(transaction, door, 'take')
    if (role === undefined) throw new Undone('invite_invalid')
    await addAccount(transaction, { userId, username, displayName, role }).catch((error: unknown) => {
      throw isTaken(error) ? new Undone('username_taken') : error
    })
    await nameWords(transaction, userId)
    await transaction.query(SET_PASSWORD, [userId, phc])
    const open = await this.#open(transaction, userId, opening, 'register')
    const account = await findAccount(transaction, userId)
    if (!account) throw new Error('a new account is not there')
    return { ...open, account }
  }

  async #open(
    transaction: Transaction,
    userId: UserId,
    opening: Opening,
    action: 'login' | 'register',
  ): Promise<OpenSession> {
    const { session, deviceHash, replaces, actor } = opening
    const replaced = replaces && (await this.#endReplaced(transaction, replaces, userId))
    const { sessionId, tooMany } = await createSession(transaction, { ...session, userId, deviceHash }, this.#life)
    await knowDevice(transaction, userId, deviceHash)
    const [row] = await transaction.query<{ issued_at: string }>(ISSUED_AT, [userId])
    const open = { userId, sessionId, issuedAtSeconds: Number(row?.issued_at) }
    const entry = loginEntry(actor, action, open)
    const ends = tooMany.map((session) => ({ userId, session, because: 'too_many' }))
    const ended = [...(replaced ? [replaced] : []), ...ends].map((end) => sessionEnd(entry.actor, end))
    writeAudit(transaction, entry, ...ended)
    return open
  }

  /** A browser has one session: what somebody put there before the login is of no use after it. */
  async #endReplaced(transaction: Queryable, cookieHash: Buffer, by: UserId): Promise<EndedByLogin | undefined> {
    const [before] = await transaction.query<{ session_id: string; user_id: string }>(BY_COOKIE, [cookieHash])
    if (!before) return undefined
    const { user_id: userId, session_id: session } = before
    const ending = { ...this.#life, because: 'login', actor: by } as const
    const [ended] = await endSessions(transaction, { userId, sessionIds: [session] }, ending)
    return ended === undefined ? undefined : { userId, session, because: 'login' }
  }

  /** A return by a code or a link ends everything that was open, whoever opened it. */
  async #replacePassword(
    transaction: Transaction,
    userId: UserId,
    phc: string,
    { actor, action }: { actor: Actor; action: 'password_recover' | 'password_reset' },
  ): Promise<void> {
    await transaction.query(SET_PASSWORD, [userId, phc])
    await voidResetLinks(transaction, userId)
    await forgetDevices(transaction, userId, undefined)
    await endSessions(transaction, { userId }, { ...this.#life, because: action, actor: userId })
    await revokeUser(transaction, userId, { ...this.#life, actor: userId, reason: null })
    writeAudit(transaction, { actor, action, target: userId })
  }
}

async function credentialsIn(
  queries: Queries,
  text: string,
  name: string,
  deviceHash: Buffer | undefined,
): Promise<Credentials | undefined> {
  type Row = AccountRow & { readonly phc: string; readonly is_known_device: boolean }
  const [row] = await queries.query<Row>(text, [name, deviceHash ?? null])
  return row && { account: toAccount(row), phc: row.phc, isKnownDevice: row.is_known_device }
}

/** A session that another login has ended: that of the browser's former cookie, whoever it was, or one too many. */
interface EndedByLogin {
  readonly userId: UserId
  readonly session: string
  readonly because: string
}

function sessionEnd(actor: Actor, { userId, session, because }: EndedByLogin): AuditEntry {
  return { actor, action: 'session_end', target: userId, details: { session, because } }
}
