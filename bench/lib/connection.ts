import type { Socket } from 'node:net'
import { closeOpcode, FrameScanner, maskedFrame, pingOpcode, pongOpcode } from './frames.ts'
import { SendTemplate } from './send-template.ts'
import { endpointOf, openWebSocket } from './socket.ts'
import { SeqLog, type Tally } from './verify.ts'
import { firstRef, NumberField, type Wire } from './wire.ts'

/** More than any server allows in flight on one connection; send times of that many messages are kept. */
const timesKept = 1024
/** Digits at the end of a user id in which people of a load differ. */
const personDigits = 5
/** In-flight sends that the protocol allows one connection. */
const inFlightLimit = 256

export interface Peer {
  /** Number of the person, which ends the id. */
  readonly person: number
  readonly userId: string
}

export interface ConnectionPlan {
  readonly host: string
  readonly port: number
  readonly wire: Wire
  /** Number of the person, which ends the id. */
  readonly person: number
  readonly userId: string
  /** Whom it writes to, in turn, and who write to it. */
  readonly peers: readonly Peer[]
  readonly content: string
  /** Messages in one write at most. */
  readonly burst: number
  /** Messages between two cumulative `ack` commands; 0: never (the server in question has no `ack`). */
  readonly ackEvery: number
}

/** What the load does when something came. */
export interface ConnectionEvents {
  welcomed(): void
  /** Called once per chunk. */
  acked(connection: LoadConnection, count: number): void
  /** The `nth` message (from 0) of the peer at `slot`. */
  delivered(connection: LoadConnection, slot: number, nth: number): void
  /** After a chunk that brought answers or messages. */
  progressed(): void
  failed(reason: string): void
}

/** One user's socket: sends pre-encoded messages to its peers in turn, counts and checks everything that comes back. */
export class LoadConnection {
  sent = 0
  acked = 0
  delivered = 0
  /** When the bytes came that are being read. */
  chunkMs = 0
  readonly plan: ConnectionPlan
  readonly #events: ConnectionEvents
  readonly #template: SendTemplate
  readonly #socket: Socket
  readonly #scanner = new FrameScanner((opcode, bytes, start, end) => this.#take(opcode, bytes, start, end))
  readonly #sentSeq: NumberField
  readonly #sentRef: NumberField
  readonly #messageSeq: NumberField
  readonly #sender: NumberField
  readonly #receiver: NumberField
  /** Of each peer, in their order. */
  readonly #sentSeqs: readonly SeqLog[]
  readonly #deliveredSeqs: readonly SeqLog[]
  readonly #slots: ReadonlyMap<number, number>
  readonly #intendedMs = new Float64Array(timesKept)
  /** The same in the order of the replies. */
  readonly #repliedMs: Float64Array
  /** Due times of what may not be sent yet, oldest first. */
  readonly #waitingMs: number[] = []
  #unackedMessages = 0
  #closing = false
  #isOpen = false
  readonly #greetings: readonly (readonly Buffer[])[]
  #unansweredGreetings = 0

