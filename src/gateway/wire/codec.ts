import { Packr } from 'msgpackr'
import { ownText } from '../../lib/own-text.ts'
import type { Ref } from '../../protocol/commands.ts'
import type { Encoder } from '../../protocol/encoding.ts'
import type { HistoryReply, MessagePush, Sent, ServerEvent } from '../../protocol/events.ts'
import type { Message } from '../../protocol/message.ts'
import {
  charactersOf,
  entriesOf,
  fieldNames,
  MAX_ID_CHARACTERS,
  mapOf,
  packed,
  packedNumber,
  packedText,
  unpackFlat,
} from './msgpack.ts'
import { repeatedName } from './repeated-names.ts'

/** `undefined` in place of a value: the bytes are no frame of this encoding. */
export type Decoded =
  | {
      readonly value: unknown
      /** A name that one of its objects has twice; the value has one of the two. */
      readonly repeated?: string | undefined
    }
  | undefined

/** One of the two encodings. Both carry the same fields; decode never throws, on any bytes. */
export interface Codec extends Encoder {
  /** Whether its frames are binary WebSocket frames. */
  readonly binary: boolean
  decode(bytes: Uint8Array): Decoded
}

const text = new TextDecoder('utf-8', { fatal: true })

export const jsonCodec: Codec = {
  name: 'json',
  binary: false,
  decode(bytes) {
    try {
      const json = text.decode(bytes)
      const value: unknown = JSON.parse(json)
      return { value, repeated: repeatedName(json, value) }
    } catch {
      return undefined
    }
  },
  encode(event) {
    // What carries messages is written out: JSON.stringify costs several times as much for the same text.
    if (event.type === 'message') return `{"type":"message",${messageJson(event)}}`
    if (event.type === 'sent') return encodeSent(event)
    if (event.type === 'history') return encodeHistory(event)
    return JSON.stringify(event)
  },
}

// structuredClone, records and extensions stay off on both ends: clients are in many languages, and an extension from a
// hostile client could make values that no JSON client can (see replacementsIn).
const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  structuredClone: false,
  int64AsType: 'number',
  copyBuffers: true,
})
const MAX_DEPTH = 16
const COMMAND_FIELDS = fieldNames(['type', 'receiver_id', 'content', 'id', 'ref', 'with', 'seq'])

export const msgpackCodec: Codec = {
  name: 'msgpack',
  binary: true,
  decode(bytes) {
    const flat = unpackFlat(bytes, COMMAND_FIELDS)
    if (flat) return { value: flat }
    try {
      const value: unknown = packr.unpack(bytes)
      // NaN is neither 0 nor below anything.
      return isAsWritten(replacementsIn(value, MAX_DEPTH), bytes)
        ? { value: withOwnTexts(value), repeated: repeatedEntry(bytes, value) }
        : undefined
    } catch {
      return undefined
    }
  },
  encode(event) {
    // As with JSON the two events of the message path are written out.
    if (event.type === 'message') return packMessage(event)
    if (event.type === 'sent') return packSent(event)
    return charactersOf(packr.pack(withoutUndefined(event)))
  },
}

export const CODECS = { json: jsonCodec, msgpack: msgpackCodec } as const

/**
 * How many U+FFFD the texts of a value hold; NaN when it holds something that JSON could not also say: the decoder accepts
 * records, dates, sets and cycles from the wire even so configured. One walk for both: it is a good part of decoding.
 */
function replacementsIn(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.includes('\ufffd') ? value.split('\ufffd').length - 1 : 0
  if (typeof value === 'number') return Number.isFinite(value) ? 0 : Number.NaN
  if (value === null || typeof value === 'boolean') return 0
  if (typeof value !== 'object' || depth === 0) return Number.NaN
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return Number.NaN
  let sum = 0
  for (const element of Object.values(value)) sum += replacementsIn(element, depth - 1)
  return sum
}

/**
 * Whether every text was UTF-8. The decoder puts U+FFFD in place of what is not, so a message would be stored other than
 * it was sent; each U+FFFD that the client wrote itself stands in the bytes.
 */
function isAsWritten(replacements: number, bytes: Uint8Array): boolean {
  return replacements === 0 || replacements <= writtenReplacements(bytes)
}

function writtenReplacements(bytes: Uint8Array): number {
  let count = 0
  for (let index = 2; index < bytes.length; index += 1) {
    if (bytes[index] === 0xbd && bytes[index - 1] === 0xbf && bytes[index - 2] === 0xef) count += 1
  }
  return count
}

