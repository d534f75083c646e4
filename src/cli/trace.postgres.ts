import type { Queryable } from '../postgres/queries.ts'
import type { MessageTrace, Trace } from './trace.ts'

/**
 * $1 the id, $2 a person or null. An id names a message within its conversation, and so does the index: without a person each
 * conversation is asked.
 */
const TRACE = `
  select m.id::text, m.sender_id, r.receiver_id, m.seq::int8::text as seq, octet_length(m.content) as content_bytes,
    m.created_at as stored_at, c.last_seq::text as last_seq, r.delivered_seq::text, r.read_seq::text,
    case when j.user_id is null then null else json_build_object('due_at', j.due_at, 'last_seq', j.last_seq,
      'pushed_seq', j.pushed_seq, 'pushed_at', j.pushed_at, 'attempts', j.attempts)::text end as notification,
    (select count(*)::int from push_subscriptions s where s.user_id = r.receiver_id) as subscriptions
  from conversations c
  cross join lateral (select * from messages where conversation_id = c.conversation_id and id = $1 offset 0) m
  cross join lateral (select
    case when m.sender_id = c.user_lo then c.user_hi else c.user_lo end as receiver_id,
    case when m.sender_id = c.user_lo then c.hi_delivered_seq else c.lo_delivered_seq end as delivered_seq,
    case when m.sender_id = c.user_lo then c.hi_read_seq else c.lo_read_seq end as read_seq) r
  left join push_jobs j on j.user_id = r.receiver_id and j.conversation_id = c.conversation_id
  where $2::text is null or c.user_lo = $2 or c.user_hi = $2
  order by m.created_at`

type Computed = 'seq' | 'last_seq' | 'delivered_seq' | 'read_seq' | 'stored_at' | 'notification' | 'delivered' | 'read'

interface Row extends Omit<MessageTrace, Computed> {
  readonly seq: string
  readonly last_seq: string
  readonly delivered_seq: string
  readonly read_seq: string
  readonly stored_at: Date | string
  readonly notification: string | null
}

/** Reads what the tables still know of a message. */
export function traceIn(queries: Queryable): Trace {
  return async (id, userId) => (await queries.query<Row>(TRACE, [id, userId ?? null])).map(toTrace)
}

function toTrace(row: Row): MessageTrace {
  const seq = Number(row.seq)
  const [delivered_seq, read_seq] = [Number(row.delivered_seq), Number(row.read_seq)]
  return {
    ...row,
    seq,
    last_seq: Number(row.last_seq),
    stored_at: new Date(row.stored_at).toISOString(),
    delivered_seq,
    read_seq,
    delivered: delivered_seq >= seq,
    read: read_seq >= seq,
    notification: row.notification === null ? null : JSON.parse(row.notification),
  }
}
