import { epochMs, type Statement } from '../postgres/statement.ts'
import { MAX_UNREAD_COUNT, UNREAD_WINDOW } from '../protocol/limits.ts'
import { MAX_PAGE_BYTES } from './store.ts'

/**
 * Statements of the read path. Those of one conversation cost what they return, those of users one row for each conversation
 * that they have; none costs what is stored, also while PostgreSQL's statistics are older than the data (but for those of a
 * table that held no row or one): where they make both indexes of `messages` look alike, `order by seq` tells which one to
 * take.
 */

/**
 * A message as one text: id, seq, milliseconds since the epoch, sender, content, with a space after each of the first four,
 * which hold none. Five columns cost the reader a string each; the server takes 5 to 10 % longer for the one.
 */
const MESSAGE = `concat_ws(' ', m.id, m.seq, ${epochMs('m.created_at')}, m.sender_id, m.content)`
const OF_PAIR = '(select c.conversation_id from conversations c where c.user_lo = $1 and c.user_hi = $2)'

const BEFORE = `from messages m where m.conversation_id = ${OF_PAIR} and m.seq < $3 order by m.seq desc limit $4`
const AFTER = `from messages m
    where m.conversation_id = ${OF_PAIR} and m.seq > $3 and m.seq < $4 order by m.seq limit $5`

/** Of these rows the first, up to the one with which their texts reach the bytes of a page. To add them up costs a fifth. */
const upToPageBytes = (rows: string, order: string) => `select ${MESSAGE}
    from (select m.*, sum(octet_length(m.content)) over (order by ${order}) - octet_length(m.content) as bytes_before
      from (select m.* ${rows}) m) m
    where m.bytes_before < ${MAX_PAGE_BYTES} order by ${order}`

/** $1 lo, $2 hi, $3 before (exclusive), $4 limit. Newest first. */
export const PAGE_BEFORE: Statement = { name: 'page_before', text: `select ${MESSAGE} ${BEFORE}` }
/** The same for a limit with which large texts could make too large a page. */
export const LARGE_PAGE_BEFORE: Statement = {
  name: 'large_page_before',
  text: upToPageBytes(BEFORE, 'm.seq desc'),
}

/** $1 lo, $2 hi, $3 after (exclusive), $4 before (exclusive), $5 limit. Oldest first. */
export const PAGE_AFTER: Statement = { name: 'page_after', text: `select ${MESSAGE} ${AFTER}` }
export const LARGE_PAGE_AFTER: Statement = { name: 'large_page_after', text: upToPageBytes(AFTER, 'm.seq') }

/** $1 lo, $2 hi. */
export const LAST_SEQ: Statement = {
  name: 'last_seq',
  text: 'select last_seq from conversations where user_lo = $1 and user_hi = $2',
}

/** $1 lower and $2 higher user ids. Returns ordinal and head of the conversations that exist. */
export const LAST_SEQS: Statement = {
  name: 'last_seqs',
  text: `select v.ord, c.last_seq from unnest($1::text[], $2::text[]) with ordinality v(lo, hi, ord)
    join conversations c on c.user_lo = v.lo and c.user_hi = v.hi`,
}

/** All conversations of user $1 that hold a message, seen from that user. One with oneself counts once. */
const OF_USER = `(
    select conversation_id, user_hi as peer, last_seq, last_message_at, updated_at, lo_delivered_seq as delivered_seq,
      lo_read_seq as read_seq, hi_delivered_seq as peer_delivered_seq, hi_read_seq as peer_read_seq
    from conversations where user_lo = $1 and last_seq > 0
    union all
    select conversation_id, user_lo, last_seq, last_message_at, updated_at, hi_delivered_seq,
      hi_read_seq, lo_delivered_seq, lo_read_seq
    from conversations where user_hi = $1 and user_lo <> $1 and last_seq > 0
  )`
const POSITIONS = 'c.delivered_seq, c.read_seq, c.peer_delivered_seq, c.peer_read_seq'