/** More than any command has. */
const MAX_NAMES = 16

/** The decoder keeps the last of two equal keys. Only the outermost map is looked at: no command has another. */
function repeatedEntry(bytes: Uint8Array, value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const names = Object.keys(value)
  // Of more names than any command has, some are refused anyway; to look for each of them would take seconds.
  if (names.length > MAX_NAMES || entriesOf(bytes) === names.length) return undefined
  const characters = charactersOf(bytes)
  // That one stands there twice is certain; which, as good as: a text may hold the bytes of another.
  return names.find((name) => characters.split(packedText(name)).length > 2) ?? names[0]
}

/** The decoder cuts texts out of larger ones; those that may be ids are copied, so that none keeps its frame alive. */
function withOwnTexts(value: unknown): unknown {
  if (typeof value === 'string') return value.length <= MAX_ID_CHARACTERS ? ownText(value) : value
  if (Array.isArray(value)) return value.map(withOwnTexts)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, withOwnTexts(field)]))
}

/** MessagePack would send an absent `ref` as nil; JSON leaves it out. Both must carry the same fields. */
function withoutUndefined(event: ServerEvent): object {
  return Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined))
}

/** The fields of a message as JSON, without braces. */
// Ids, user ids and times consist of characters that JSON never escapes; only content needs quoting.
export function messageJson(m: Message): string {
  return `"id":"${m.id}","seq":${m.seq},"sender_id":"${m.sender_id}","receiver_id":"${m.receiver_id}","content":${quoted(m.content)},"created_at":"${m.created_at}"`
}

/** The fields of a page of messages as JSON, without braces. */
export function pageJson(messages: readonly Message[], hasMore: boolean): string {
  let list = ''
  for (const message of messages) list += `${list === '' ? '' : ','}{${messageJson(message)}}`
  return `"messages":[${list}],"has_more":${hasMore}`
}

function encodeHistory(h: HistoryReply): string {
  return `{"type":"history",${refJson(h.ref)}"with":"${h.with}",${pageJson(h.messages, h.has_more)}}`
}

function encodeSent(s: Sent): string {
  return `{"type":"sent",${refJson(s.ref)}"id":"${s.id}","seq":${s.seq},"with":"${s.with}","created_at":"${s.created_at}","duplicate":${s.duplicate}}`
}

function refJson(ref: Ref | undefined): string {
  if (ref === undefined) return ''
  return `"ref":${typeof ref === 'string' ? quoted(ref) : JSON.stringify(ref)},`
}

/** All but what stands in JSON as it is: control characters, quotes, backslashes, and halves of a pair, of which lone ones are escaped. */
const TO_ESCAPE = /[^ !#-[\]-\ud7ff\ue000-\uffff]/

/** A text as JSON. To look for what has to be escaped costs half of JSON.stringify, and mostly there is nothing. */
function quoted(text: string): string {
  return TO_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`
}

const MESSAGE_START = mapOf(7) + packed('type') + packed('message') + packed('id')
const SENT_START = packed('type') + packed('sent')
const [ID, SEQ, WITH, REF] = ['id', 'seq', 'with', 'ref'].map(packed)
const [SENDER_ID, RECEIVER_ID, CONTENT, CREATED_AT] = ['sender_id', 'receiver_id', 'content', 'created_at'].map(packed)
const [TRUE, FALSE] = [`${packed('duplicate')}\xc3`, `${packed('duplicate')}\xc2`]

function packMessage(m: MessagePush): string {
  return `${MESSAGE_START}${packed(m.id)}${SEQ}${packedNumber(m.seq)}${SENDER_ID}${packed(m.sender_id)}${RECEIVER_ID}${packed(m.receiver_id)}${CONTENT}${packedText(m.content)}${CREATED_AT}${packed(m.created_at)}`
}

function packSent(s: Sent): string {
  const start =
    s.ref === undefined
      ? `${mapOf(6)}${SENT_START}`
      : `${mapOf(7)}${SENT_START}${REF}${typeof s.ref === 'number' ? packedNumber(s.ref) : packedText(s.ref)}`
  return `${start}${ID}${packed(s.id)}${SEQ}${packedNumber(s.seq)}${WITH}${packed(s.with)}${CREATED_AT}${packed(s.created_at)}${s.duplicate ? TRUE : FALSE}`
}
