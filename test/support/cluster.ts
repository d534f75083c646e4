// Devices that chat over several instances as good clients do, and what they have on their screens in the end.
import { WebSocket } from 'ws'
import { contiguousFrom, type Range, withRange } from '../../src/client/ranges.ts'
import { eventually } from './cluster-instance.ts'
import { within } from './deadline.ts'
import type { Target } from './service.ts'
import { JSON_PROTOCOL } from './socket-client.ts'

interface Frame {
  readonly type: string
  readonly id?: string
  readonly ref?: string
  readonly seq?: number
  readonly with?: string
  readonly code?: string
  readonly sender_id?: string
  readonly receiver_id?: string
  readonly content?: string
  readonly user_id?: string
  readonly status?: string
  readonly last_seen?: string
}

interface Sending {
  readonly receiver: string
  readonly content: string
  readonly sentMs: number
}

/** All that everybody sent, and when each message was committed. */
export class Conversations {
  /** Content of each message by its id. */
  readonly sent = new Map<string, { sender: string; receiver: string }>()
  readonly acked = new Map<string, { key: string; seq: number }>()
  /** Sends that were answered with an error, by its code; each was sent again. */
  readonly errors = new Map<string, number>()
  /** From the send to its answer, milliseconds. */
  readonly ackMs: number[] = []
  /** From the send to each push on another socket, milliseconds. */
  readonly pushMs: number[] = []

  heads(): Map<string, number> {
    const heads = new Map<string, number>()
    for (const { key, seq } of this.acked.values()) heads.set(key, Math.max(seq, heads.get(key) ?? 0))
    return heads
  }

  get okRatio(): number {
    const refused = [...this.errors.values()].reduce((sum, count) => sum + count, 0)
    return this.acked.size / (this.acked.size + refused)
  }
}

