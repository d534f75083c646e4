import * as z from 'zod'
import { ERRORS, type ErrorCode } from '../../protocol/codes.ts'
import type { EventOf, ServerEvent } from '../../protocol/events.ts'
import { messageId, ref, userId } from './fields.ts'
import { conversationsAnswer, message, messagesAnswer } from './rest.ts'

/** What the service says on a socket. Nothing is checked by these: /asyncapi.json is made of them, and they follow the types. */

const time = z.iso.datetime()
const position = z.int().min(0)
const milliseconds = z.int().min(0)
const change = conversationsAnswer.shape.conversations.element.omit({ last_message: true, unread: true })

export const EVENT_SCHEMAS = {
  welcome: z.object({
    type: z.literal('welcome'),
    user_id: userId,
    connection_id: z.string(),
    server_time: time,
    epoch: z.string(),
    protocol: z.literal(1),
    max_content_bytes: z.int().min(1),
    heartbeat_seconds: z.number(),
    expires_at: time.exactOptional(),
  }),
  sent: z.object({
    type: z.literal('sent'),
    ref,
    id: messageId,
    seq: z.int().min(1),
    with: userId,
    created_at: time,
    duplicate: z.boolean(),
  }),
  message: message.extend({ type: z.literal('message') }),
  synced: z.object({ type: z.literal('synced'), server_time: time, epoch: z.string() }),
  receipt: z.object({
    type: z.literal('receipt'),
    with: userId,
    delivered_seq: position,
    read_seq: position,
    user_id: userId.exactOptional(),
  }),
  presence: z.object({
    type: z.literal('presence'),
    user_id: userId,
    status: z.enum(['online', 'offline', 'unknown']),
    last_seen: time.exactOptional(),
  }),
  typing: z.object({ type: z.literal('typing'), sender_id: userId, active: z.boolean() }),
  history: z.object({ type: z.literal('history'), ref, with: userId, ...messagesAnswer.shape }),
  conversations: z.object({ type: z.literal('conversations'), ref, ...conversationsAnswer.shape }),
  sync: z.object({
    type: z.literal('sync'),
    ref,
    changed: z.array(change),
    server_time: time,
    epoch: z.string(),
  }),
  lagging: z.object({ type: z.literal('lagging'), with: userId.exactOptional() }),
  draining: z.object({ type: z.literal('draining'), reconnect_after_ms: milliseconds }),
  error: z.object({
    type: z.literal('error'),
    ref,
    code: z.enum(Object.keys(ERRORS) as ErrorCode[]),
    message: z.string(),
    field: z.string().optional(),
    retry_after_ms: milliseconds.optional(),
    id: messageId.optional(),
  }),
  pong: z.object({ type: z.literal('pong'), ref }),
  authenticated: z.object({ type: z.literal('authenticated'), ref, expires_at: time }),
  auth_expiring: z.object({ type: z.literal('auth_expiring'), in_ms: milliseconds }),
  user_changed: z.object({
    type: z.literal('user_changed'),
    user_id: userId,
    display_name: z.string(),
    avatar: z.string().exactOptional(),
  }),
} as const satisfies { readonly [Type in ServerEvent['type']]: z.ZodType<EventOf<Type>> }
