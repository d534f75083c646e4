import { FloodSocket } from './flood-socket.ts'
import { SendTemplate } from './send-template.ts'
import { firstRef } from './wire.ts'
import { wireOf } from './wires.ts'

/** In-flight sends that the protocol allows one connection. */
const inFlightLimit = 256
const maxBurst = 64
/** Messages between two acknowledgements of those who come back and want no more than what is new. */
const ackEvery = 64
/** The close that the protocol has for who goes on beyond the limit. */
const rateLimited = 4429

export interface FloodUserPlan {
  readonly host: string
  readonly port: number
  readonly userId: string
  readonly peerId: string
  readonly contentBytes: number
  /** Whether what is due at the limit stays unsent. Who sends it regardless is closed, and comes back after `comeBackMs`. */
  readonly keepsLimit: boolean
  readonly comeBackMs: number
}

export interface FloodUserEvents {
  welcomed(): void
  synced(): void
  /** `code`: why it was refused; undefined when it is stored. */
  answered(ageMs: number, code: string | undefined): void
  pushed(): void
  closed(): void
  failed(reason: string): void
}

/** A user who sends what is due, and wants one answer to each as long as the socket lives: stored, or why not. */
export class FloodUser {
  /** Seqs of what was acknowledged, and of all that came by reply or by push. */
  readonly acked = new Set<number>()
  readonly held = new Set<number>()
  lastHeld = 0
  /** Sends without an answer when their socket was closed that the service may have accepted. */
  lost = 0
  isConnected = false
  /** Whether all that was unread when it came has come. */
  isCaughtUp = false
  readonly plan: FloodUserPlan
  readonly #events: FloodUserEvents
  readonly #template: SendTemplate
  #socket: FloodSocket
  #sent = 0
  /** Sends before this one went through a socket that is gone. */
  #firstOfSocket = 0
  #answersOfSocket = 0
  /** When each was written; NaN once it is answered. */
  #writtenMs = new Float64Array(1024)
  #acknowledged = 0
  /** Until then who keeps to the protocol sends nothing, because something was refused for now. */
  #refusedUntilMs = 0
  #comingBack: NodeJS.Timeout | undefined

  constructor(plan: FloodUserPlan, events: FloodUserEvents) {
    this.plan = plan
    this.#events = events
    this.#template = new SendTemplate(wireOf('json'), plan.userId, [plan.peerId], 'x'.repeat(plan.contentBytes))
    this.#socket = this.#connect()
  }

  get unanswered(): number {
    return this.#sent - this.#firstOfSocket - this.#answersOfSocket
  }

  /** Writes so many, or as many as it may; returns how many. */
  send(count: number, nowMs: number): number {
    if (!this.isConnected || this.#socket.isFull || nowMs < this.#refusedUntilMs) return 0
    const sending = this.plan.keepsLimit ? Math.min(count, inFlightLimit - this.unanswered) : count
    for (let left = sending; left > 0; left -= maxBurst) {
      const burst = Math.min(left, maxBurst)
      this.#socket.write(this.#template.burst(burst, firstRef + this.#sent))
      for (let index = 0; index < burst; index++) this.#note(this.#sent++, nowMs)
    }
    return sending
  }

  close(): void {
    clearTimeout(this.#comingBack)
    this.#socket.close()
  }

  #connect(): FloodSocket {
    return new FloodSocket(this.plan, {
      welcomed: () => {
        this.isConnected = true
        this.#events.welcomed()
      },
      synced: () => {
        this.isCaughtUp = true
        this.#events.synced()
      },
      answered: (ref, outcome, retryAfterMs) => this.#answered(ref, outcome, retryAfterMs),
      pushed: (seq) => this.#pushed(seq),
      failed: (reason) => this.#failed(reason),
      closed: (code, reason) => this.#closed(code, reason),
    })
  }

  #note(index: number, nowMs: number): void {
    if (index >= this.#writtenMs.length) {
      const longer = new Float64Array(this.#writtenMs.length * 2)
      longer.set(this.#writtenMs)
      this.#writtenMs = longer
    }
    this.#writtenMs[index] = nowMs
  }

  #answered(ref: number, outcome: number | string, retryAfterMs: number): void {
    const index = ref - firstRef
    const writtenMs = this.#writtenMs[index] ?? Number.NaN
    if (index < this.#firstOfSocket || index >= this.#sent || Number.isNaN(writtenMs))
      return this.#failed(`ref ${ref} was answered twice or never sent (${outcome})`)
    this.#writtenMs[index] = Number.NaN
    this.#answersOfSocket++
    if (typeof outcome === 'string' && this.plan.keepsLimit) this.#refusedUntilMs = performance.now() + retryAfterMs
    if (typeof outcome === 'number') {
      this.acked.add(outcome)
      this.#hold(outcome)
    }
    this.#events.answered(performance.now() - writtenMs, typeof outcome === 'string' ? outcome : undefined)
  }

  #pushed(seq: number): void {
    this.#hold(seq)
    // Pushes come in order, so whatever the other person wrote before is here too.
    if (!this.plan.keepsLimit && seq >= this.#acknowledged + ackEvery) {
      this.#acknowledged = seq
      this.#socket.acknowledge(this.plan.peerId, seq)
    }
    this.#events.pushed()
  }

  #hold(seq: number): void {
    this.held.add(seq)
    this.lastHeld = Math.max(this.lastHeld, seq)
  }

  #closed(code: number, reason: string): void {
    const wasConnected = this.isConnected
    this.isConnected = false
    this.isCaughtUp = false
    if (this.plan.keepsLimit || (wasConnected && code !== rateLimited)) return this.#failed(`closed: ${code} ${reason}`)
    this.lost += Math.min(inFlightLimit, this.unanswered)
    this.#firstOfSocket = this.#sent
    this.#answersOfSocket = 0
    this.#comingBack = setTimeout(() => {
      this.#socket = this.#connect()
    }, this.plan.comeBackMs)
    if (wasConnected) this.#events.closed()
  }

  #failed(reason: string): void {
    this.#events.failed(`${this.plan.userId}: ${reason}`)
  }
}
