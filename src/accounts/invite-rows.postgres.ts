import type { Queryable } from '../postgres/queries.ts'
import { roleNumber, roleOf } from './account.ts'
import type { Invite, NewInvite } from './admin-store.ts'

interface Row {
  readonly code_id: string
  readonly role: number
  readonly uses: number
  readonly uses_left: number
  readonly created_by: string
  readonly created_at: Date
  readonly expires_at: Date
}

/** What is of another epoch is void: a restore brings back what was used up. */
export const IS_PRESENT = 'epoch = (select epoch from service_state)'
const COLUMNS = 'code_id, role, uses, uses_left, created_by, created_at, expires_at'
export const IS_INVITE_GOOD = `uses_left > 0 and revoked_at is null and expires_at > clock_timestamp() and ${IS_PRESENT}`
const ADD = `insert into invites (code_id, code_hash, epoch, role, uses, uses_left, created_by, expires_at)
  select $1, $2, epoch, $3, $4, $4, $5, now() + make_interval(secs => $6) from service_state returning ${COLUMNS}`
const LIST = `select ${COLUMNS} from invites where ${IS_INVITE_GOOD} order by created_at desc, code_id`
const REVOKE_BY = `update invites set revoked_at = now() where created_by = $1 and ${IS_INVITE_GOOD}`
const REVOKE = `update invites set revoked_at = now() where code_id = $1 and ${IS_INVITE_GOOD} returning code_id`

export async function insertInvite(transaction: Queryable, invite: NewInvite, createdBy: string): Promise<Invite> {
  const { codeId, hash, role, uses, lifetimeSeconds } = invite
  const values = [codeId, hash, roleNumber(role), uses, createdBy, lifetimeSeconds]
  const [row] = await transaction.query<Row>(ADD, values)
  if (!row) throw new Error('a new invite returned no row')
  return toInvite(row)
}

/** Those that are still good, the youngest first. */
export async function goodInvites(queries: Queryable): Promise<Invite[]> {
  return (await queries.query<Row>(LIST)).map(toInvite)
}

/** False when there is none that is good. */
export async function revokeInvite(transaction: Queryable, codeId: string): Promise<boolean> {
  return (await transaction.query(REVOKE, [codeId])).length > 0
}

/** Whoever may invite no more has left nothing behind by which anybody comes in. `createdBy` as invites show it. */
export async function revokeInvitesBy(transaction: Queryable, createdBy: string): Promise<void> {
  await transaction.query(REVOKE_BY, [createdBy])
}

function toInvite(row: Row): Invite {
  return {
    codeId: row.code_id,
    role: roleOf(row.role),
    uses: row.uses,
    usesLeft: row.uses_left,
    createdBy: row.created_by,
    createdAtMs: row.created_at.getTime(),
    expiresAtMs: row.expires_at.getTime(),
  }
}
