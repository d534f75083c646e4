import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'

/**
 * `gate` of the conversations of user $1: 16 where they are the lower of the two and gone, 32 where they are the higher one. A bit
 * for each of the two, so that either comes back by themselves. Rows are locked in the order in which batches lock them.
 */
const SET = (change: string): string => `with own as (
    select conversation_id, (case when user_lo = $1 then 16 else 0 end | case when user_hi = $1 then 32 else 0 end) as bits
    from conversations where user_lo = $1 or user_hi = $1 order by conversation_id for no key update)
  update conversations c set gate = (${change})::smallint from own where c.conversation_id = own.conversation_id`
const CLOSE = SET('c.gate | own.bits')
const REOPEN = SET('c.gate & ~own.bits')

/**
 * Closes every conversation of this person, in a transaction that has locked their account: once it is committed nothing more is
 * numbered in them, on any instance. What was stored before stays as it is.
 */
export async function closeConversations(transaction: Queryable, userId: UserId): Promise<void> {
  await transaction.query(CLOSE, [userId])
}

/** Opens them again, but for those whose other person has gone too. */
export async function reopenConversations(transaction: Queryable, userId: UserId): Promise<void> {
  await transaction.query(REOPEN, [userId])
}

/** Both, for whoever ends and restores accounts. */
export const CONVERSATION_GATE = { close: closeConversations, reopen: reopenConversations }
