import { escapeCopyText } from '../postgres/copy-text.ts'
import { epochMs, type Statement } from '../postgres/statement.ts'
import type { PendingMessage } from './store.ts'

/** Statements of the write path. Parameters are arrays, one element a conversation (or message), in lock order. */

/**
 * $1 conversation ids in ascending order; $2 how many messages each gets; $3, $4 how many of those, from the first on, the
 * lower and the higher person wrote; with `moves` $5 … $8 the positions lo delivered, hi delivered, lo read, hi read (0: none).
 *
 * The session forbids hash joins, merge joins and sequential scans, so the array drives the join and rows are locked in
 * its order. A conversation that gets messages and is not open is left out: a product, because `or` takes twice the time. The
 * condition is read again once the row's lock is granted, so nothing is numbered after the commit of whoever closed it.
 *
 * Returns one row of arrays, because a row for each conversation costs the service twice as much to read: the ordinals, their heads
 * after numbering, the time of the batch, ordinals and times of those whose last message is later than that by another
 * server's clock, and with `moves` the four positions. All arrays are null when nothing was numbered.
 */
function numbering(moves: boolean): string {
  const set = (who: 'lo' | 'hi', position: 'delivered' | 'read') => {
    const column = `${who}_${position}_seq`
    const moved = moves ? `least(v.${who}_${position}, c.last_seq + v.n), ` : ''
    return `${column} = greatest(c.${column}, ${moved}case when c.${column} = c.last_seq then c.last_seq + v.${who}_run end)`
  }
  const positions = 'lo_delivered, hi_delivered, lo_read, hi_read'
  const columns = ['lo_delivered_seq', 'hi_delivered_seq', 'lo_read_seq', 'hi_read_seq']
  const each = (form: (column: string) => string) =>
    moves ? columns.map((column) => `, ${form(column)}`).join('') : ''
  return `with t as materialized (select date_trunc('milliseconds', clock_timestamp()) as at),
  numbered as (update conversations c set
    last_seq = c.last_seq + v.n,
    last_message_at = case when v.n > 0 then greatest(c.last_message_at, t.at) else c.last_message_at end,
    updated_at = greatest(c.updated_at, t.at),
    ${[set('lo', 'delivered'), set('hi', 'delivered'), set('lo', 'read'), set('hi', 'read')].join(',\n    ')}
  from t, unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]${moves ? ', $5::int8[], $6::int8[], $7::int8[], $8::int8[]' : ''})
      with ordinality v(id, n, lo_run, hi_run, ${moves ? `${positions}, ` : ''}ord)
  where c.conversation_id = v.id and c.gate * v.n = 0
  returning v.ord, c.last_seq, t.at, case when v.n > 0 and c.last_message_at > t.at then c.last_message_at end as later
    ${each((column) => `c.${column}`)})
  select array_agg(ord), array_agg(last_seq), ${epochMs('min(at)')},
    array_agg(ord) filter (where later is not null), array_agg(${epochMs('later')}) filter (where later is not null)
    ${each((column) => `array_agg(${column})`)}
  from numbered`
}

export const NUMBER: Statement = { name: 'number', text: numbering(false) }
export const NUMBER_AND_MOVE: Statement = { name: 'number_and_move', text: numbering(true) }

export const COPY: Statement = {
  name: 'copy_messages',
  text: 'copy messages (conversation_id, seq, id, sender_id, content, created_at) from stdin',
}

export function copyRow(conversationId: number, message: PendingMessage): string {
  return `${conversationId}\t${message.seq}\t${message.id}\t${message.sender_id}\t${escapeCopyText(message.content)}\t${message.created_at}\n`
}

/** $1 conversation ids. Returns them in order, each with its gate: 0 for one that is open. */
export const LOCK: Statement = {
  name: 'lock',
  text: `select conversation_id, gate from conversations where conversation_id = any($1::int8[])
    order by conversation_id for no key update`,
}

/** $1 conversation ids, $2 message ids. Returns ordinal, seq, sender, content and time of those that exist. */
export const LOOK_UP: Statement = {
  name: 'look_up',
  text: `select v.ord, m.seq, m.sender_id, m.content, ${epochMs('m.created_at')}
    from unnest($1::int8[], $2::uuid[]) with ordinality v(conversation_id, id, ord)
    join messages m on m.conversation_id = v.conversation_id and m.id = v.id`,
}

/** $1 lower and $2 higher user ids. Returns ordinal and conversation id of the pairs that exist. */
export const FIND: Statement = {
  name: 'find',
  text: `select v.ord, c.conversation_id from unnest($1::text[], $2::text[]) with ordinality v(lo, hi, ord)
    join conversations c on c.user_lo = v.lo and c.user_hi = v.hi`,
}

/** $1 lower and $2 higher user ids, sorted by pair: two instances that open the same pairs wait in the same order. */
export const OPEN: Statement = {
  name: 'open',
  text: `insert into conversations (user_lo, user_hi, updated_at)
    select lo, hi, now() from unnest($1::text[], $2::text[]) v(lo, hi)
    on conflict (user_lo, user_hi) do nothing`,
}

/**
 * The same, only for people who have an active account. Their rows are locked, in one order: who is suspended or deleted
 * meanwhile is either seen here, or finds the conversation when their own are closed. The weakest lock, so that only those two
 * hold it up (`accounts/admin-store.postgres.ts`), and no login, name or role of either.
 */
export const OPEN_FOR_ACCOUNTS: Statement = {
  name: 'open_for_accounts',
  text: `with active as (
      select user_id from accounts where user_id = any($1::text[] || $2::text[]) and state = 0 order by user_id for key share)
    insert into conversations (user_lo, user_hi, updated_at)
    select lo, hi, now() from unnest($1::text[], $2::text[]) v(lo, hi)
    where lo in (select user_id from active) and hi in (select user_id from active)
    on conflict (user_lo, user_hi) do nothing`,
}

/**
 * Sets the sequence of conversation ids behind the highest of them. Under a lock, because somebody who opens a conversation
 * meanwhile might take a later value.
 */
export const MEND_SEQUENCE = `
  begin;
  lock table conversations in share row exclusive mode;
  select setval(pg_get_serial_sequence('conversations', 'conversation_id'), (select max(conversation_id) from conversations));
  commit`
