import type { Socket } from 'node:net'
import { closeOpcode, FrameScanner, maskedFrame, pingOpcode, pongOpcode } from './frames.ts'
import { endpointOf, openWebSocket } from './socket.ts'
import { NumberField } from './wire.ts'
import { wireOf } from './wires.ts'

/** What a client keeps of its own while the kernel takes no more. */
const maxOwnBytes = 64 * 1024
const codePrefix = Buffer.from('"code":"')
const quote = 0x22
/** Of a close without a frame. */
const abnormalClose = 1006

export interface FloodSocketEvents {
  welcomed(): void
  /** All that was unread has come. */
  synced(): void
  /** The send with this ref is stored as `seq`, or was refused with this code and is to be tried again later. */
  answered(ref: number, outcome: number | string, retryAfterMs: number): void
  pushed(seq: number): void
  failed(reason: string): void
  closed(code: number, reason: string): void
}

/** One socket of a user who is in one conversation: reads what comes, and requires its order. */
export class FloodSocket {
  readonly #events: FloodSocketEvents
  readonly #wire = wireOf('json')
  readonly #socket: Socket
  readonly #sentRef = new NumberField(this.#wire, 'ref')
  readonly #sentSeq = new NumberField(this.#wire, 'seq')
  readonly #errorRef = new NumberField(this.#wire, 'ref')
  readonly #retryAfterMs = new NumberField(this.#wire, 'retry_after_ms')
  readonly #messageSeq = new NumberField(this.#wire, 'seq')
  #lastSent = 0
  #lastPushed = 0
  #closed = false

  constructor(
    { host, port, userId }: { readonly host: string; readonly port: number; readonly userId: string },
    events: FloodSocketEvents,
  ) {
    this.#events = events
    const scanner = new FrameScanner((opcode, bytes, start, end) => this.#take(opcode, bytes, start, end))
    this.#socket = openWebSocket(
      endpointOf({ host, port, userId, wire: this.#wire }),
      (chunk) => scanner.push(chunk),
      (reason) => this.#end(abnormalClose, reason),
    )
  }

  get isFull(): boolean {
    return this.#socket.writableLength > maxOwnBytes
  }

  write(frames: Buffer): void {
    this.#socket.write(frames)
  }

  acknowledge(peerId: string, seq: number): void {
    this.write(maskedFrame(this.#wire.opcode, this.#wire.encode({ type: 'ack', with: peerId, seq })))
  }

  /** Tells nobody. */
  close(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return
    this.close()
    this.#events.closed(code, reason)
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (this.#closed) return
    if (opcode === pingOpcode) this.write(maskedFrame(pongOpcode, bytes.subarray(start, end)))
    else if (opcode === closeOpcode)
      this.#end(end > start ? bytes.readUInt16BE(start) : abnormalClose, bytes.toString('latin1', start + 2, end))
    else if (opcode === this.#wire.opcode) this.#takeText(bytes, start, end)
  }

  #takeText(bytes: Buffer, start: number, end: number): void {
    const kind = this.#wire.kindOf(bytes, start)
    if (kind === 'sent') {
      const seq = this.#sentSeq.read(bytes, start, end)
      this.#lastSent = this.#inOrder(seq, this.#lastSent)
      this.#events.answered(this.#sentRef.read(bytes, start, end), seq, 0)
    } else if (kind === 'error') {
      const retryAfterMs = this.#retryAfterMs.read(bytes, start, end)
      this.#events.answered(this.#errorRef.read(bytes, start, end), codeIn(bytes, start), retryAfterMs)
    } else if (kind === 'message') {
      const seq = this.#messageSeq.read(bytes, start, end)
      this.#lastPushed = this.#inOrder(seq, this.#lastPushed)
      this.#events.pushed(seq)
    } else if (kind === 'welcome') this.#events.welcomed()
    else if (kind === 'synced') this.#events.synced()
  }

  #inOrder(seq: number, last: number): number {
    if (seq <= last) this.#events.failed(`seq ${seq} after ${last}`)
    return seq
  }
}

function codeIn(bytes: Buffer, start: number): string {
  const at = bytes.indexOf(codePrefix, start) + codePrefix.length
  return bytes.toString('latin1', at, bytes.indexOf(quote, at))
}
