import type { Command } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'

/** A push of a later version: what it is does not matter, that it has a number does. */
export interface UnknownEntry {
  readonly type: 'unknown'
  readonly with: string
  readonly seq: number
}
export type Received = ServerEvent | UnknownEntry

const POSITIONS = 'with delivered_seq read_seq'
const MESSAGE = 'id seq sender_id receiver_id content created_at'
const NUMBERED = 'with seq'
/** What has to be there of frames that change what is kept; whatever else a frame has is ignored. */
const SHAPES: Readonly<Record<string, string>> = {
  welcome: 'user_id server_time',
  sent: 'id seq with created_at',
  message: MESSAGE,
  history: 'with messages has_more',
  conversations: 'conversations',
  sync: 'changed server_time',
  receipt: POSITIONS,
  unknown: NUMBERED,
}
/** Lists in frames, and what their items have to have. */
const ITEMS: Readonly<Record<string, string>> = {
  messages: MESSAGE,
  conversations: `${POSITIONS} last_seq`,
  changed: `${POSITIONS} last_seq`,
}

type Fields = Readonly<Record<string, unknown>>
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null
/** A number that is none, or has no end, would be the highest for ever, or compare with nothing. */
const isOfKind = (name: string, value: unknown): boolean =>
  /seq$|^(n|at)$/.test(name) ? Number.isFinite(value) : typeof value === (name === 'has_more' ? 'boolean' : 'string')

/** Whether a value, of a frame or of a storage, has all of these fields, each of its kind. */
export const fits = (value: unknown, shape: string): boolean =>
  isRecord(value) &&
  shape.split(' ').every((name) => (ITEMS[name] ? isListOf(value[name], ITEMS[name]) : isOfKind(name, value[name])))

const isListOf = (value: unknown, shape: string): boolean =>
  Array.isArray(value) && value.every((item) => fits(item, shape))

/** Whether it has all that a message has. */
export const isMessage = (value: unknown): boolean => fits(value, MESSAGE)

export function encodeCommand(command: Command): string {
  return JSON.stringify(command)
}

/** One frame of the server; `undefined` when it is none that this client can use. Never throws. */
export function decodeEvent(frame: unknown): Received | undefined {
  let value: unknown
  try {
    value = JSON.parse(String(frame))
  } catch {
    return undefined
  }
  if (!isRecord(value) || typeof value.type !== 'string') return undefined
  const { type } = value
  const shape = SHAPES[type]
  // The fields that are read were looked at one by one. Of names like `toString` an object has something by itself.
  if (typeof shape === 'string') return fits(value, shape) ? (value as unknown as Received) : undefined
  if (fits(value, NUMBERED)) return { type: 'unknown', with: value.with, seq: value.seq } as UnknownEntry
  // Taken as it is: the worst that a wrong one does is to show something wrong for a moment, and a later kind does nothing.
  return value as unknown as Received
}
