import * as z from 'zod'
import type { ErrorCode } from './codes.ts'
import {
  MAX_HISTORY_LIMIT,
  MAX_LIST_LIMIT,
  MAX_SYNC_HEADS,
  MAX_WATCHED_PER_COMMAND,
  USER_ID_PATTERN,
} from './limits.ts'
import { contentFault } from './text.ts'

/** Echoed in the reply, so that a client can tell which command it answers. */
export type Ref = string | number

/** Opaque: `next_cursor` of the page before. */
export const cursor = z.string().min(1).max(512)
const ref = z.union([z.string(), z.number()]).optional()
export const userId = z.string().regex(USER_ID_PATTERN, 'must match ^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$')
/** Any UUID: its version is the client's affair. */
export const messageId = z.guid()
export const seq = z.int().min(1)
/** Exclusive bound of a page: 0 means "from the very beginning". */
export const bound = z.int().min(0)

const send = z.strictObject({
  type: z.literal('send'),
  receiver_id: userId,
  content: z.string(),
  id: messageId.optional(),
  ref,
})
const position = { with: userId, seq, ref }
const ack = z.strictObject({ type: z.literal('ack'), ...position })
const read = z.strictObject({ type: z.literal('read'), ...position })
const typing = z.strictObject({ type: z.literal('typing'), receiver_id: userId, active: z.boolean().optional(), ref })
const history = z.strictObject({
  type: z.literal('history'),
  with: userId,
  before: bound.optional(),
  after: bound.optional(),
  limit: z.int().min(1).max(MAX_HISTORY_LIMIT).optional(),
  ref,
})
const conversations = z.strictObject({
  type: z.literal('conversations'),
  limit: z.int().min(1).max(MAX_LIST_LIMIT).optional(),
  cursor: cursor.optional(),
  ref,
})
const sync = z.strictObject({
  type: z.literal('sync'),
  heads: z
    .array(z.tuple([userId, bound]))
    .max(MAX_SYNC_HEADS)
    .optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  ref,
})
const userIds = { user_ids: z.array(userId).max(MAX_WATCHED_PER_COMMAND), ref }
const watch = z.strictObject({ type: z.literal('watch'), ...userIds })
const unwatch = z.strictObject({ type: z.literal('unwatch'), ...userIds })
const auth = z.strictObject({ type: z.literal('auth'), token: z.string(), ref })
const ping = z.strictObject({ type: z.literal('ping'), ref })

const schemas = [send, ack, read, typing, history, conversations, sync, watch, unwatch, auth, ping] as const
const command = z.compile(z.discriminatedUnion('type', schemas))

/** What a client may ask. `send`: the reply `sent` is given only after the commit. */
export type Command = z.infer<(typeof schemas)[number]>
export type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>

export interface Refusal {
  readonly code: ErrorCode
  readonly message?: string
  readonly field?: string
  readonly ref?: Ref
  readonly id?: string
  readonly retryAfterMs?: number
}
export type ParsedCommand = { ok: true; command: Command } | { ok: false; refusal: Refusal }

export interface CommandRules {
  readonly maxContentBytes: number
  /** A frame without `type` is a `send`: the rule for clients without a subprotocol. */
  readonly implicitSend: boolean
}

/** Makes one command of a decoded frame. Total: any value gives a command or the reason why not, never a throw. */
export function parseCommand(value: unknown, rules: CommandRules): ParsedCommand {
  if (!isRecord(value)) return refuse({}, 'invalid_request', 'A frame must be one object.')
  const frame = rules.implicitSend && value.type === undefined ? { ...value, type: 'send' } : value
  const parsed = command.safeParse(frame)
  if (!parsed.success) return { ok: false, refusal: { ...describeFault(parsed.error), ...echo(value) } }
  if (parsed.data.type === 'send') {
    const fault = contentFault(parsed.data.content, rules.maxContentBytes)
    if (fault) return refuse(value, fault, undefined, 'content')
  }
  return { ok: true, command: parsed.data }
}

/** A compiled or plain schema of this protocol. */
export type Schema<T> = z.ZodType<T>

/** The first fault of a failed schema, as an error of the protocol. */
export function describeFault(error: z.core.$ZodError): { code: ErrorCode; message: string; field?: string } {
  const issue = error.issues[0]
  if (!issue) return { code: 'invalid_request', message: 'Invalid request.' }
  if (issue.code === 'unrecognized_keys') {
    const field = String(issue.keys[0]).slice(0, 64)
    return { code: 'invalid_request', message: `Unknown field: ${field}.`, field }
  }
  const field = issue.path.join('.')
  const message = `${field || 'request'}: ${issue.message}`
  return field ? { code: 'invalid_request', message, field } : { code: 'invalid_request', message }
}

function refuse(value: object, code: ErrorCode, message?: string, field?: string): ParsedCommand {
  return { ok: false, refusal: { code, ...(message && { message }), ...(field && { field }), ...echo(value) } }
}

/** The parts of a refused frame by which the client knows which command failed. */
function echo(value: object): { ref?: Ref; id?: string } {
  const named: { ref?: Ref; id?: string } = {}
  if ('ref' in value && (typeof value.ref === 'string' || Number.isFinite(value.ref))) named.ref = value.ref as Ref
  if ('id' in value && messageId.safeParse(value.id).success) named.id = value.id as string
  return named
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
