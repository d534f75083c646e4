import type { Queryable } from '../postgres/queries.ts'
import { asUuid } from '../postgres/uuid-text.ts'
import type { UserId } from '../protocol/message.ts'

/** Of one person; the one that signed in the longest ago goes. */
export const MAX_DEVICES = 50

const KNOW = `with known as (
    insert into devices (device_hash, user_id) values ($1, $2)
    on conflict (device_hash, user_id) do update set last_used_at = now())
  delete from devices where user_id = $2 and device_hash in (
    select device_hash from devices where user_id = $2 and device_hash <> $1
    order by last_used_at desc, device_hash offset ${MAX_DEVICES - 1})`
/** A login from before its device was noted keeps none. */
const FORGET = `delete from devices where user_id = $1 and ($2::text is null or
  device_hash is distinct from (select device_hash from sessions where session_id = ${asUuid('$2::text')}))`

/** Notes that this person signed in from there, in a transaction that has locked their account. */
export async function knowDevice(transaction: Queryable, userId: UserId, deviceHash: Buffer): Promise<void> {
  await transaction.query(KNOW, [deviceHash, userId])
}

/**
 * Whoever had the former password may have made devices known, and would guess from them beside everybody else. All go, but for that of
 * the session which goes on.
 */
export async function forgetDevices(
  transaction: Queryable,
  userId: UserId,
  keptSession: string | undefined,
): Promise<void> {
  await transaction.query(FORGET, [userId, keptSession ?? null])
}
