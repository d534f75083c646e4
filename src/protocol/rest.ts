import * as z from 'zod'
import { bound, cursor, messageId, userId } from './commands.ts'
import { DEFAULT_HISTORY_LIMIT, DEFAULT_LIST_LIMIT, MAX_HISTORY_LIMIT, MAX_LIST_LIMIT } from './limits.ts'

/** Requests and answers of the REST API. The server validates by these, and /openapi.json is made of them. */

/** A query parameter is text; only plain decimal digits count as a number. */
const integer = (schema: z.ZodType<number, number>) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a non-negative whole number')
    .transform(Number)
    .pipe(schema)

export const sendBody = z.strictObject({
  receiver_id: userId,
  content: z.string(),
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
  limit: integer(z.int().min(1).max(MAX_HISTORY_LIMIT)).default(DEFAULT_HISTORY_LIMIT),
  before: integer(bound).optional(),
  after: integer(bound).optional(),
})

const listQuery = {
  limit: integer(z.int().min(1).max(MAX_LIST_LIMIT)).default(DEFAULT_LIST_LIMIT),
  cursor: cursor.optional(),
}
export const onlineUsersQuery = z.strictObject({ user_id: userId.optional(), ...listQuery })
export const conversationsQuery = z.strictObject({ user_id: userId.optional(), ...listQuery })

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