export const keyOf = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`)

export interface DeviceOptions {
  readonly log: Conversations
  /** Where to connect, asked before every attempt. */
  pick(): Target
  /** Whether it moves its user's positions; of several devices of one user only one should. */
  readonly acks?: boolean
  /** Null offers no subprotocol. */
  readonly protocol?: string | null
  /** Characters put behind each text. */
  readonly padding?: number
}

/** One device: reconnects when it is cut off, sends again with the same id what was not answered, never asks for history. */
export class Device {
  readonly user: string
  /** Seqs that were shown, by the other person. */
  readonly screens = new Map<string, Set<number>>()
  /** Of the connections that once stood. */
  readonly closeCodes: number[] = []
  readonly presence: Frame[] = []
  readonly log: Conversations
  /** Pushes of what the screen had already. */
  repeats = 0
  /** Pushes of what this device sent itself, as replays bring them. */
  echoes = 0
  /** How long after a later message of its conversation each of those below it came, milliseconds. */
  readonly lateMs: number[] = []
  connects = 0
  isLive = false
  readonly #options: DeviceOptions
  readonly #sent = new Set<string>()
  readonly #open = new Map<string, Sending>()
  readonly #ranges = new Map<string, readonly Range[]>()
  readonly #ackedTo = new Map<string, number>()
  #highest = new Map<string, { seq: number; sinceMs: number }>()
  #socket: WebSocket | undefined
  #isClosed = false
  #retry: NodeJS.Timeout | undefined
  readonly #acks: NodeJS.Timeout | undefined

  constructor(user: string, options: DeviceOptions) {
    this.user = user
    this.log = options.log
    this.#options = options
    this.#connect()
    if (options.acks) this.#acks = setInterval(() => this.#acknowledge(), 50)
  }

  static async connect(user: string, options: DeviceOptions): Promise<Device> {
    const device = new Device(user, options)
    await device.live()
    return device
  }

  live(limitMs?: number): Promise<void> {
    return eventually(() => this.isLive, `${this.user} to be live`, limitMs)
  }

  get unanswered(): number {
    return this.#open.size
  }

  send(receiver: string): void {
    const id = crypto.randomUUID()
    this.#sent.add(id)
    const sentMs = performance.now()
    const content = `${sentMs} of ${id} ${'x'.repeat(this.#options.padding ?? 0)}`
    this.#open.set(id, { receiver, content, sentMs })
    this.log.sent.set(id, { sender: this.user, receiver })
    this.#write(id)
  }

  command(frame: object): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#acks)
    clearTimeout(this.#retry)
    const socket = this.#socket
    if (!socket || socket.readyState === WebSocket.CLOSED) return
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    socket.close()
    await within(closed, () => `${this.user} to close`)
  }

  /** What the screen lacks of the conversations of this user, and what it has that nobody sent. */
  faults(heads: ReadonlyMap<string, number>): string[] {
    const faults: string[] = []
    for (const [key, head] of heads) {
      const people = key.split(' ')
      if (!people.includes(this.user)) continue
      const other = people.find((one) => one !== this.user) ?? this.user
      const shown = this.screens.get(other) ?? new Set()
      const missing: number[] = []
      for (let seq = 1; seq <= head; seq += 1) if (!shown.has(seq)) missing.push(seq)
      if (missing.length > 0) faults.push(`${this.user} lacks ${missing.length} of ${key}: ${missing.slice(0, 8)}`)
      if (shown.size + missing.length > head) faults.push(`${this.user} has more of ${key} than was stored`)
    }
    return faults
  }

  #connect(): void {
    this.connects += 1
    this.#highest = new Map()
    const { protocol = JSON_PROTOCOL } = this.#options
    const url = `ws://127.0.0.1:${this.#options.pick().port}/ws?user_id=${this.user}`
    const socket = new WebSocket(url, protocol ?? [], { perMessageDeflate: false, handshakeTimeout: 60_000 })
    this.#socket = socket
    socket.on('message', (data) => this.#received(JSON.parse(String(data))))
    let wasOpen = false
    socket.on('open', () => {
      wasOpen = true
      for (const id of this.#open.keys()) this.#write(id)
    })
    socket.on('error', () => undefined)
    socket.on('close', (code) => {
      this.isLive = false
      if (wasOpen) this.closeCodes.push(code)
      if (!this.#isClosed) this.#retry = setTimeout(() => this.#connect(), 50 + Math.random() * 200)
    })
  }

  #write(id: string): void {
    const sending = this.#open.get(id)
    if (!sending || this.#socket?.readyState !== WebSocket.OPEN) return
    this.command({ type: 'send', id, ref: id, receiver_id: sending.receiver, content: sending.content })
  }

  #received(frame: Frame): void {
    const { type, id = '', ref = '', seq = 0 } = frame
    if (type === 'synced') this.isLive = true
    if (type === 'presence') this.presence.push(frame)
    if (type === 'message') this.#pushed(frame)
    const sending = this.#open.get(ref)
    if (type === 'sent' && sending) {
      this.#open.delete(ref)
      this.log.ackMs.push(performance.now() - sending.sentMs)
      this.log.acked.set(id, { key: keyOf(this.user, sending.receiver), seq })
      this.#show(sending.receiver, seq)
    }
    if (type === 'error') {
      const code = frame.code ?? ''
      this.log.errors.set(code, (this.log.errors.get(code) ?? 0) + 1)
      if (sending) setTimeout(() => this.#write(ref), 200)
    }
  }

  #pushed({ id = '', seq = 0, sender_id = '', receiver_id = '', content = '' }: Frame): void {
    this.log.pushMs.push(performance.now() - Number.parseFloat(content))
    const other = sender_id === this.user ? receiver_id : sender_id
    const nowMs = performance.now()
    const highest = this.#highest.get(other) ?? { seq: 0, sinceMs: nowMs }
    if (this.#sent.has(id)) this.echoes += 1
    else if (this.screens.get(other)?.has(seq)) this.repeats += 1
    else if (seq < highest.seq) this.lateMs.push(nowMs - highest.sinceMs)
    if (seq > highest.seq) this.#highest.set(other, { seq, sinceMs: nowMs })
    this.#show(other, seq)
  }

  #show(other: string, seq: number): void {
    const screen = this.screens.get(other) ?? new Set()
    this.screens.set(other, screen)
    screen.add(seq)
    this.#ranges.set(other, withRange(this.#ranges.get(other) ?? [], [seq, seq]))
  }

  #acknowledge(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    for (const [other, ranges] of this.#ranges) {
      const seq = contiguousFrom(ranges, 0)
      if (seq <= (this.#ackedTo.get(other) ?? 0)) continue
      this.#ackedTo.set(other, seq)
      this.command({ type: 'ack', with: other, seq })
    }
  }
}

/** For an instance whose connections are to last: it gives up no link that is silent because the machine is busy. */
export const LASTING = { IDLE_TIMEOUT_SECONDS: '960' }

/** Devices that did not have one connection for all of the time. */
export function lastingFaults(devices: readonly Device[]): string[] {
  const isWrong = ({ closeCodes, connects }: Device): boolean => closeCodes.length > 0 || connects !== 1
  return devices.filter(isWrong).map(({ user, closeCodes, connects }) => `${user} ${connects} times, ${closeCodes}`)
}

/** Sends at this rate (messages a second, over all) between random people until stopped; resolves when all are answered. */
export function traffic(devices: readonly Device[], perSecond: number): { stop(limitMs?: number): Promise<void> } {
  const users = [...new Set(devices.map(({ user }) => user))]
  const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)] as T
  const tickMs = 20
  let due = 0
  let lastMs = performance.now()
  const timer = setInterval(() => {
    const nowMs = performance.now()
    // By the time that went by: ticks come late on a busy machine. A long pause is not made up for whole.
    due = Math.min(due + (perSecond * (nowMs - lastMs)) / 1000, perSecond)
    lastMs = nowMs
    for (; due >= 1; due -= 1) {
      const device = pick(devices)
      // A good client has a window.
      if (device.unanswered < 32) device.send(pick(users.filter((user) => user !== device.user)))
    }
  }, tickMs)
  return {
    async stop(limitMs) {
      clearInterval(timer)
      const open = (): number => devices.reduce((sum, { unanswered }) => sum + unanswered, 0)
      await eventually(() => open() === 0, 'all answers', limitMs)
    },
  }
}

/** Resolves with the milliseconds it took until every screen is whole; rejects with what is missing. */
export async function whole(devices: readonly Device[], log: Conversations, limitMs = 60_000): Promise<number> {
  const startMs = performance.now()
  let faults: string[] = []
  const look = (): boolean => {
    const heads = log.heads()
    faults = devices.flatMap((device) => device.faults(heads))
    return faults.length === 0
  }
  try {
    await eventually(look, 'whole screens', limitMs)
  } catch (error) {
    throw new Error(`${String(error)}\n${faults.slice(0, 10).join('\n')}`)
  }
  return performance.now() - startMs
}

export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) * part)] ?? 0
}
