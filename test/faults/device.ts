// One device of a person, as the protocol asks a client to behave: own ids, resend after loss, cumulative acks, apply last + 1,
// drop repeats, wait 500 ms on a jump and then ask `history after`.
import { WebSocket } from 'ws'
import {
  type Applied,
  emptyInbox,
  GAP_WAIT_MS,
  headOf,
  type Inbox,
  pageReceived,
  received,
} from '../../src/client/inbox.ts'
import { type Heads, type History, monotonicMs, operationOf, type Stage } from './history.ts'
import type { Outbox, Pending } from './outbox.ts'
import type { Random } from './random.ts'

export interface DeviceOptions {
  readonly user: string
  readonly name: string
  /** Ports of the instances; which is tried is random. */
  readonly ports: readonly number[]
  readonly history: History
  readonly random: Random
  readonly outbox: Outbox
  /** Where the device stood before its process was killed. */
  readonly heads?: Heads
  readonly acks?: boolean
  /** Compare heads after `synced`; without it the device believes what it was told. */
  readonly comparesHeads?: boolean
  /** The connection is given up when an answer takes longer; 10 s without. */
  readonly replyLimitMs?: number
}

type Fields = Readonly<Record<string, unknown>>
interface Stored {
  readonly id: string
  readonly seq: number
  readonly content?: unknown
  readonly sender_id: string
  readonly receiver_id: string
}

const PAGE = 500
const ACK_DELAY_MS = 50
const REPLY_LIMIT_MS = 10_000
const CONNECT_LIMIT_MS = 3_000
const MAX_OUT = 200
const CLOCK_MS = 250

export class Device {
  readonly name: string
  readonly user: string
  readonly #options: DeviceOptions
  /** By the other person: what was applied, and what came too early. The rule is the SDK's. */
  readonly #inboxes: Map<string, Inbox<Stored>>
  readonly #jumps = new Map<string, NodeJS.Timeout>()
  readonly #unacked = new Map<string, number>()
  readonly #asked = new Map<string, { at: number; answer: (frame: Fields | undefined) => void }>()
  readonly #outSince = new Map<string, number>()
  #socket: WebSocket | undefined
  #connection = ''
  #connections = 0
  #began = 0
  #isSynced = false
  #isOpen = false
  #wantsOpen = false
  #frames: object[] = []
  #isWriting = false
  #ackTimer: NodeJS.Timeout | undefined
  #clock: NodeJS.Timeout | undefined
  #refs = 0
  /** Close codes and how often each came. */
  readonly closes = new Map<number, number>()
  readonly #frameCounts = new Map<string, number>()
  mayGiveUp = true

  constructor(options: DeviceOptions) {
    this.#options = options
    this.name = options.name
    this.user = options.user
    this.#inboxes = new Map((options.heads ?? []).map(([w, seq]) => [w, startingAt(seq)]))
  }

