/** Peer of `rest`: Fastify and pg as people use them, with statements that read what ours read and one INSERT per message. */
import fastify from 'fastify'
import { Pool } from 'pg'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { resolveDsn } from '../../src/postgres/dsn.ts'
import { resultTypes } from '../../src/postgres/types.ts'
import { createRows, insertRow } from '../lib/rows.ts'
import { announce, relayEvents, type SendCommand } from './relay.ts'

type Row = readonly (string | number)[]

const ms = (column: string) => `(date_part('epoch', ${column}) * 1000)::int8`
const message = `m.id, m.seq, m.sender_id, m.content, ${ms('m.created_at')}`

/** $1 lo, $2 hi, $3 before, $4 limit. */
const page = `select ${message} from messages m
  where m.conversation_id = (select conversation_id from conversations where user_lo = $1 and user_hi = $2) and m.seq < $3
  order by m.seq desc limit $4`

/** $1 user, $2 limit. */
const conversations = `select c.peer, c.last_seq, c.delivered_seq, c.read_seq, c.peer_delivered_seq, c.peer_read_seq,
    (select count(*) from (select from messages u
      where u.conversation_id = c.conversation_id and u.seq > c.read_seq and u.sender_id <> $1 limit 100) unread),
    ${message}
  from (
    select conversation_id, user_hi as peer, last_seq, last_message_at, lo_delivered_seq as delivered_seq,
      lo_read_seq as read_seq, hi_delivered_seq as peer_delivered_seq, hi_read_seq as peer_read_seq
    from conversations where user_lo = $1
    union all
    select conversation_id, user_lo, last_seq, last_message_at, hi_delivered_seq, hi_read_seq, lo_delivered_seq, lo_read_seq
    from conversations where user_hi = $1 and user_lo <> $1
    order by last_message_at desc limit $2) c
  join messages m on m.conversation_id = c.conversation_id and m.seq = c.last_seq
  order by c.last_message_at desc`

const config = await resolveDsn(process.env['PEER_POSTGRES_DSN'] ?? '')
const pool = new Pool({ ...config, types: resultTypes, max: 16 })
await pool.query(createRows)
const online = process.env['PEER_BODY'] ?? ''
const app = fastify({ logger: false })

const rowsOf = async (name: string, text: string, values: unknown[]): Promise<Row[]> =>
  (await pool.query<(string | number)[]>({ name, text, values, rowMode: 'array' })).rows

function toMessage([id, seq, sender_id, content, atMs]: Row, [lo, hi]: readonly [string, string]) {
  const receiver_id = sender_id === lo ? hi : lo
  return { id, seq, sender_id, receiver_id, content, created_at: new Date(Number(atMs)).toISOString() }
}

app.post<{ Body: SendCommand & { sender_id: string } }>('/api/send_message', async (request, reply) => {
  const { sender_id, receiver_id, content } = request.body
  const { message, conversationId } = relayEvents(sender_id, { receiver_id, content })
  const { type, ...stored } = message
  const values = [conversationId, stored.seq, stored.id, sender_id, content, stored.created_at]
  await rowsOf('insert-row', insertRow, values)
  return reply.code(201).send({ ...stored, duplicate: false })
})

app.get<{ Querystring: { user_id: string; with: string; limit: string; before?: string } }>(
  '/api/messages',
  async ({ query }) => {
    const { lo, hi } = conversationBetween(query.user_id, query.with)
    const limit = Number(query.limit)
    const rows = await rowsOf('page', page, [lo, hi, Number(query.before ?? Number.MAX_SAFE_INTEGER), limit + 1])
    const messages = rows.slice(0, limit).map((row) => toMessage(row, [lo, hi]))
    return { messages: messages.reverse(), has_more: rows.length > limit }
  },
)

app.get<{ Querystring: { user_id: string } }>('/api/conversations', async ({ query }) => {
  const rows = await rowsOf('conversations', conversations, [query.user_id, 51])
  return {
    conversations: rows.map((row) => {
      const [peer = '', last_seq, delivered_seq, read_seq, peer_delivered_seq, peer_read_seq, unread] = row
      const { lo, hi } = conversationBetween(query.user_id, String(peer))
      const positions = { delivered_seq, read_seq, peer_delivered_seq, peer_read_seq }
      return { with: peer, last_seq, last_message: toMessage(row.slice(7), [lo, hi]), ...positions, unread }
    }),
    next_cursor: null,
  }
})

app.get('/api/online_users', (_request, reply) => reply.type('application/json; charset=utf-8').send(online))

await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
if (address !== null && typeof address === 'object') announce(address.port)
process.on('SIGTERM', () => process.exit(0))
