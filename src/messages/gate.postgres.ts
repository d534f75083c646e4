import type { Queryable } from '../postgres/queries.ts'
import type { UserId } from '../protocol/message.ts'

/** How far the conversations of a person are done: those where they are the lower of the two come first, in the order of the others. */
export interface GatePlace {
  readonly side: 'lower' | 'higher'
  /** The last other person whose conversation is done. */
  readonly after: UserId
}

export interface GateMove {
  readonly isOpen: boolean
  readonly from: GatePlace
  /** Conversations at most. */
  readonly limit: number
}

/**
 * A bit of `gate` for each of the two, so that either comes back by themselves: 16 where the lower of them is gone, 32 where the higher
 * one is. $1 who, $2 after whom, $3 how many. Rows are locked in the order in which batches lock them.
 */
function slice(side: GatePlace['side'], change: (bit: number) => string): string {
  const [own, other, bit] =
    side === 'lower' ? (['user_lo', 'user_hi', 16] as const) : (['user_hi', 'user_lo', 32] as const)
  return `with next as materialized (
      select conversation_id, ${other} as other from conversations where ${own} = $1 and ${other} > $2
      order by ${other} limit $3),
    locked as (select conversation_id from conversations where conversation_id in (select conversation_id from next)
      order by conversation_id for no key update),
    changed as (update conversations c set gate = (${change(bit)})::smallint from locked
      where c.conversation_id = locked.conversation_id and c.gate <> ${change(bit)})
  select count(*)::int as count, max(other) as last from next`
}
const CLOSE = (side: GatePlace['side']): string => slice(side, (bit) => `c.gate | ${bit}`)
const OPEN = (side: GatePlace['side']): string => slice(side, (bit) => `c.gate & ~${bit}`)

/**
 * Closes some conversations of this person, or opens those whose other person is not gone, in a transaction that has locked their
 * account: once it is committed nothing more is numbered in those that are closed, on any instance. What was stored before stays as
 * it is. Returns from where to go on; undefined at the end.
 */
export async function moveGate(
  transaction: Queryable,
  userId: UserId,
  { isOpen, from, limit }: GateMove,
): Promise<GatePlace | undefined> {
  let place = from
  let left = limit
  for (;;) {
    const text = isOpen ? OPEN(place.side) : CLOSE(place.side)
    const rows = await transaction.query<{ count: number; last: string | null }>(text, [userId, place.after, left])
    const { count = 0, last } = rows[0] ?? {}
    left -= count
    if (left <= 0) return { side: place.side, after: last ?? place.after }
    if (place.side === 'higher') return undefined
    place = { side: 'higher', after: '' }
  }
}

/** For whoever ends and restores accounts. */
export const CONVERSATION_GATE = { move: moveGate }
