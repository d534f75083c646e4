import type { Queries, Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { normalizedWord } from '../users/user.ts'
import { type Account, type Role, roleNumber, usernameKey } from './account.ts'
import { ACCOUNT_COLUMNS, type AccountRow, addAccount, isTaken, toAccount } from './account-rows.postgres.ts'
import type { AccountQuery, AdminOutcome, AdminStore, Invite, NewAccount, NewInvite, NewLink } from './admin-store.ts'
import type { Actor, AuditAction, AuditEntry } from './audit.ts'
import { writeAudit } from './audit-log.postgres.ts'
import { ALL_BEHIND, type ConversationGate, GateSteps } from './gate-steps.postgres.ts'
import { goodInvites, insertInvite, revokeInvite, revokeInvitesBy } from './invite-rows.postgres.ts'
import { addLink, voidLinksBy, voidResetLinks } from './link-rows.postgres.ts'
import { forgetPerson, nameWords } from './profile-rows.postgres.ts'
import { endSessions, revokeUser, type TokenLife } from './session-rows.postgres.ts'

export interface AdminStoreOptions {
  readonly queries: Queries
  readonly life: TokenLife
  readonly gate: ConversationGate
  /** Conversations whose gate one transaction moves at most. */
  readonly gateSlice?: number
}

const OF_PEOPLE = `select ${ACCOUNT_COLUMNS} from accounts a left join users u using (user_id) where a.state <> 2`
const IS_ADMIN = 'select from accounts where user_id = $1 and role = 2 and state = 0'
/** U+10FFFF sorts behind every word of that beginning. */
const LIST = `${OF_PEOPLE} and ($1::text is null or a.user_id in
    (select user_id from user_words where word >= $1 and word < $1 || U&'\\+10FFFF'))
  and ($2::text is null or a.username_key > $2) order by a.username_key limit $3`
/**
 * The account, and every active administrator, in the order in which everybody locks accounts: of two who would each leave the other
 * as the last one, the second sees what the first did.
 */
const LOCK = `select user_id, role, state from accounts where user_id = $1 or (role = 2 and state = 0)
  order by user_id for no key update`
/** Shared: administrators who invite do not wait for each other, and whoever takes the role away waits for them. */
const STILL_ADMIN = `${IS_ADMIN} for share`
/** Waits for conversations that begin with this person, and lets none begin until the commit: see `OPEN_FOR_ACCOUNTS`. */
const HOLD = 'select from accounts where user_id = $1 for update'
const SET_STATE = `update accounts set state = $2, updated_at = now(), ${ALL_BEHIND} where user_id = $1`
const SET_ROLE = 'update accounts set role = $2, updated_at = now() where user_id = $1'
const FORGET_NAME = `update accounts set state = 2, username = null, username_key = null, role = 0, updated_at = now(),
  ${ALL_BEHIND} where user_id = $1`

/** Administration in the tables of `sql/005_accounts.sql`. Locks: accounts, links and invites, sessions, conversations, the end of the audit. */
export class PostgresAdminStore implements AdminStore {
  readonly #options: AdminStoreOptions
  readonly #gates: GateSteps

  constructor(options: AdminStoreOptions) {
    this.#options = options
    this.#gates = new GateSteps(options.queries, options.gate, options.gateSlice)
  }

  async find(userId: UserId): Promise<Account | undefined> {
    const [row] = await this.#options.queries.query<AccountRow>(`${OF_PEOPLE} and a.user_id = $1`, [userId])
    return row && toAccount(row)
  }

  async named(username: string): Promise<Account | undefined> {
    const text = `${OF_PEOPLE} and a.username_key = $1`
    const [row] = await this.#options.queries.query<AccountRow>(text, [usernameKey(username)])
    return row && toAccount(row)
  }

  async isAdmin(userId: UserId): Promise<boolean> {
    return (await this.#options.queries.query(IS_ADMIN, [userId])).length > 0
  }

  async list({ search, after, limit }: AccountQuery): Promise<Account[]> {
    const word = search === undefined ? null : normalizedWord(search)
    const rows = await this.#options.queries.query<AccountRow>(LIST, [word, after ?? null, limit])
    return rows.map(toAccount)
  }

  async create(account: NewAccount, link: NewLink, actor: Actor): Promise<'done' | 'username_taken'> {
    const { userId, username, displayName, role } = account
    try {
      await this.#options.queries.transaction(async (transaction) => {
        await addAccount(transaction, { userId, username, displayName, role: roleNumber(role) })
        await nameWords(transaction, userId)
        await addLink(transaction, { ...link, userId, createdBy: nameOf(actor) })
        writeAudit(transaction, { actor, action: 'create', target: userId, details: { role } })
      })
      return 'done'
    } catch (error) {
      if (isTaken(error)) return 'username_taken'
      throw error
    }
  }

  suspend(userId: UserId, actor: Actor): Promise<AdminOutcome> {
    return this.#change(userId, { actor, action: 'suspend' }, 'leaves', async (transaction) => {
      await transaction.query(HOLD, [userId])
      await transaction.query(SET_STATE, [userId, 1])
      await this.#shutOut(transaction, userId, 'suspend', actor)
    })
  }

  unsuspend(userId: UserId, actor: Actor): Promise<AdminOutcome> {
    return this.#change(userId, { actor, action: 'unsuspend' }, 'stays', async (transaction) => {
      await transaction.query(SET_STATE, [userId, 0])
      await this.#gates.step(transaction, userId)
    })
  }

  remove(userId: UserId, actor: Actor): Promise<AdminOutcome> {
    return this.#change(userId, { actor, action: 'delete' }, 'leaves', async (transaction) => {
      await transaction.query(HOLD, [userId])
      await transaction.query(FORGET_NAME, [userId])
      await this.#shutOut(transaction, userId, 'delete', actor)
      await forgetPerson(transaction, userId)
    })
  }

  finishGate(userId: UserId): Promise<void> {
    return this.#gates.finish(userId)
  }

  finishGates(): Promise<void> {
    return this.#gates.finishAll()
  }

  setRole(userId: UserId, role: Role, actor: Actor): Promise<AdminOutcome> {
    const what = { actor, action: 'role', details: { role } } as const
    return this.#change(userId, what, role === 'admin' ? 'stays' : 'leaves', async (transaction) => {
      await transaction.query(SET_ROLE, [userId, roleNumber(role)])
      if (role !== 'admin') await forgetOffers(transaction, userId)
      await revokeUser(transaction, userId, { ...this.#options.life, actor: nameOf(actor), reason: null })
    })
  }

  addResetLink(userId: UserId, link: NewLink, actor: Actor): Promise<AdminOutcome> {
    return this.#change(userId, { actor, action: 'reset_link' }, 'stays', (transaction) =>
      addLink(transaction, { ...link, userId, createdBy: nameOf(actor) }),
    )
  }

  addInvite(invite: NewInvite, actor: Actor): Promise<Invite | undefined> {
    return this.#options.queries.transaction(async (transaction) => {
      if (actor.kind === 'user' && (await transaction.query(STILL_ADMIN, [actor.id])).length === 0) return undefined
      const added = await insertInvite(transaction, invite, nameOf(actor))
      const { codeId: target, role, uses } = invite
      writeAudit(transaction, { actor, action: 'invite_create', target, details: { role, uses } })
      return added
    })
  }

  invites(): Promise<Invite[]> {
    return goodInvites(this.#options.queries)
  }

  revokeInvite(codeId: string, actor: Actor): Promise<boolean> {
    return this.#options.queries.transaction(async (transaction) => {
      if (!(await revokeInvite(transaction, codeId))) return false
      writeAudit(transaction, { actor, action: 'invite_revoke', target: codeId })
      return true
    })
  }

  /** Every login, every token and every open link ends, and nobody can write to this person any more: see `finishGate`. */
  async #shutOut(
    transaction: Queryable,
    userId: UserId,
    because: Extract<AuditAction, 'suspend' | 'delete'>,
    by: Actor,
  ): Promise<void> {
    const { life } = this.#options
    const actor = nameOf(by)
    // Links before sessions, in the order in which whoever opens one takes them.
    await voidResetLinks(transaction, userId)
    await forgetOffers(transaction, userId)
    await endSessions(transaction, { userId }, { ...life, because, actor })
    await revokeUser(transaction, userId, { ...life, actor, reason: 'suspended' })
    await this.#gates.step(transaction, userId)
  }

  /** `leaves`: whether the account is an administrator's no more, if it was. */
  #change(
    userId: UserId,
    entry: Omit<AuditEntry, 'target'>,
    admins: 'leaves' | 'stays',
    work: (transaction: Queryable) => Promise<void>,
  ): Promise<AdminOutcome> {
    return this.#options.queries.transaction(async (transaction) => {
      const locked = await transaction.query<{ user_id: string; role: number; state: number }>(LOCK, [userId])
      const own = locked.find(({ user_id }) => user_id === userId)
      if (!own || own.state === 2) return 'unknown'
      const active = locked.filter(({ role, state }) => role === 2 && state === 0).map(({ user_id }) => user_id)
      // Whoever was an administrator when they asked may be none by now; an account of one's own may go in any case.
      const { actor, action } = entry
      const isOwnEnd = action === 'delete' && actor.id === userId
      if (actor.kind === 'user' && !isOwnEnd && !active.includes(actor.id)) return 'no_admin'
      if (admins === 'leaves' && active.length === 1 && active[0] === userId) return 'last_admin'
      await work(transaction)
      writeAudit(transaction, { ...entry, target: userId })
      return 'done'
    })
  }
}

/** Invites and links that somebody made for others: they would bring a dismissed administrator back. */
async function forgetOffers(transaction: Queryable, userId: UserId): Promise<void> {
  await voidLinksBy(transaction, userId)
  await revokeInvitesBy(transaction, userId)
}

/** As rows of other tables show it; the audit has kind and id apart. */
function nameOf({ kind, id }: Actor): string {
  return kind === 'user' ? id : `${kind.replace('_', ' ')} ${id}`.trim()
}