  get isSynced(): boolean {
    return this.#isSynced
  }
  get heads(): Heads {
    return [...this.#inboxes].map(([w, inbox]) => [w, headOf(inbox)] as const)
  }
  get connection(): string {
    return this.#connection
  }
  /** How many frames of this type have come. */
  frames(type: string): number {
    return this.#frameCounts.get(type) ?? 0
  }
  head(other: string): number {
    return headOf(this.#inbox(other))
  }

  /** Connects, and again whenever the connection is lost. */
  open(port?: number): void {
    this.#wantsOpen = true
    this.#clock ??= setInterval(() => this.#tick(), CLOCK_MS)
    this.#connect(port)
  }

  /** Stays away until `open`. */
  close(): void {
    this.#wantsOpen = false
    clearInterval(this.#clock)
    this.#clock = undefined
    this.#socket?.close()
  }

  /** Ends the TCP connection without a word. */
  cut(): void {
    this.#socket?.terminate()
  }
  /** Stops reading; the kernel's buffers fill, then the server's. */
  pause(): void {
    this.#socket?.pause()
  }
  resume(): void {
    this.#socket?.resume()
  }

  /** Sends what waits, as far as the window allows. */
  pump(): void {
    if (!this.#isOpen) return
    let room = MAX_OUT - this.#outSince.size
    for (const pending of this.#options.outbox.waiting()) {
      if (room <= 0) return
      room -= 1
      this.#send(pending)
    }
  }

  standing(stage: Stage): void {
    this.#options.history.add({ e: 'standing', d: this.name, u: this.user, stage, heads: this.heads })
  }

  /** Undefined when the connection was lost before an answer. */
  ask(command: Fields): Promise<Fields | undefined> {
    this.#refs += 1
    const ref = `q${this.#refs}`
    return new Promise((resolve) => {
      if (!this.#isOpen) return resolve(undefined)
      this.#asked.set(ref, { at: monotonicMs(), answer: resolve })
      this.write({ ...command, ref })
    })
  }

  /** Leaves after the history of this turn is written. */
  write(frame: object): void {
    this.#frames.push(frame)
    if (this.#isWriting) return
    this.#isWriting = true
    setImmediate(() => {
      this.#isWriting = false
      const frames = this.#frames
      this.#frames = []
      this.#options.history.flush()
      for (const one of frames) if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(one))
    })
  }

  #connect(port = this.#options.random.pick(this.#options.ports)): void {
    this.#connections += 1
    this.#connection = `${this.name}#${this.#connections}@${Math.round(monotonicMs())}`
    this.#began = monotonicMs()
    const url = `ws://127.0.0.1:${port}/ws?user_id=${this.user}`
    const socket = new WebSocket(url, 'messaging.v1.json', {
      perMessageDeflate: false,
      handshakeTimeout: CONNECT_LIMIT_MS,
    })
    this.#socket = socket
    socket.on('open', () => {
      this.#isOpen = true
      // Acks may have been lost with the last connection, or with the process.
      for (const [w, seq] of this.heads) this.#unacked.set(w, seq)
      if (this.#options.acks !== false) this.#ackTimer ??= setTimeout(() => this.acknowledge(), ACK_DELAY_MS)
      this.pump()
    })
    socket.on('message', (data) => this.#received(JSON.parse(String(data))))
    // What matters of an error is the close that follows.
    socket.on('error', () => undefined)
    socket.on('close', (code) => this.#closed(socket, code))
  }

  #closed(socket: WebSocket, code: number): void {
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.#isOpen = false
    this.#isSynced = false
    this.closes.set(code, (this.closes.get(code) ?? 0) + 1)
    for (const timer of this.#jumps.values()) clearTimeout(timer)
    this.#jumps.clear()
    // What came too early comes again, with what was before it.
    for (const [w, inbox] of this.#inboxes) this.#inboxes.set(w, startingAt(headOf(inbox)))
    const asked = [...this.#asked.values()]
    this.#asked.clear()
    for (const { answer } of asked) answer(undefined)
    const out = new Set(this.#outSince.keys())
    this.#outSince.clear()
    for (const id of out) this.#options.outbox.failed(id, 'lost', this.mayGiveUp)
    if (this.#wantsOpen) setTimeout(() => this.#reopen(), this.#options.random.between(20, 400))
  }

  #reopen(): void {
    if (this.#wantsOpen && !this.#socket) this.#connect()
  }

  #tick(): void {
    const now = monotonicMs()
    const oldest = Math.min(...this.#outSince.values(), ...[...this.#asked.values()].map(({ at }) => at))
    const isStuck =
      now - oldest > (this.#options.replyLimitMs ?? REPLY_LIMIT_MS) ||
      (!this.#isSynced && now - this.#began > 2 * REPLY_LIMIT_MS)
    if (isStuck && this.#socket) this.#socket.terminate()
    else this.pump()
  }

  #send(pending: Pending): void {
    const { outbox } = this.#options
    this.#outSince.set(pending.id, monotonicMs())
    const content = outbox.attempt(pending, this.#connection)
    this.write({ type: 'send', receiver_id: pending.to, content, id: pending.id, ref: pending.id })
  }

  #received(frame: Fields): void {
    const { type } = frame
    this.#frameCounts.set(String(type), this.frames(String(type)) + 1)
    const question = this.#asked.get(String(frame.ref))
    if (question) {
      this.#asked.delete(String(frame.ref))
      question.answer(frame)
    } else if (type === 'message') this.#arrived(toStored(frame), 'push')
    else if (type === 'sent') this.#sent(frame)
    else if (type === 'error') this.#refused(frame)
    else if (type === 'receipt') this.#receipt(frame)
    else if (type === 'synced') void this.compareHeads()
  }

  #sent(frame: Fields): void {
    const { outbox } = this.#options
    const id = String(frame.id)
    const seq = Number(frame.seq)
    // The reference is ours; the id is what the server says.
    const sent = String(frame.ref)
    this.#outSince.delete(sent)
    outbox.stored(sent, seq)
    this.#arrived({ id, seq, sender_id: this.user, receiver_id: String(frame.with) }, 'reply')
  }

  #refused(frame: Fields): void {
    const id = String(frame.ref ?? frame.id)
    if (this.#outSince.delete(id)) this.#options.outbox.failed(id, String(frame.code), this.mayGiveUp)
  }

  #receipt(frame: Fields): void {
    const seq = Number(frame.delivered_seq)
    const isOwn = frame.user_id === this.user
    const [of, w] = isOwn ? [this.user, String(frame.with)] : [String(frame.with), this.user]
    this.#options.history.add({ e: 'receipt', of, w, seq })
  }

  #arrived(message: Stored, via: 'push' | 'page' | 'reply'): void {
    const { id, seq } = message
    const w = message.sender_id === this.user ? message.receiver_id : message.sender_id
    const op = message.content === undefined ? id : operationOf(message.content)
    this.#options.history.add({
      ...{ e: 'recv', d: this.name, u: this.user, w, c: this.#connection, seq, id, via },
      ...(op !== id && { op }),
    })
    if (via !== 'page') this.#take(w, received(this.#inbox(w), message))
  }

  #inbox(w: string): Inbox<Stored> {
    return this.#inboxes.get(w) ?? startingAt(0)
  }

  #take(w: string, { inbox, applied }: Applied<Stored>): void {
    this.#inboxes.set(w, inbox)
    for (const { seq } of applied) this.#apply(w, seq)
    if (inbox.top <= headOf(inbox)) this.#endJump(w)
    else if (!this.#jumps.has(w)) this.#askIn(w, GAP_WAIT_MS)
  }

  #apply(w: string, seq: number): void {
    this.#options.history.add({ e: 'applied', d: this.name, u: this.user, w, seq })
    this.#unacked.set(w, seq)
    if (this.#options.acks !== false) this.#ackTimer ??= setTimeout(() => this.acknowledge(), ACK_DELAY_MS)
  }

  /** Says how far it is in every conversation that has moved. */
  acknowledge(): void {
    this.#ackTimer = undefined
    if (!this.#isOpen) return
    for (const [w, seq] of this.#unacked) {
      this.#options.history.add({ e: 'ack', d: this.name, u: this.user, w, seq })
      this.write({ type: 'ack', with: w, seq })
    }
    this.#unacked.clear()
  }

  acknowledgeAll(): void {
    for (const [w, seq] of this.heads) this.#unacked.set(w, seq)
    this.acknowledge()
  }

  #askIn(w: string, ms: number): void {
    this.#jumps.set(
      w,
      setTimeout(() => void this.#fill(w), ms),
    )
  }

  #endJump(w: string): void {
    clearTimeout(this.#jumps.get(w))
    this.#jumps.delete(w)
  }

  /** Reads what it lacks. False when the connection was lost or the server could not read. */
  async #fill(w: string): Promise<boolean> {
    for (;;) {
      const connection = this.#connection
      const began = monotonicMs()
      const after = this.head(w)
      const answer = await this.ask({ type: 'history', with: w, after, limit: PAGE })
      if (answer?.type !== 'history') {
        this.#jumps.delete(w)
        // A refused read is tried again; on a lost connection everything is compared anyway.
        if (answer && this.#connection === connection) this.#askIn(w, GAP_WAIT_MS)
        return false
      }
      const messages = (answer.messages as Fields[]).map(toStored)
      const last = messages.at(-1)?.seq ?? after
      const more = answer.has_more === true
      const page = { w, began, after, n: messages.length, last, more }
      this.#options.history.add({ e: 'page', d: this.name, u: this.user, ...page })
      for (const message of messages) this.#arrived(message, 'page')
      const question = { after, limit: PAGE }
      this.#take(w, pageReceived(this.#inbox(w), question, { messages, hasMore: more }))
      if (!more) break
    }
    this.#endJump(w)
    return true
  }

  /** As clients do after each connect, and every minute or so. */
  async compareHeads(): Promise<void> {
    const connection = this.#connection
    const began = this.#began
    if (this.#options.comparesHeads === false) return this.#synced(began)
    const answer = await this.ask({ type: 'sync', heads: this.heads })
    if (answer?.type !== 'sync') {
      if (this.#connection === connection) this.#socket?.terminate()
      return
    }
    for (const change of answer.changed as Fields[]) {
      const w = String(change.with)
      if (Number(change.last_seq) > this.head(w) && !(await this.#fill(w))) {
        if (this.#connection === connection) this.#socket?.terminate()
        return
      }
    }
    if (this.#connection === connection) this.#synced(began)
  }

  #synced(began: number): void {
    this.#isSynced = true
    this.#options.history.add({ e: 'synced', d: this.name, u: this.user, began, heads: this.heads })
  }
}

/** These people have been there from the first message on: everything below it counts as applied. */
function startingAt(head: number): Inbox<Stored> {
  return emptyInbox([[0, head]])
}

function toStored(frame: Fields): Stored {
  return {
    id: String(frame.id),
    seq: Number(frame.seq),
    content: frame.content,
    sender_id: String(frame.sender_id),
    receiver_id: String(frame.receiver_id),
  }
}
