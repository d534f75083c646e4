import * as z from 'zod'
import { DEFAULT_HISTORY_LIMIT, DEFAULT_LIST_LIMIT, MAX_HISTORY_LIMIT, MAX_LIST_LIMIT } from '../../protocol/limits.ts'
import { bound, content, cursor, expectedOf, field, messageId, userId, wholeNumber } from './fields.ts'

/** Requests and answers of the REST API. The server validates by these, and /openapi.json is made of them. */

/** A query parameter is text; only plain decimal digits count as a number. */
function integer(schema: z.ZodType<number, number>) {
  const text = z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number)
    .pipe(schema)
  return field(text, expectedOf(schema) ?? 'a whole number')
}

export const sendBody = z.strictObject({
  receiver_id: userId,
  content,
  sender_id: userId.optional(),
  id: messageId.optional(),
})

/** Says who asks where the query does not. */
export const askerHeaders = z.object({ 'X-User-Id': userId.optional() })
export const sendHeaders = askerHeaders.extend({ 'Idempotency-Key': messageId.optional() })

export const senderQuery = z.strictObject({ user_id: userId.optional() })

export const messagesQuery = z.strictObject({
  user_id: userId.optional(),
  with: userId,
  limit: integer(wholeNumber(1, MAX_HISTORY_LIMIT)).default(DEFAULT_HISTORY_LIMIT),
  before: integer(bound).optional(),
  after: integer(bound).optional(),
})

const listLimit = integer(wholeNumber(1, MAX_LIST_LIMIT)).default(DEFAULT_LIST_LIMIT)
export const onlineUsersQuery = z.strictObject({
  user_id: userId.optional(),
  limit: listLimit,
  cursor: cursor.optional(),
})
export const conversationsQuery = z.strictObject({
  user_id: userId.optional(),
  limit: listLimit,
  cursor: cursor.optional(),
})

export const socketQuery = z.strictObject({ user_id: userId })
/** With tokens: who connects is proven, and may be said as well. */
export const tokenSocketQuery = z.strictObject({
  user_id: userId.optional(),
  ticket: field(z.string().min(1).max(64), 'a ticket of POST /api/auth/ticket').optional(),
})

export const message = z.object({
  id: messageId,
  seq: z.int().min(1),
  sender_id: userId,
  receiver_id: userId,
  content: z.string(),
  created_at: z.iso.datetime(),
})
export const sendAnswer = message.extend({ duplicate: z.boolean() })
export const messagesAnswer = z.object({ messages: z.array(message), has_more: z.boolean() })
export const onlineUsersAnswer = z.object({
  online_users: z.array(userId),
  count: z.int().min(0),
  next_cursor: z.string().nullable(),
})
export const conversationsAnswer = z.object({
  conversations: z.array(
    z.object({
      with: userId,
      last_seq: z.int().min(0),
      last_message: message.nullable(),
      delivered_seq: z.int().min(0),
      read_seq: z.int().min(0),
      peer_delivered_seq: z.int().min(0),
      peer_read_seq: z.int().min(0),
      unread: z.int().min(0).max(100),
    }),
  ),
  next_cursor: z.string().nullable(),
})
export const errorAnswer = z.object({
  error: z.object({ code: z.string(), message: z.string(), field: z.string().optional() }),
  request_id: z.string(),
})
