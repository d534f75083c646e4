import type { Socket } from 'node:net'
import { closeOpcode, FrameScanner, maskedFrame, pingOpcode, pongOpcode } from './frames.ts'
import { SendTemplate } from './send-template.ts'
import { endpointOf, openWebSocket } from './socket.ts'
import { SeqLog } from './verify.ts'
import { firstRef, NumberField, wireOf } from './wire.ts'

/** What a client keeps of its own while the kernel takes no more; beyond it what is due is dropped unsent. */
const maxOwnBytes = 64 * 1024
const maxBurst = 64
const codePrefix = Buffer.from('"code":"')
const quote = 0x22

export interface FloodSocketPlan {
  readonly host: string
  readonly port: number
  readonly userId: string
  readonly peerId: string
  readonly contentBytes: number
}

export interface FloodSocketEvents {
  welcomed(): void
  /** `code`: why it was refused; undefined when it is stored. */
  answered(ageMs: number, code: string | undefined): void
  delivered(): void
  failed(reason: string): void
}

/** A user who sends regardless of the limit on sends in flight, and wants one answer to each: stored, or why not. */
export class FloodSocket {
  sent = 0
  acked = 0
  refused = 0
  readonly sentSeqs = new SeqLog('sent')
  readonly deliveredSeqs = new SeqLog('message')
  readonly plan: FloodSocketPlan
  readonly #events: FloodSocketEvents
  readonly #wire = wireOf('json')
  readonly #template: SendTemplate
  readonly #socket: Socket
  readonly #sentRef = new NumberField(this.#wire, 'ref')
  readonly #sentSeq = new NumberField(this.#wire, 'seq')
  readonly #errorRef = new NumberField(this.#wire, 'ref')
  readonly #messageSeq = new NumberField(this.#wire, 'seq')
  /** When each was written; NaN once it is answered. */
  #writtenMs = new Float64Array(1024)
  #closing = false

  constructor(plan: FloodSocketPlan, events: FloodSocketEvents) {
    this.plan = plan
    this.#events = events
    this.#template = new SendTemplate(this.#wire, plan.peerId, 'x'.repeat(plan.contentBytes), maxBurst)
    const scanner = new FrameScanner((opcode, bytes, start, end) => this.#take(opcode, bytes, start, end))
    this.#socket = openWebSocket(
      endpointOf({ ...plan, wire: this.#wire }),
      (chunk) => scanner.push(chunk),
      (reason) => this.#closed(reason),
    )
  }

  get unanswered(): number {
    return this.sent - this.acked - this.refused
  }

  /** Writes so many, unless the kernel is full; returns how many. */
  send(count: number, nowMs: number): number {
    if (this.#socket.writableLength > maxOwnBytes) return 0
    for (let left = count; left > 0; left -= maxBurst) {
      const burst = Math.min(left, maxBurst)
      this.#socket.write(this.#template.burst(burst, firstRef + this.sent))
      for (let index = 0; index < burst; index++) this.#note(this.sent++, nowMs)
    }
    return count
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #note(index: number, nowMs: number): void {
    if (index >= this.#writtenMs.length) {
      const longer = new Float64Array(this.#writtenMs.length * 2)
      longer.set(this.#writtenMs)
      this.#writtenMs = longer
    }
    this.#writtenMs[index] = nowMs
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === pingOpcode) this.#socket.write(maskedFrame(pongOpcode, bytes.subarray(start, end)))
    else if (opcode === closeOpcode) this.#closed(`close frame ${end > start ? bytes.readUInt16BE(start) : ''}`)
    else if (opcode === this.#wire.opcode) this.#takeText(bytes, start, end)
  }

  #takeText(bytes: Buffer, start: number, end: number): void {
    const kind = this.#wire.kindOf(bytes, start)
    if (kind === 'sent') {
      this.acked++
      this.sentSeqs.add(this.#sentSeq.read(bytes, start, end))
      this.#answered(this.#sentRef.read(bytes, start, end), undefined)
    } else if (kind === 'error') {
      this.refused++
      this.#answered(this.#errorRef.read(bytes, start, end), codeIn(bytes, start))
    } else if (kind === 'message') {
      this.deliveredSeqs.add(this.#messageSeq.read(bytes, start, end))
      this.#events.delivered()
    } else if (kind === 'welcome') this.#events.welcomed()
  }

  #answered(ref: number, code: string | undefined): void {
    const index = ref - firstRef
    const writtenMs = this.#writtenMs[index] ?? Number.NaN
    if (index < 0 || index >= this.sent || Number.isNaN(writtenMs)) {
      return this.#events.failed(`${this.plan.userId}: ref ${ref} was answered twice or never sent`)
    }
    this.#writtenMs[index] = Number.NaN
    this.#events.answered(performance.now() - writtenMs, code)
  }

  #closed(reason: string): void {
    if (!this.#closing) this.#events.failed(`${this.plan.userId}: ${reason}`)
    this.#closing = true
  }
}

function codeIn(bytes: Buffer, start: number): string {
  const at = bytes.indexOf(codePrefix, start) + codePrefix.length
  return bytes.toString('latin1', at, bytes.indexOf(quote, at))
}
