// WebSocket by the byte, for frames that no WebSocket client would make.
import { createHash } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { Packr } from 'msgpackr'
import { within } from './deadline.ts'
import { upgradeRequest } from './raw-http.ts'
import type { Target } from './service.ts'
import { JSON_PROTOCOL, MSGPACK_PROTOCOL } from './socket-client.ts'

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameShape {
  readonly opcode: number
  readonly payload?: Uint8Array | string
  /** False: more fragments follow. */
  readonly fin?: boolean
  /** The three reserved bits, as one number. */
  readonly rsv?: number
  /** Null leaves the mask out, which only a server may do. */
  readonly mask?: readonly [number, number, number, number] | null
  /** In how many bits the length is written; the fewest that hold it unless said. */
  readonly lengthBits?: 7 | 16 | 64
  /** The length that the header claims, when it is not the true one. */
  readonly claims?: bigint
}

const MASK = [0x37, 0xfa, 0x21, 0x3d] as const
const packr = new Packr({ useRecords: false })

/** One frame as a client writes it, with everything wrong that the shape asks for. */
export function frame(shape: FrameShape): Buffer {
  const { opcode, payload = '', fin = true, rsv = 0, mask = MASK } = shape
  const bytes = Buffer.from(payload)
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode
  const length = lengthField(shape, bytes.length)
  length[0] = (length[0] ?? 0) | (mask ? 0x80 : 0)
  const masked = mask ? bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : bytes
  return Buffer.concat([Buffer.from([first]), length, Buffer.from(mask ?? []), masked])
}

function lengthField({ lengthBits, claims }: FrameShape, trueLength: number): Buffer {
  const length = claims ?? BigInt(trueLength)
  const bits = lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64)
  if (bits === 7) return Buffer.from([Number(length)])
  const field = Buffer.alloc(bits === 16 ? 3 : 9)
  field[0] = bits === 16 ? 126 : 127
  if (bits === 16) field.writeUInt16BE(Number(length), 1)
  else field.writeBigUInt64BE(length, 1)
  return field
}

/** The payload of a `ping` command; the service echoes its `ref`. */
export const pingText = (ref: string): string => JSON.stringify({ type: 'ping', ref })
export const pingPacked = (ref: string): Buffer => packr.pack({ type: 'ping', ref })

/** One upgraded connection; what the service does to it is kept as short texts, in order. */
export class RawWebSocket {
  readonly socket: Socket
  /** `pong <ref>`, `error <code>`, `PONG <payload>` (the control frame), `close <code>`, at last `end`. */
  readonly events: string[] = []
  /** Headers of the answer to the upgrade. */
  head = ''
  #bytes = Buffer.alloc(0)
  #watchers: (() => void)[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#received(chunk))
    // A reset is one of the ways in which a server may cut off; it shows as `end`.
    socket.on('error', () => undefined)
    socket.on('close', () => this.#happened('end'))
  }

  /** Resolves once the service has welcomed the user, so that what follows is about the frames alone. */
  static async connect(
    { port }: Target,
    user: string,
    { packed = false, headers = {} }: { packed?: boolean; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<RawWebSocket> {
    const raw = new RawWebSocket(connect(port, '127.0.0.1'))
    const protocol = packed ? MSGPACK_PROTOCOL : JSON_PROTOCOL
    raw.socket.write(upgradeRequest(`/ws?user_id=${user}`, { 'Sec-WebSocket-Protocol': protocol, ...headers }))
    await raw.until((event) => event === 'synced')
    return raw
  }

  /** Writes the chunks one after the other, each handed to the kernel before the next. */
  async write(...chunks: readonly Uint8Array[]): Promise<void> {
    for (const chunk of chunks) {
      if (this.socket.destroyed) return
      await new Promise<void>((resolve) => this.socket.write(chunk, () => resolve()))
    }
  }

  /** Everything that has happened once an event matches, or once the connection has ended. */
  until(matches: (event: string) => boolean, limitMs?: number): Promise<readonly string[]> {
    const found = new Promise<readonly string[]>((resolve) => {
      const look = (): void => {
        if (this.events.some((event) => matches(event) || event === 'end')) resolve(this.events)
        else this.#watchers.push(look)
      }
      look()
    })
    return within(found, () => `an event; got ${JSON.stringify(this.events.slice(-5))}`, limitMs)
  }

  /** Ends the connection with a reset. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  #received(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.head === '') {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      this.head = this.#bytes.subarray(0, end).toString('latin1')
      this.#bytes = this.#bytes.subarray(end + 4)
    }
    for (let event = this.#take(); event !== undefined; event = this.#take()) this.#happened(event)
  }

  /** A server's frames have no mask, and ours are never fragmented. */
  #take(): string | undefined {
    const bytes = this.#bytes
    if (bytes.length < 2) return undefined
    const short = (bytes[1] ?? 0) & 0x7f
    const start = short < 126 ? 2 : short === 126 ? 4 : 10
    if (bytes.length < start) return undefined
    const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    if (bytes.length < start + length) return undefined
    this.#bytes = bytes.subarray(start + length)
    return eventOf((bytes[0] ?? 0) & 0x0f, bytes.subarray(start, start + length))
  }

  #happened(event: string): void {
    this.events.push(event)
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }
}

function eventOf(opcode: number, payload: Buffer): string {
  if (opcode === OPCODES.close) return `close ${payload.length < 2 ? 'without code' : payload.readUInt16BE(0)}`
  if (opcode === OPCODES.pong) return `PONG ${payload.toString('latin1')}`
  if (opcode === OPCODES.ping) return 'PING'
  const event = opcode === OPCODES.binary ? packr.unpack(payload) : JSON.parse(payload.toString())
  return [event.type, event.code ?? (event.ref === undefined ? undefined : shortened(String(event.ref)))]
    .filter((part) => part !== undefined)
    .join(' ')
}

/** A text that tells long texts apart, without their length in a failed test's output. */
export function shortened(text: string): string {
  if (text.length <= 64) return text
  return `${text.length}:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
}