/** $1 user, $2 limit, $3 and $4 time (ms) and id of the last conversation of the page before. Newest first. */
export const CONVERSATIONS: Statement = {
  name: 'conversations',
  text: `select ${epochMs('c.last_message_at')}, c.conversation_id, c.peer, c.last_seq, ${POSITIONS},
      (select count(*) from (
        select from messages u
        where u.conversation_id = c.conversation_id and u.sender_id <> $1
          and u.seq > greatest(c.read_seq, c.last_seq - ${UNREAD_WINDOW})
        order by u.seq desc limit ${MAX_UNREAD_COUNT}) unread),
      (select ${MESSAGE} from messages m
        where m.conversation_id = c.conversation_id and m.seq >= c.last_seq order by m.seq limit 1)
    from (select * from ${OF_USER} mine
      where (${epochMs('last_message_at')}, conversation_id) < ($3::int8, $4::int8)
      order by last_message_at desc, conversation_id desc limit $2) c
    order by c.last_message_at desc, c.conversation_id desc`,
}

/**
 * A row of its own with the database's time, told also when nothing else is found; `rest` other columns are null. What is
 * committed later has a later time, or is younger than a transaction may live. Cut to milliseconds, as a commit's time is: rounded
 * it could lie above a later commit. By `floor`, because `date_trunc` reckons with the time zone.
 */
const timeRow = (rest: number) =>
  `select floor(date_part('epoch', now()) * 1000)::int8${', null'.repeat(rest)} union all`

/** $1 user, $2 milliseconds since the epoch. */
export const CHANGES: Statement = {
  name: 'changes',
  text: `${timeRow(6)} select null, c.peer, c.last_seq, ${POSITIONS} from ${OF_USER} c
    where c.updated_at >= to_timestamp($2::float8 / 1000)`,
}

/** $1 user. Not of `OF_USER`: everybody asks for this who connects, and a subselect costs PostgreSQL a fifth more. */
export const BACKLOG: Statement = {
  name: 'backlog',
  text: `${timeRow(3)}
    select null, user_hi, lo_delivered_seq, last_seq from conversations where user_lo = $1 and last_seq > lo_delivered_seq
    union all
    select null, user_lo, hi_delivered_seq, last_seq from conversations
      where user_hi = $1 and user_lo <> $1 and last_seq > hi_delivered_seq`,
}

/** From $2, a subselect because it would be computed again for every row otherwise. */
const SINCE = '(select to_timestamp($2::float8 / 1000))'

/**
 * $1 users, $2 milliseconds since the epoch. Returns user, other person, head and what the user has acknowledged. Looks at every
 * conversation of these users: an index by time would take from each batch its heap-only updates.
 */
export const RECENT_HEADS: Statement = {
  name: 'recent_heads',
  text: `${timeRow(7)}
    select null, c.user_lo, c.user_hi, c.last_seq, c.lo_delivered_seq, c.lo_read_seq, c.hi_delivered_seq, c.hi_read_seq
      from conversations c where c.user_lo = any($1::text[]) and c.updated_at >= ${SINCE} and c.last_seq > 0
    union all
    select null, c.user_hi, c.user_lo, c.last_seq, c.hi_delivered_seq, c.hi_read_seq, c.lo_delivered_seq, c.lo_read_seq
      from conversations c where c.user_hi = any($1::text[]) and c.user_lo <> c.user_hi and c.last_seq > 0
        and c.updated_at >= ${SINCE}`,
}

/** How far back from the head recent messages are looked for, so that a busy conversation costs no more than a quiet one. */
const RECENT_WINDOW = 1000

/** $1 lower and $2 higher user ids, $3 times in milliseconds since the epoch. Returns ordinal and first seq of those that exist. */
export const FIRST_SINCE: Statement = {
  name: 'first_since',
  text: `select v.ord, 1 + coalesce((
        select m.seq from messages m
        where m.conversation_id = c.conversation_id and m.seq > c.last_seq - ${RECENT_WINDOW}
          and m.created_at < to_timestamp(v.since / 1000)
        order by m.seq desc limit 1), greatest(c.last_seq - ${RECENT_WINDOW}, 0))
    from unnest($1::text[], $2::text[], $3::float8[]) with ordinality v(lo, hi, since, ord)
    join conversations c on c.user_lo = v.lo and c.user_hi = v.hi`,
}

/** Why nothing can be stored here, or null. */
export const CHECK: Statement = {
  name: 'check',
  text: `select case
    when pg_is_in_recovery() then 'it is a standby'
    when current_setting('transaction_read_only')::bool then 'it is read-only'
    when not (has_table_privilege('messages', 'insert') and has_table_privilege('conversations', 'insert')
      and has_table_privilege('conversations', 'update')) then 'the role may not write'
  end`,
}
