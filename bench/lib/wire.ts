/** The encodings of the wire, and those of peers, as a load generator sees them: prefixes and offsets, not objects. */
import { Packr } from 'msgpackr'
import { binaryOpcode, textOpcode } from './frames.ts'

export type Encoding = 'json' | 'msgpack'
/** `hello` and `ping` are text packets that want an answer; `greeted` is what comes of a greeting. */
export type FrameKind = OurFrameKind | 'hello' | 'ping' | 'greeted'
type OurFrameKind = 'sent' | 'message' | 'error' | 'welcome' | 'synced' | 'presence' | 'lagging' | 'other'

export interface SendFields {
  readonly senderId: string
  readonly receiverId: string
  readonly content: string
}

/** How one encoding is written and read. */
export interface Wire {
  /** Request target of the upgrade. */
  target(userId: string): string
  /** What is offered as subprotocol; empty: nothing. */
  offer(userId: string): string
  readonly opcode: number
  encode(command: Readonly<Record<string, unknown>>): Buffer
  /** A message with the first ref. */
  encodeSend(send: SendFields): Buffer
  /**
   * What has to be said first, if anything, in rounds: the next is said when everybody has been answered, and after the last one
   * all are ready.
   */
  greetings(userId: string, peerIds: readonly string[]): readonly (readonly Buffer[])[]
  /** Whether one frame may hold several messages, a line each. */
  readonly hasLines: boolean
  /**
   * Whether each message is pushed to both people, the sender too, who learns its number by that alone. If it has any: a push
   * without one is counted.
   */
  readonly pushesBoth: boolean
  /** Whether a connection's replies come in the order of its sends; else they do so in each conversation alone. */
  readonly repliesInOrder: boolean
  /** What has to be sent back at once for a frame of this kind. */
  answerTo(kind: FrameKind): Buffer | undefined
  /** Kind of a server frame, from its first bytes: `type` is always the first field. */
  kindOf(bytes: Buffer, start: number): FrameKind
  /** Bytes that stand right before the value of the field called `name`. */
  fieldPrefix(name: string): Buffer
  /** The unsigned integer at `at`, or -1. */
  readNumber(bytes: Buffer, at: number): number
  /** Encoded length of every ref from `firstRef` on, and each of its bytes: written without an allocation. */
  readonly refBytes: number
  refByte(ref: number, index: number): number
}

/** Refs have eight decimal digits and need a uint32 in MessagePack, so every frame has the same length. */
export const firstRef = 10_000_000

const letter = { e: 0x65, l: 0x6c, m: 0x6d, o: 0x6f, p: 0x70, s: 0x73, w: 0x77 }

function kindFromName(first: number | undefined, second: number | undefined): OurFrameKind {
  switch (first) {
    case letter.s:
      return second === letter.e ? 'sent' : 'synced' // nobody here asks for a 'sync'
    case letter.m:
      return 'message'
    case letter.e:
      return 'error'
    case letter.w:
      return 'welcome'
    case letter.p:
      return second === letter.o ? 'other' : 'presence' // a pong, or presence
    case letter.l:
      return 'lagging'
    default:
      return 'other'
  }
}

const ourSend = ({ receiverId, content }: SendFields) => ({
  type: 'send',
  receiver_id: receiverId,
  content,
  ref: firstRef,
})
const plain = { greetings: () => [], hasLines: false, pushesBoth: false, repliesInOrder: true } as const

const ourTarget = (userId: string): string => `/ws?user_id=${encodeURIComponent(userId)}`
const noAnswer = (): undefined => undefined

const jsonTypePrefixBytes = '{"type":"'.length

export const jsonText = (value: object): Buffer => Buffer.from(JSON.stringify(value))

export const jsonWire: Wire = {
  ...plain,
  target: ourTarget,
  answerTo: noAnswer,
  offer: () => 'messaging.v1.json',
  opcode: textOpcode,
  encode: jsonText,
  encodeSend: (send) => jsonText(ourSend(send)),
  kindOf: (bytes, start) => kindFromName(bytes[start + jsonTypePrefixBytes], bytes[start + jsonTypePrefixBytes + 1]),
  fieldPrefix: (name) => Buffer.from(`"${name}":`),
  readNumber(bytes, at) {
    let value = -1
    for (let index = at; ; index++) {
      const digit = (bytes[index] ?? 0) - 0x30
      if (digit < 0 || digit > 9) return value
      value = value < 0 ? digit : value * 10 + digit
    }
  },
  refBytes: 8,
  refByte: (ref, index) => 0x30 + (Math.floor(ref / 10 ** (7 - index)) % 10),
}

const packr = new Packr({ useRecords: false })

