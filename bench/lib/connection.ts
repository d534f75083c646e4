import type { Socket } from 'node:net'
import { closeOpcode, FrameScanner, maskedFrame, pingOpcode, pongOpcode } from './frames.ts'
import { SendTemplate } from './send-template.ts'
import { endpointOf, openWebSocket } from './socket.ts'
import { SeqLog } from './verify.ts'
import { firstRef, NumberField, type Wire } from './wire.ts'

/** More than any server allows in flight on one connection; send times of that many messages are kept. */
const timesKept = 1024
const maxBurst = 64
/** In-flight sends that the protocol allows one connection. */
const inFlightLimit = 256

export interface ConnectionPlan {
  readonly host: string
  readonly port: number
  readonly wire: Wire
  readonly userId: string
  readonly peerId: string
  readonly content: string
  /** Messages between two cumulative `ack` commands; 0: never (the server in question has no `ack`). */
  readonly ackEvery: number
}

/** What the load does when something came; called at most once per chunk and kind. */
export interface ConnectionEvents {
  welcomed(): void
  acked(connection: LoadConnection, count: number): void
  delivered(connection: LoadConnection, count: number): void
  failed(reason: string): void
}

/** One user's socket: sends pre-encoded messages to its peer, counts and checks everything that comes back. */
export class LoadConnection {
  sent = 0
  acked = 0
  delivered = 0
  readonly sentSeqs = new SeqLog('sent')
  readonly deliveredSeqs = new SeqLog('message')
  readonly plan: ConnectionPlan
  readonly #events: ConnectionEvents
  readonly #template: SendTemplate
  readonly #socket: Socket
  readonly #scanner = new FrameScanner((opcode, bytes, start, end) => this.#take(opcode, bytes, start, end))
  readonly #sentSeq: NumberField
  readonly #sentRef: NumberField
  readonly #messageSeq: NumberField
  readonly #intendedMs = new Float64Array(timesKept)
  /** Due times of what may not be sent yet, oldest first. */
  readonly #waitingMs: number[] = []
  #unackedMessages = 0
  #closing = false

  constructor(plan: ConnectionPlan, events: ConnectionEvents) {
    this.plan = plan
    this.#events = events
    this.#template = new SendTemplate(plan.wire, plan.peerId, plan.content, maxBurst)
    this.#sentSeq = new NumberField(plan.wire, 'seq')
    this.#sentRef = new NumberField(plan.wire, 'ref')
    this.#messageSeq = new NumberField(plan.wire, 'seq')
    this.#socket = openWebSocket(
      endpointOf(plan),
      (chunk) => this.#receive(chunk),
      (reason) => this.#closed(reason),
    )
  }

  get inFlight(): number {
    return this.sent - this.acked
  }

  /** Sends `count` messages in one write; `intendedMs` is when the schedule wanted them sent. */
  send(count: number, intendedMs: number): void {
    for (let left = count; left > 0; left -= maxBurst) {
      const burst = Math.min(left, maxBurst)
      this.#socket.write(this.#template.burst(burst, firstRef + this.sent))
      for (let index = 0; index < burst; index++) this.#intendedMs[this.sent++ % timesKept] = intendedMs
    }
  }

  /**
   * Sends one message that was due at `intendedMs`, when the protocol's limit allows: a client that keeps to it waits for
   * replies. What waits is late, and its latency, counted from when it was due, says so.
   */
  offer(intendedMs: number): void {
    if (this.inFlight < inFlightLimit) this.send(1, intendedMs)
    else this.#waitingMs.push(intendedMs)
  }

  /** Forgets what waits: the load is over. */
  stopOffering(): void {
    this.#waitingMs.length = 0
  }

  /** When the `index`-th message was meant to leave; only the last ones are kept. */
  intendedMs(index: number): number {
    return this.#intendedMs[index % timesKept] ?? 0
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    const [acked, delivered] = [this.acked, this.delivered]
    this.#scanner.push(chunk)
    if (this.delivered > delivered) this.#events.delivered(this, this.delivered - delivered)
    if (this.acked > acked) {
      this.#events.acked(this, this.acked - acked)
      for (const dueMs of this.#waitingMs.splice(0, inFlightLimit - this.inFlight)) this.send(1, dueMs)
    }
    if (this.plan.ackEvery > 0) this.#acknowledge(this.delivered - delivered)
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === pingOpcode) this.#socket.write(maskedFrame(pongOpcode, bytes.subarray(start, end)))
    else if (opcode === closeOpcode) this.#closed(`close frame ${end > start ? bytes.readUInt16BE(start) : ''}`)
    else if (opcode !== this.plan.wire.opcode) this.#events.failed(`unexpected opcode ${opcode}`)
    else this.#takeMessage(bytes, start, end)
  }

  #takeMessage(bytes: Buffer, start: number, end: number): void {
    const { wire } = this.plan
    const kind = wire.kindOf(bytes, start)
    const answer = wire.answerTo(kind)
    if (answer !== undefined) this.#socket.write(maskedFrame(wire.opcode, answer))
    else if (kind === 'sent') this.#takeSent(bytes, start, end)
    else if (kind === 'message') this.#takeDelivered(this.#messageSeq.read(bytes, start, end))
    else if (kind === 'welcome') this.#events.welcomed()
    else if (kind === 'error' || kind === 'lagging')
      this.#events.failed(`${kind} frame: ${bytes.toString('latin1', start, end).slice(0, 300)}`)
  }

  #takeSent(bytes: Buffer, start: number, end: number): void {
    const ref = this.#sentRef.read(bytes, start, end)
    if (ref !== firstRef + this.acked)
      this.#events.failed(`reply out of order: ref ${ref}, not ${firstRef + this.acked}`)
    this.acked++
    this.sentSeqs.add(this.#sentSeq.read(bytes, start, end))
  }

  #takeDelivered(seq: number): void {
    this.delivered++
    this.deliveredSeqs.add(seq)
  }

  #acknowledge(delivered: number): void {
    this.#unackedMessages += delivered
    if (this.#unackedMessages < this.plan.ackEvery) return
    this.#unackedMessages = 0
    const { wire, peerId } = this.plan
    this.#socket.write(
      maskedFrame(wire.opcode, wire.encode({ type: 'ack', with: peerId, seq: this.deliveredSeqs.last })),
    )
  }

  #closed(reason: string): void {
    if (!this.#closing) this.#events.failed(`${this.plan.userId}: ${reason}`)
    this.#closing = true
  }
}
