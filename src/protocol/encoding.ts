import type { ServerEvent } from './events.ts'

/** WebSocket subprotocols and the encoding that each speaks. Without a subprotocol a socket speaks JSON. */
export const SUBPROTOCOLS = { 'messaging.v1.json': 'json', 'messaging.v1.msgpack': 'msgpack' } as const

export type Subprotocol = keyof typeof SUBPROTOCOLS
/** Both carry the same fields: JSON in text frames, MessagePack in binary ones. */
export type Encoding = (typeof SUBPROTOCOLS)[Subprotocol]

/** One encoded event: its text, or, of a binary encoding, one character for each byte. */
export type Frame = string

/** Makes the frames of one encoding. */
export interface Encoder {
  readonly name: Encoding
  encode(event: ServerEvent): Frame
}
