import * as z from 'zod'
import type { Command, Ref } from '../../protocol/commands.ts'
import { MAX_HISTORY_LIMIT, MAX_LIST_LIMIT, MAX_SYNC_HEADS, MAX_WATCHED_PER_COMMAND } from '../../protocol/limits.ts'
import type { Decoded } from './codec.ts'
import { contentFaultOf, describeFault, type Fault, repeatedField, wrongField } from './faults.ts'
import { bound, content, cursor, field, isEchoed, messageId, ref, seq, userId, wholeNumber } from './fields.ts'

const position = { with: userId, seq, ref }
const userIds = {
  user_ids: field(
    z.array(userId).max(MAX_WATCHED_PER_COMMAND),
    `a list of at most ${MAX_WATCHED_PER_COMMAND} user ids`,
  ),
  ref,
}
const heads = field(
  z
    .array(z.tuple([userId, bound]))
    .max(MAX_SYNC_HEADS)
    .refine(areOfDifferent),
  `a list of at most ${MAX_SYNC_HEADS} pairs of a user id and a whole number, none twice of one user`,
)
const since = field(z.iso.datetime({ offset: true }), 'a time such as 2026-01-02T03:04:05.678Z')
const truth = field(z.boolean(), 'true or false')

/** What each command has to look like; /asyncapi.json is made of it as well. */
export const COMMAND_SCHEMAS = {
  send: z.strictObject({
    type: z.literal('send'),
    receiver_id: userId,
    content,
    id: messageId.optional(),
    ref,
  }),
  ack: z.strictObject({ type: z.literal('ack'), ...position }),
  read: z.strictObject({ type: z.literal('read'), ...position }),
  typing: z.strictObject({ type: z.literal('typing'), receiver_id: userId, active: truth.optional(), ref }),
  history: z.strictObject({
    type: z.literal('history'),
    with: userId,
    before: bound.optional(),
    after: bound.optional(),
    limit: wholeNumber(1, MAX_HISTORY_LIMIT).optional(),
    ref,
  }),
  conversations: z.strictObject({
    type: z.literal('conversations'),
    limit: wholeNumber(1, MAX_LIST_LIMIT).optional(),
    cursor: cursor.optional(),
    ref,
  }),
  sync: z.strictObject({ type: z.literal('sync'), heads: heads.optional(), since: since.optional(), ref }),
  watch: z.strictObject({ type: z.literal('watch'), ...userIds }),
  unwatch: z.strictObject({ type: z.literal('unwatch'), ...userIds }),
  auth: z.strictObject({ type: z.literal('auth'), token: field(z.string(), 'a text'), ref }),
  state: z.strictObject({ type: z.literal('state'), active: truth, ref }),
  ping: z.strictObject({ type: z.literal('ping'), ref }),
} as const satisfies { readonly [Type in Command['type']]: z.ZodType<Extract<Command, { type: Type }>> }

const { send, ack, read, typing, history, conversations, sync, watch, unwatch, auth, state, ping } = COMMAND_SCHEMAS
const command = z.compile(
  z.discriminatedUnion('type', [
    send,
    ack,
    read,
    typing,
    history,
    conversations,
    sync,
    watch,
    unwatch,
    auth,
    state,
    ping,
  ]),
)
const TYPES = `one of ${Object.keys(COMMAND_SCHEMAS).join(', ')}`

/** A fault of a command, with what tells the client which command it was. */
export interface Refusal extends Fault {
  readonly ref?: Ref | undefined
  readonly id?: string | undefined
  readonly retryAfterMs?: number | undefined
}
export type ParsedCommand = { ok: true; command: Command } | { ok: false; refusal: Refusal }

export interface CommandRules {
  readonly maxContentBytes: number
  /** A frame without `type` is a `send`: the rule for clients without a subprotocol. */
  readonly implicitSend: boolean
}

/** What a person who types frames by hand is shown. */
export const EXAMPLE_FRAME = '{"receiver_id":"bob","content":"hi"}'

/** Makes one command of a decoded frame. Total: any value gives a command or the reason why not, never a throw. */
export function parseCommand(value: unknown, rules: CommandRules): ParsedCommand {
  if (!isRecord(value)) {
    const example = rules.implicitSend ? `, such as ${EXAMPLE_FRAME}` : ''
    return refuse({}, { code: 'invalid_request', message: `A frame must be one object${example}.` })
  }
  const frame = rules.implicitSend && value.type === undefined ? { ...value, type: 'send' } : value
  const parsed = command.safeParse(frame)
  if (!parsed.success) return refuse(value, faultOf(frame, parsed.error))
  if (parsed.data.type === 'send') {
    const fault = contentFaultOf(parsed.data.content, rules.maxContentBytes)
    if (fault) return refuse(value, fault)
  }
  return { ok: true, command: parsed.data }
}

/** The command in a frame that was decoded. */
export function commandIn({ value, repeated }: NonNullable<Decoded>, rules: CommandRules): ParsedCommand {
  return repeated === undefined ? parseCommand(value, rules) : refuseRepeated(value, repeated)
}

/** For a frame that has two fields of one name. */
export function refuseRepeated(value: unknown, name: string): ParsedCommand {
  return refuse(isRecord(value) ? value : {}, repeatedField(name))
}

function faultOf(frame: Record<string, unknown>, error: z.core.$ZodError): Fault {
  const { type } = frame
  if (typeof type !== 'string' || !Object.hasOwn(COMMAND_SCHEMAS, type))
    return wrongField('type', TYPES, type === undefined)
  return describeFault(error, COMMAND_SCHEMAS[type as Command['type']].shape, frame, 'A frame')
}

function refuse(value: object, fault: Fault): ParsedCommand {
  return { ok: false, refusal: { ...fault, ...echo(value) } }
}

/** The parts of a refused frame by which the client knows which command failed. */
function echo(value: object): { ref?: Ref; id?: string } {
  const named: { ref?: Ref; id?: string } = {}
  if ('ref' in value && isRef(value.ref)) named.ref = value.ref
  if ('id' in value && messageId.safeParse(value.id).success) named.id = value.id as string
  return named
}

function isRef(value: unknown): value is Ref {
  return typeof value === 'string' || (typeof value === 'number' && isEchoed(value))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Of two heads of one user only one would count. */
function areOfDifferent(heads: readonly (readonly [string, number])[]): boolean {
  return new Set(heads.map(([user]) => user)).size === heads.length
}
