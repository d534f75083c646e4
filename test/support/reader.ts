// A client for many frames: it keeps of each message what its checks need, and what is on its screen by the protocol's rule.
import { type RawData, WebSocket } from 'ws'
import { within } from './deadline.ts'
import type { Target } from './service.ts'
import { JSON_PROTOCOL } from './socket-client.ts'

export interface Event {
  readonly type: string
  readonly [field: string]: unknown
}

export interface Reading {
  /** What a person has seen so far, by the other person; outlives the connection. */
  readonly screen?: Screen
  /** Null offers no subprotocol. */
  readonly protocol?: string | null
}

/** Highest seq shown, by the other person. */
export type Screen = Map<string, number>

export class Reader {
  readonly user: string
  /** Seqs in the order in which they came over this connection, by the other person. */
  readonly arrivals = new Map<string, number[]>()
  /** Everything but `message`. */
  readonly events: Event[] = []
  readonly screen: Screen
  readonly closed: Promise<number>
  /** Messages that came over this connection. */
  messages = 0
  /** Arrivals that were on the screen already, and those that were not next. */
  repeats = 0
  jumps = 0
  lastContent = ''
  readonly #socket: WebSocket
  #watchers = new Set<() => void>()
  #closeCode: number | undefined

  private constructor(user: string, socket: WebSocket, screen: Screen) {
    this.user = user
    this.screen = screen
    this.#socket = socket
    socket.on('message', (data) => this.#received(data))
    // A lost connection shows as `closed` with 1006.
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      socket.on('close', (code) => {
        this.#closeCode = code
        this.#look()
        resolve(code)
      })
    })
  }

  static async connect({ port }: Target, user: string, options: Reading = {}): Promise<Reader> {
    const { protocol = JSON_PROTOCOL, screen = new Map() } = options
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?user_id=${user}`, protocol ?? [], {
      perMessageDeflate: false,
    })
    const reader = new Reader(user, socket, screen)
    await reader.event('welcome')
    return reader
  }

  send(command: object): void {
    this.#socket.send(JSON.stringify(command))
  }

  /** Resolves once the condition holds; it is looked at after every frame. */
  until(condition: () => boolean, what: string, limitMs = 60_000): Promise<void> {
    const met = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!condition() && this.#closeCode === undefined) return
        this.#watchers.delete(look)
        if (condition()) resolve()
        else reject(new Error(`${this.user}: closed with ${this.#closeCode} before ${what}`))
      }
      this.#watchers.add(look)
      look()
    })
    return within(met, () => `${this.user}: ${what}; has ${this.messages} messages`, limitMs)
  }

  async event(type: string): Promise<Event> {
    await this.until(() => this.events.some((event) => event.type === type), type)
    return this.events.find((event) => event.type === type) ?? { type }
  }

  /** Resolves with the answer to this command. */
  async ask(command: object): Promise<Event> {
    const ref = crypto.randomUUID()
    this.send({ ...command, ref })
    const answers = (event: Event): boolean => event.ref === ref
    await this.until(() => this.events.some(answers), JSON.stringify(command))
    return this.events.find(answers) ?? { type: '' }
  }

  /** Sends `count` messages, at most 256 at a time in flight, and resolves when all are answered. */
  async sendMany(count: number, make: (index: number) => { receiver_id: string; content: string }): Promise<void> {
    const before = this.#answered()
    for (let index = 0; index < count; index += 1) {
      if (index - (this.#answered() - before) >= 256) {
        await this.until(() => index - (this.#answered() - before) < 128, 'answers')
      }
      this.send({ type: 'send', ...make(index) })
    }
    await this.until(() => this.#answered() - before >= count, 'all answers')
  }

  pause(): void {
    this.#socket.pause()
  }
  resume(): void {
    this.#socket.resume()
  }

  /** Ends the TCP connection without a word. */
  async kill(): Promise<void> {
    this.#socket.terminate()
    await this.closed
  }

  #answers = 0
  #answered(): number {
    return this.#answers
  }

  #received(data: RawData): void {
    const event: Event & { seq?: number; sender_id?: string; receiver_id?: string } = JSON.parse(String(data))
    if (event.type === 'sent') this.#answers += 1
    if (event.type !== 'message') this.events.push(event)
    else this.#show(event as unknown as { seq: number; sender_id: string; receiver_id: string; content: string })
    this.#look()
  }

  #show({
    seq,
    sender_id,
    receiver_id,
    content,
  }: {
    seq: number
    sender_id: string
    receiver_id: string
    content: string
  }): void {
    const other = sender_id === this.user ? receiver_id : sender_id
    const arrived = this.arrivals.get(other)
    if (arrived) arrived.push(seq)
    else this.arrivals.set(other, [seq])
    this.messages += 1
    this.lastContent = content
    const last = this.screen.get(other) ?? 0
    if (seq === last + 1) this.screen.set(other, seq)
    else if (seq <= last) this.repeats += 1
    else this.jumps += 1
  }

  #look(): void {
    for (const look of [...this.#watchers]) look()
  }
}

/** from, from + 1 … to. */
export const seqs = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
