import type { Socket } from 'node:net'
import { closeOpcode, FrameScanner, maskedFrame, pingOpcode, pongOpcode } from './frames.ts'
import { type Endpoint, openWebSocket } from './socket.ts'
import { SeqLog } from './verify.ts'
import { type FrameKind, NumberField, type Wire } from './wire.ts'
import { type WireName, wireOf } from './wires.ts'

export interface CrowdSocketPlan {
  readonly endpoint: Endpoint
  readonly wire: WireName
  readonly userId: string
}

/** What a crowd wants to know of its sockets. */
export interface CrowdSocketEvents {
  arrived(kind: FrameKind): void
  failed(reason: string): void
}

/** One of very many sockets: counts its messages and answers pings. */
export class CrowdSocket {
  readonly messages = new SeqLog('message')
  readonly #wire: Wire
  readonly #userId: string
  readonly #events: CrowdSocketEvents
  readonly #socket: Socket
  readonly #seq: NumberField
  #closing = false

  constructor({ endpoint, wire, userId }: CrowdSocketPlan, events: CrowdSocketEvents) {
    this.#wire = wireOf(wire)
    this.#userId = userId
    this.#events = events
    this.#seq = new NumberField(this.#wire, 'seq')
    const scanner = new FrameScanner((opcode, bytes, start, end) => this.#take(opcode, bytes, start, end))
    this.#socket = openWebSocket(
      endpoint,
      (chunk) => scanner.push(chunk),
      (reason) => this.#closed(reason),
    )
  }

  say(payload: string, times = 1): void {
    const frame = maskedFrame(this.#wire.opcode, Buffer.from(payload))
    this.#socket.write(Buffer.concat(Array.from({ length: times }, () => frame)))
  }

  /** From now on the server may close it. */
  expectEnd(): void {
    this.#closing = true
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === pingOpcode) this.#socket.write(maskedFrame(pongOpcode, bytes.subarray(start, end)))
    else if (opcode === closeOpcode) this.#closed(`close frame ${end > start ? bytes.readUInt16BE(start) : ''}`)
    else if (opcode === this.#wire.opcode) this.#takeText(bytes, start, end)
  }

  #takeText(bytes: Buffer, start: number, end: number): void {
    const kind = this.#wire.kindOf(bytes, start)
    const answer = this.#wire.answerTo(kind)
    if (answer !== undefined) this.#socket.write(maskedFrame(this.#wire.opcode, answer))
    else if (kind === 'error' || kind === 'lagging')
      this.#events.failed(`${kind} frame: ${bytes.toString('latin1', start, end)}`)
    else {
      if (kind === 'message') this.messages.add(this.#seq.read(bytes, start, end))
      this.#events.arrived(kind)
    }
  }

  #closed(reason: string): void {
    if (!this.#closing) this.#events.failed(`${this.#userId}: ${reason}`)
    this.#closing = true
  }
}
