import { Packr } from 'msgpackr'
import type { MessagePush, Sent, ServerEvent } from './events.ts'

/** One encoded event: text for JSON, bytes for MessagePack. */
export type Frame = string | Uint8Array

/** `undefined` in place of a value: the bytes are no frame of this encoding. */
export type Decoded = { readonly value: unknown } | undefined

/** One of the two encodings. Both carry the same fields; decode never throws, whatever the bytes. */
export interface Codec {
  readonly name: 'json' | 'msgpack'
  /** Whether its frames are binary WebSocket frames. */
  readonly binary: boolean
  decode(bytes: Uint8Array): Decoded
  encode(event: ServerEvent): Frame
}

export const SUBPROTOCOLS = { 'messaging.v1.json': 'json', 'messaging.v1.msgpack': 'msgpack' } as const
export type Subprotocol = keyof typeof SUBPROTOCOLS

const text = new TextDecoder('utf-8', { fatal: true })

export const jsonCodec: Codec = {
  name: 'json',
  binary: false,
  decode(bytes) {
    try {
      return { value: JSON.parse(text.decode(bytes)) }
    } catch {
      return undefined
    }
  },
  encode(event) {
    // The two events of the message path are written out: JSON.stringify costs several times as much for the same text.
    if (event.type === 'message') return encodeMessage(event)
    if (event.type === 'sent') return encodeSent(event)
    return JSON.stringify(event)
  },
}

// structuredClone, records and extensions stay off on both ends: clients are in many languages, and an extension from a
// hostile client could make values that no JSON client can (see isPlain).
const packr = new Packr({
  useRecords: false,
  variableMapSize: true,
  structuredClone: false,
  int64AsType: 'number',
  copyBuffers: true,
})
const MAX_DEPTH = 16

export const msgpackCodec: Codec = {
  name: 'msgpack',
  binary: true,
  decode(bytes) {
    try {
      const value: unknown = packr.unpack(bytes)
      return isPlain(value, MAX_DEPTH) && isAsWritten(value, bytes) ? { value } : undefined
    } catch {
      return undefined
    }
  },
  encode(event) {
    // As with JSON the two events of the message path are written out: to filter their fields costs more than to pack them.
    if (event.type === 'message') return packr.pack(messageFields(event))
    if (event.type === 'sent') return packr.pack(sentFields(event))
    return packr.pack(withoutUndefined(event))
  },
}

export const CODECS = { json: jsonCodec, msgpack: msgpackCodec } as const

/** Only what JSON could also say: the decoder accepts records, dates, sets and cycles from the wire even so configured. */
function isPlain(value: unknown, depth: number): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth === 0) return false
  if (Array.isArray(value)) return value.every((element) => isPlain(element, depth - 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  return Object.values(value).every((element) => isPlain(element, depth - 1))
}

/**
 * Whether every text was UTF-8. The decoder puts U+FFFD in place of what is not, so a message would be stored other than
 * it was sent; each U+FFFD that the client wrote itself stands in the bytes.
 */
function isAsWritten(value: unknown, bytes: Uint8Array): boolean {
  const decoded = replacements(value)
  return decoded === 0 || decoded <= writtenReplacements(bytes)
}

function replacements(value: unknown): number {
  if (typeof value === 'string') return value.includes('\ufffd') ? value.split('\ufffd').length - 1 : 0
  if (typeof value !== 'object' || value === null) return 0
  return Object.values(value).reduce<number>((sum, element) => sum + replacements(element), 0)
}

function writtenReplacements(bytes: Uint8Array): number {
  let count = 0
  for (let index = 2; index < bytes.length; index += 1) {
    if (bytes[index] === 0xbd && bytes[index - 1] === 0xbf && bytes[index - 2] === 0xef) count += 1
  }
  return count
}

function messageFields({ id, seq, sender_id, receiver_id, content, created_at }: MessagePush): MessagePush {
  return { type: 'message', id, seq, sender_id, receiver_id, content, created_at }
}

function sentFields({ ref, id, seq, with: other, created_at, duplicate }: Sent): Sent {
  if (ref === undefined) return { type: 'sent', id, seq, with: other, created_at, duplicate }
  return { type: 'sent', ref, id, seq, with: other, created_at, duplicate }
}

/** MessagePack would send an absent `ref` as nil; JSON leaves it out. Both must carry the same fields. */
function withoutUndefined(event: ServerEvent): object {
  return Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined))
}

// Ids, user ids and times consist of characters that JSON never escapes; only content and ref need quoting.
function encodeMessage(m: MessagePush): string {
  return `{"type":"message","id":"${m.id}","seq":${m.seq},"sender_id":"${m.sender_id}","receiver_id":"${m.receiver_id}","content":${JSON.stringify(m.content)},"created_at":"${m.created_at}"}`
}

function encodeSent(s: Sent): string {
  const ref = s.ref === undefined ? '' : `"ref":${JSON.stringify(s.ref)},`
  return `{"type":"sent",${ref}"id":"${s.id}","seq":${s.seq},"with":"${s.with}","created_at":"${s.created_at}","duplicate":${s.duplicate}}`
}
