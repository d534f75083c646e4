import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { type Account, roleOf, stateOf, usernameKey } from './account.ts'

export interface AccountRow {
  readonly user_id: string
  readonly username: string | null
  readonly display_name: string | null
  readonly avatar: string | null
  readonly role: number
  readonly state: number
  readonly discoverable: boolean
  readonly created_at: Date
}

/** Of `accounts a left join users u using (user_id)`. */
export const ACCOUNT_COLUMNS = `a.user_id, a.username, u.display_name, a.role, a.state, a.discoverable, a.created_at,
  coalesce('/api/avatars/' || u.avatar_id, u.avatar_url) as avatar`

export function toAccount(row: AccountRow): Account {
  return {
    userId: row.user_id,
    username: row.username ?? '',
    displayName: row.display_name ?? row.username ?? row.user_id,
    avatarUrl: row.avatar ?? undefined,
    role: roleOf(row.role),
    state: stateOf(row.state),
    discoverable: row.discoverable,
    createdAtMs: row.created_at.getTime(),
  }
}

const FIND = `select ${ACCOUNT_COLUMNS} from accounts a left join users u using (user_id) where a.user_id = $1`

export async function findAccount(queries: Queryable, userId: UserId): Promise<Account | undefined> {
  const [row] = await queries.query<AccountRow>(FIND, [userId])
  return row && toAccount(row)
}

const HOLD = 'select from accounts where user_id = $1 and state <> 2 for no key update'

/**
 * Locks an account, which is the first that a transaction locks of whatever belongs to a person: two that change one account wait for each
 * other, and cannot both wait for ever. False where there is none, or no more.
 */
export async function holdAccount(transaction: Queryable, userId: UserId): Promise<boolean> {
  return (await transaction.query(HOLD, [userId])).length > 0
}

const ADD_USER = 'insert into users (user_id, display_name) values ($1, $2)'
const ADD_ACCOUNT = 'insert into accounts (user_id, username, username_key, role) values ($1, $2, $3, $4)'

/** Adds somebody in this transaction; rejects where `isTaken` says why. `role` as the table has it. */
export async function addAccount(
  transaction: Queryable,
  account: Pick<Account, 'userId' | 'username'> & { readonly displayName: string | undefined; readonly role: number },
): Promise<void> {
  const { userId, username, displayName, role } = account
  await transaction.query(ADD_USER, [userId, displayName ?? null])
  await transaction.query(ADD_ACCOUNT, [userId, username, usernameKey(username), role])
}

/** As PostgreSQL names what `unique` in `sql/005_accounts.sql` makes. */
const NAME_IS_UNIQUE = 'accounts_username_key_key'

/** Whether somebody else has the name. What else there may be only once, as a number of the audit, is another fault. */
export function isTaken(error: unknown): boolean {
  return error instanceof Error && 'constraint' in error && error.constraint === NAME_IS_UNIQUE
}
