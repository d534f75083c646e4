import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'
import { type Account, roleNumber } from './account.ts'
import { ACCOUNT_COLUMNS, type AccountRow, holdAccount, toAccount } from './account-rows.postgres.ts'
import type { Door } from './account-store.ts'
import { IS_INVITE_GOOD, IS_PRESENT } from './invite-rows.postgres.ts'

const IS_LINK_GOOD = `link_hash = $1 and used_at is null and expires_at > clock_timestamp() and ${IS_PRESENT}`
const NO_ADMIN = 'not exists (select from accounts where role = 2 and state = 0)'

const LOOK_INVITE = `select role from invites where code_hash = $1 and ${IS_INVITE_GOOD}`
/** The row is locked until the commit, so of a hundred that come for one use only one finds it. */
const TAKE_INVITE = `update invites set uses_left = uses_left - 1
  where code_hash = $1 and ${IS_INVITE_GOOD} returning role`
const LOOK_BOOTSTRAP = `select from one_time_links where purpose = 'bootstrap' and ${IS_LINK_GOOD} and ${NO_ADMIN}`
/** All of them are used up by the first: whoever waits for it here finds its own used. */
const TAKE_BOOTSTRAP = `with good as (${LOOK_BOOTSTRAP}), ended as (
    select link_hash from one_time_links where purpose = 'bootstrap' and used_at is null and exists (select from good)
    order by link_hash for update)
  update one_time_links l set used_at = clock_timestamp() from ended
  where l.link_hash = ended.link_hash and l.used_at is null returning l.link_hash = $1 as is_own`

/** The role that somebody gets by this door, or undefined when it is shut. `take`: one use of it. */
export async function takeDoor(transaction: Queryable, door: Door, how: 'look' | 'take'): Promise<number | undefined> {
  if (door.kind === 'open') return roleNumber('member')
  if (door.mayInvite) {
    const [invite] = await transaction.query<{ role: number }>(how === 'take' ? TAKE_INVITE : LOOK_INVITE, [door.hash])
    if (invite) return invite.role
  }
  const links = await transaction.query<{ is_own?: boolean }>(how === 'take' ? TAKE_BOOTSTRAP : LOOK_BOOTSTRAP, [
    door.hash,
  ])
  const isGood = how === 'take' ? links.some(({ is_own }) => is_own) : links.length > 0
  return isGood ? roleNumber('admin') : undefined
}

const LINK_OWNER = `select ${ACCOUNT_COLUMNS} from one_time_links l join accounts a using (user_id) left join users u using (user_id)
  where l.purpose = 'reset' and a.state <> 2 and ${IS_LINK_GOOD.replaceAll(/\b(link_hash|used_at|expires_at)\b/g, 'l.$1')}`
const LOOK_RESET = `select user_id from one_time_links where purpose = 'reset' and ${IS_LINK_GOOD}`
const TAKE_RESET = `update one_time_links set used_at = clock_timestamp() where purpose = 'reset' and ${IS_LINK_GOOD} returning user_id`
/** In one order, because some are both for the one and by the other. */
const voiding = (which: string): string => `update one_time_links set used_at = clock_timestamp() where link_hash in (
  select link_hash from one_time_links where ${which} = $1 and used_at is null order by link_hash for update)`
const VOID = voiding('user_id')
const VOID_BY = voiding('created_by')

/** The account whose password this link sets, while the link is good. */
export async function linkOwner(queries: Queryable, linkHash: Buffer): Promise<Account | undefined> {
  const [row] = await queries.query<AccountRow>(LINK_OWNER, [linkHash])
  return row && toAccount(row)
}

/** Uses up a link, and returns whose password it sets: their account is locked from here on. */
export async function takeResetLink(transaction: Queryable, linkHash: Buffer): Promise<UserId | undefined> {
  const [link] = await transaction.query<{ user_id: string }>(LOOK_RESET, [linkHash])
  if (!link || !(await holdAccount(transaction, link.user_id))) return undefined
  const [row] = await transaction.query<{ user_id: string }>(TAKE_RESET, [linkHash])
  return row?.user_id
}

/** A password that was set since makes every link that was made before it void. */
export async function voidResetLinks(transaction: Queryable, userId: UserId): Promise<void> {
  await transaction.query(VOID, [userId])
}

/** Those that this administrator or key made for others. `createdBy` as links show it. */
export async function voidLinksBy(transaction: Queryable, createdBy: string): Promise<void> {
  await transaction.query(VOID_BY, [createdBy])
}

const ADD = `insert into one_time_links (link_hash, purpose, user_id, epoch, created_by, expires_at)
  select $1, $2, $3, epoch, $4, now() + make_interval(secs => $5) from service_state`

/** Adds a link in this transaction: one that makes the first administrator, or one that sets the password of somebody. */
export async function addLink(
  transaction: Queryable,
  link: { hash: Buffer; userId: UserId | undefined; createdBy: string; lifetimeSeconds: number },
): Promise<void> {
  const purpose = link.userId === undefined ? 'bootstrap' : 'reset'
  await transaction.query(ADD, [link.hash, purpose, link.userId ?? null, link.createdBy, link.lifetimeSeconds])
}

/** Whether somebody can still administer. */
export async function hasAdmin(queries: Queryable): Promise<boolean> {
  const [row] = await queries.query<{ none: boolean }>(`select ${NO_ADMIN} as none`)
  return row?.none === false
}