  constructor(plan: ConnectionPlan, events: ConnectionEvents) {
    this.plan = plan
    this.#events = events
    this.#template = new SendTemplate(
      plan.wire,
      plan.userId,
      plan.peers.map(({ userId }) => userId),
      plan.content,
    )
    this.#repliedMs = plan.wire.repliesInOrder ? this.#intendedMs : new Float64Array(timesKept)
    this.#greetings = plan.wire.greetings(
      plan.userId,
      plan.peers.map(({ userId }) => userId),
    )
    this.#sentSeq = new NumberField(plan.wire, 'seq')
    this.#sentRef = new NumberField(plan.wire, 'ref')
    this.#messageSeq = new NumberField(plan.wire, 'seq')
    this.#receiver = NumberField.ofDigits(plan.wire, 'receiver_id', plan.userId.slice(0, -personDigits))
    this.#sender = NumberField.ofDigits(plan.wire, 'sender_id', plan.userId.slice(0, -personDigits))
    this.#sentSeqs = plan.peers.map(() => new SeqLog('sent'))
    this.#deliveredSeqs = plan.peers.map(() => new SeqLog('message'))
    this.#slots = new Map(plan.peers.map(({ person }, slot) => [person, slot]))
    this.#socket = openWebSocket(
      endpointOf(plan),
      (chunk) => this.#receive(chunk),
      (reason) => this.#closed(reason),
    )
  }

  get person(): number {
    return this.plan.person
  }

  get greetingRounds(): number {
    return this.#greetings.length
  }

  get inFlight(): number {
    return this.sent - this.acked
  }

  /** Sends `count` messages, in one write if the plan lets it; `intendedMs` is when the schedule wanted them sent. */
  send(count: number, intendedMs: number): void {
    for (let left = count; left > 0; left -= this.plan.burst) {
      const burst = Math.min(left, this.plan.burst)
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

  /** When the message was meant to leave whose reply was the `index`-th; only the last ones are kept. */
  repliedMs(index: number): number {
    return this.#repliedMs[index % timesKept] ?? 0
  }

  /** Says what is due in this round; whoever has nothing to say is welcome. */
  greet(round: number): void {
    const greetings = this.#greetings[round] ?? []
    this.#unansweredGreetings = greetings.length
    for (const greeting of greetings) this.#socket.write(maskedFrame(this.plan.wire.opcode, greeting))
    if (round > 0 && greetings.length === 0) this.#events.welcomed()
  }

  /** What it has sent to one peer, and seen of the conversation with it. */
  tallyWith(slot: number): Tally {
    const peers = this.plan.peers.length
    return {
      userId: this.plan.userId,
      sent: Math.ceil(Math.max(0, this.sent - slot) / peers),
      sentSeqs: this.#sentSeqs[slot] ?? new SeqLog('sent'),
      deliveredSeqs: this.#deliveredSeqs[slot] ?? new SeqLog('message'),
    }
  }

  slotOf(person: number): number {
    return this.#slots.get(person) ?? -1
  }

  close(): void {
    this.#closing = true
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    const [acked, delivered] = [this.acked, this.delivered]
    this.chunkMs = performance.now()
    if (!this.#isOpen) this.greet(0)
    this.#isOpen = true
    this.#scanner.push(chunk)
    if (this.acked > acked) {
      this.#events.acked(this, this.acked - acked)
      for (const dueMs of this.#waitingMs.splice(0, inFlightLimit - this.inFlight)) this.send(1, dueMs)
    }
    if (this.plan.ackEvery > 0) this.#acknowledge(this.delivered - delivered)
    if (this.acked > acked || this.delivered > delivered) this.#events.progressed()
  }

  #take(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === pingOpcode) this.#socket.write(maskedFrame(pongOpcode, bytes.subarray(start, end)))
    else if (opcode === closeOpcode) this.#closed(`close frame ${end > start ? bytes.readUInt16BE(start) : ''}`)
    else if (opcode !== this.plan.wire.opcode) this.#events.failed(`unexpected opcode ${opcode}`)
    else if (!this.plan.wire.hasLines) this.#takeMessage(bytes, start, end)
    else this.#takeLines(bytes, start, end)
  }

  #takeLines(bytes: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const newline = bytes.indexOf(0x0a, at)
      const lineEnd = newline < 0 || newline > end ? end : newline
      if (lineEnd > at) this.#takeMessage(bytes, at, lineEnd)
      at = lineEnd + 1
    }
  }

  #takeMessage(bytes: Buffer, start: number, end: number): void {
    const { wire } = this.plan
    const kind = wire.kindOf(bytes, start)
    const answer = wire.answerTo(kind)
    if (answer !== undefined) this.#socket.write(maskedFrame(wire.opcode, answer))
    else if (kind === 'sent') this.#takeSent(bytes, start, end)
    else if (kind === 'message') this.#takeDelivered(bytes, start, end)
    else if (kind === 'welcome') this.#events.welcomed()
    else if (kind === 'greeted' && --this.#unansweredGreetings === 0) this.#events.welcomed()
    else if (kind === 'error' || kind === 'lagging')
      this.#events.failed(`${kind} frame: ${bytes.toString('latin1', start, end).slice(0, 300)}`)
  }

  #takeSent(bytes: Buffer, start: number, end: number): void {
    const { repliesInOrder, pushesBoth } = this.plan.wire
    const index = this.#sentRef.read(bytes, start, end) - firstRef
    const slot = index % this.#sentSeqs.length
    const seqs = this.#sentSeqs[slot]
    const due = repliesInOrder || seqs === undefined ? this.acked : slot + seqs.count * this.#sentSeqs.length
    if (index !== due) this.#events.failed(`reply out of order: ref ${firstRef + index}, not ${firstRef + due}`)
    if (!repliesInOrder) this.#repliedMs[this.acked % timesKept] = this.intendedMs(index)
    this.acked++
    if (!pushesBoth) seqs?.add(this.#sentSeq.read(bytes, start, end))
  }

  #takeDelivered(bytes: Buffer, start: number, end: number): void {
    const { pushesBoth } = this.plan.wire
    const sender = pushesBoth || this.#slots.size > 1 ? this.#sender.read(bytes, start, end) : undefined
    if (sender === this.person) return this.#takeOwn(bytes, start, end)
    const slot = sender === undefined ? 0 : this.slotOf(sender)
    const seqs = this.#deliveredSeqs[slot]
    if (seqs === undefined) return this.#events.failed('a message of somebody who does not write to this person')
    this.delivered++
    this.#events.delivered(this, slot, seqs.count)
    this.#note(seqs, this.#messageSeq.read(bytes, start, end))
  }

  /** What this person has sent, pushed to both. */
  #takeOwn(bytes: Buffer, start: number, end: number): void {
    const seqs = this.#sentSeqs[this.slotOf(this.#receiver.read(bytes, start, end))]
    if (seqs === undefined) return this.#events.failed('an own message to somebody it was not sent to')
    this.delivered++
    this.#note(seqs, this.#messageSeq.read(bytes, start, end))
  }

  #note(seqs: SeqLog, seq: number): void {
    seqs.add(seq < 0 && this.plan.wire.pushesBoth ? seqs.count + 1 : seq)
  }

  #acknowledge(delivered: number): void {
    this.#unackedMessages += delivered
    if (this.#unackedMessages < this.plan.ackEvery) return
    this.#unackedMessages = 0
    const { wire, peers } = this.plan
    for (const [slot, { userId }] of peers.entries()) {
      const seq = this.#deliveredSeqs[slot]?.last ?? 0
      if (seq > 0) this.#socket.write(maskedFrame(wire.opcode, wire.encode({ type: 'ack', with: userId, seq })))
    }
  }

  #closed(reason: string): void {
    if (!this.#closing) this.#events.failed(`${this.plan.userId}: ${reason}`)
    this.#closing = true
  }
}