export const msgpackWire: Wire = {
  ...plain,
  target: ourTarget,
  answerTo: noAnswer,
  offer: () => 'messaging.v1.msgpack',
  opcode: binaryOpcode,
  encode: (command) => Buffer.from(packr.pack(command)),
  encodeSend: (send) => Buffer.from(packr.pack(ourSend(send))),
  kindOf(bytes, start) {
    // Map header (fixmap, or map16 with two length bytes), the key 'type' (5 bytes), the string's length byte.
    const name = start + ((bytes[start] ?? 0) === 0xde ? 3 : 1) + 5 + 1
    return kindFromName(bytes[name], bytes[name + 1])
  },
  fieldPrefix: (name) => Buffer.from([0xa0 | name.length, ...Buffer.from(name)]),
  readNumber(bytes, at) {
    const head = bytes[at] ?? 0xc0
    if (head < 0x80) return head
    if (head === 0xcc) return bytes[at + 1] ?? -1
    if (head === 0xcd) return bytes.readUInt16BE(at + 1)
    if (head === 0xce) return bytes.readUInt32BE(at + 1)
    if (head === 0xcf) return Number(bytes.readBigUInt64BE(at + 1))
    return head === 0xcb ? bytes.readDoubleBE(at + 1) : -1
  },
  refBytes: 5,
  refByte: (ref, index) => (index === 0 ? 0xce : (ref >>> (8 * (4 - index))) & 0xff),
}

/** First two characters of Socket.IO's packets: Engine.IO's type, then Socket.IO's (socket.io-protocol 5, engine.io 4). */
const socketioKinds: Readonly<Record<string, FrameKind>> = {
  '0{': 'hello',
  '40': 'welcome',
  '41': 'error', // disconnected by the server
  '42': 'message',
  '43': 'sent', // acknowledgement
  '44': 'error', // connection refused
}
const socketioAnswers: Readonly<Partial<Record<FrameKind, Buffer>>> = {
  hello: Buffer.from('40'),
  ping: Buffer.from('3'),
}

/** Events named `m`; a send asks for an acknowledgement, which is Socket.IO's way to reply. */
export const socketioWire: Wire = {
  ...jsonWire,
  target: (userId) => `/socket.io/?EIO=4&transport=websocket&user_id=${encodeURIComponent(userId)}`,
  offer: () => '',
  encode: (command) => Buffer.from(`420["m",${JSON.stringify(command)}]`),
  encodeSend: (send) => socketioWire.encode(ourSend(send)),
  answerTo: (kind) => socketioAnswers[kind],
  kindOf(bytes, start) {
    if (bytes[start] === 0x32) return 'ping' // a lone '2'
    return socketioKinds[String.fromCharCode(bytes[start] ?? 0, bytes[start + 1] ?? 0)] ?? 'other'
  },
}

const channelOf = (one: string, other: string): string => (one < other ? `${one}.${other}` : `${other}.${one}`)
/** Behind `{"id":` and a ref of eight digits, `,"`. */
const centrifugoReplyAt = 16

/**
 * Centrifugo's JSON protocol: a channel for each conversation, to which both people subscribe, so that its history is the
 * conversation's. Publications reach both of them, and each is answered. Source: centrifugal/protocol, client.proto.
 */
export const centrifugoWire: Wire = {
  ...jsonWire,
  target: () => '/connection/websocket',
  offer: () => '',
  hasLines: true,
  pushesBoth: true,
  greetings: (userId, peerIds) => [
    [
      jsonText({ id: 1, connect: {} }),
      ...peerIds.map((peerId, index) => jsonText({ id: index + 2, subscribe: { channel: channelOf(userId, peerId) } })),
    ],
  ],
  encodeSend({ senderId, receiverId, content }) {
    const data = { sender_id: senderId, receiver_id: receiverId, content }
    return jsonText({ id: firstRef, publish: { channel: channelOf(senderId, receiverId), data } })
  },
  answerTo: (kind) => (kind === 'ping' ? Buffer.from('{}') : undefined),
  kindOf(bytes, start) {
    if (bytes[start + 1] === 0x7d) return 'ping' // {}
    if (bytes[start + 2] === letter.p) return 'message' // {"push":
    if (centrifugoWire.readNumber(bytes, start + '{"id":'.length) < firstRef)
      return bytes.indexOf('"error"', start) === -1 ? 'greeted' : 'error'
    return bytes[start + centrifugoReplyAt] === letter.e ? 'error' : 'sent'
  },
  fieldPrefix: (name) => jsonWire.fieldPrefix(name === 'ref' ? 'id' : name === 'seq' ? 'offset' : name),
}

/** Reads one number out of frames of one shape: remembers where it was last time and looks there first. */
export class NumberField {
  readonly #wire: Wire
  readonly #prefix: Buffer
  #offset = 0

  constructor(wire: Wire, name: string, prefix = wire.fieldPrefix(name)) {
    this.#wire = wire
    this.#prefix = prefix
  }

  /** The digits at the end of a text that begins with `begin`: in JSON alone. */
  static ofDigits(wire: Wire, name: string, begin: string): NumberField {
    return new NumberField(wire, name, Buffer.concat([wire.fieldPrefix(name), Buffer.from(`"${begin}`)]))
  }

  /** The value, or -1 when the frame has no such field. */
  read(bytes: Buffer, start: number, end: number): number {
    if (!this.#standsAt(bytes, start + this.#offset)) {
      const found = bytes.indexOf(this.#prefix, start)
      if (found < 0 || found >= end) return -1
      this.#offset = found - start
    }
    return this.#wire.readNumber(bytes, start + this.#offset + this.#prefix.length)
  }

  #standsAt(bytes: Buffer, at: number): boolean {
    for (let index = 0; index < this.#prefix.length; index++) {
      if (bytes[at + index] !== this.#prefix[index]) return false
    }
    return true
  }
}
