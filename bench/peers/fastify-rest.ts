/** Peer of `rest`: Fastify and pg as people use them, with our statements for reading and one INSERT per message. */
import fastify from 'fastify'
import { Pool } from 'pg'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { CONVERSATIONS, PAGE_BEFORE } from '../../src/messages/read-statements.postgres.ts'
import { resolveDsn } from '../../src/postgres/dsn.ts'
import { resultTypes } from '../../src/postgres/types.ts'
import { createRows, insertRow } from '../lib/rows.ts'
import { announce, relayEvents, type SendCommand } from './relay.ts'

type Row = readonly (string | number)[]

const config = await resolveDsn(process.env['PEER_POSTGRES_DSN'] ?? '')
const pool = new Pool({ ...config, types: resultTypes, max: 16 })
await pool.query(createRows)
const online = process.env['PEER_BODY'] ?? ''
const app = fastify({ logger: false })

const rowsOf = async (statement: { name: string; text: string }, values: readonly unknown[]): Promise<Row[]> =>
  (await pool.query<(string | number)[]>({ ...statement, values: [...values], rowMode: 'array' })).rows

function toMessage([id, seq, sender_id, content, atMs]: Row, [lo, hi]: readonly [string, string]) {
  const receiver_id = sender_id === lo ? hi : lo
  return { id, seq, sender_id, receiver_id, content, created_at: new Date(Number(atMs)).toISOString() }
}

app.post<{ Body: SendCommand & { sender_id: string } }>('/api/send_message', async (request, reply) => {
  const { sender_id, receiver_id, content } = request.body
  const { message, conversationId } = relayEvents(sender_id, { receiver_id, content })
  const { type, ...stored } = message
  const values = [conversationId, stored.seq, stored.id, sender_id, content, stored.created_at]
  await rowsOf({ name: 'insert-row', text: insertRow }, values)
  return reply.code(201).send({ ...stored, duplicate: false })
})

app.get<{ Querystring: { user_id: string; with: string; limit: string; before?: string } }>(
  '/api/messages',
  async ({ query }) => {
    const { lo, hi } = conversationBetween(query.user_id, query.with)
    const limit = Number(query.limit)
    const rows = await rowsOf(PAGE_BEFORE, [lo, hi, Number(query.before ?? Number.MAX_SAFE_INTEGER), limit + 1])
    const messages = rows.slice(0, limit).map((row) => toMessage(row, [lo, hi]))
    return { messages: messages.reverse(), has_more: rows.length > limit }
  },
)

app.get<{ Querystring: { user_id: string } }>('/api/conversations', async ({ query }) => {
  const rows = await rowsOf(CONVERSATIONS, [query.user_id, 51, Number.MAX_SAFE_INTEGER, 0])
  return {
    conversations: rows.map((row) => {
      const [, , peer = '', last_seq, delivered_seq, read_seq, peer_delivered_seq, peer_read_seq, unread] = row
      const { lo, hi } = conversationBetween(query.user_id, String(peer))
      const positions = { delivered_seq, read_seq, peer_delivered_seq, peer_read_seq }
      return { with: peer, last_seq, last_message: toMessage(row.slice(9), [lo, hi]), ...positions, unread }
    }),
    next_cursor: null,
  }
})

app.get('/api/online_users', (_request, reply) => reply.type('application/json; charset=utf-8').send(online))

await app.listen({ host: '127.0.0.1', port: 0 })
const address = app.server.address()
if (address !== null && typeof address === 'object') announce(address.port)
process.on('SIGTERM', () => process.exit(0))
