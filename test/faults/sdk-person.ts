// A person with one device and the SDK on it, who stays with one instance and remembers how the connections ended.
import { WebSocket } from 'ws'
import { type Client, createClient, type Message, type MessageItem } from '../../src/client/index.ts'
import { MemoryStorage } from '../../src/client/memory-storage.ts'

export interface SettledSend {
  readonly id: string
  readonly to: string
  /** 0 when it was refused. */
  readonly seq: number
  /** What the server last called the epoch before it answered. */
  readonly epoch: string
}

export class SdkPerson {
  readonly user: string
  /** Each that a server named, when it was another than the one before. */
  readonly epochs: string[] = []
  readonly closings: number[] = []
  readonly settled: SettledSend[] = []
  readonly #client: Client
  readonly #storage = new MemoryStorage()
  readonly #others: readonly string[]
  #isOver = false

  /** `port`: of the instance. `others`: with whom a conversation is open on the screen. */
  constructor(user: string, port: number, others: readonly string[]) {
    this.user = user
    this.#others = others
    this.#client = createClient({
      url: `ws://127.0.0.1:${port}/ws`,
      auth: { userId: user },
      WebSocket: this.#socketClass(),
      storage: { kind: 'memory', open: () => Promise.resolve(this.#storage) },
    })
    for (const other of others) {
      const { messages, markRead } = this.#client.conversation(other)
      messages.subscribe(() => markRead(headOf(messages.get())))
    }
  }

  get isLive(): boolean {
    return this.#client.status.get().state === 'live'
  }
  get waiting(): number {
    return this.#client.pending.get()
  }
  get epoch(): string {
    return this.epochs.at(-1) ?? ''
  }

  say(to: string, text: string): void {
    const { id, settled } = this.#client.conversation(to).send(text)
    void settled.then((outcome) => {
      const seq = outcome.outcome === 'ok' ? outcome.seq : 0
      this.settled.push({ id, to, seq, epoch: this.epoch })
    })
  }

  /** Everything of a conversation that the screen shows, from its first message on. */
  async screen(other: string): Promise<readonly MessageItem[]> {
    const { messages, loadOlder } = this.#client.conversation(other)
    while (await loadOlder()) if (this.#isOver) break
    return messages.get()
  }

  /** What the storage has of it. */
  async kept(other: string): Promise<readonly Message[]> {
    const { conversations } = await this.#storage.load()
    const ranges = conversations.find((one) => one.with === other)?.ranges ?? []
    const pages = ranges.map(([first, last]) => this.#storage.messages(other, Math.max(1, first), last))
    return (await Promise.all(pages)).flat()
  }

  /** How far the other person has read, as far as this one was told. */
  peerRead(other: string): number {
    return this.#client.conversation(other).summary.get().peer_read_seq
  }

  get others(): readonly string[] {
    return this.#others
  }

  async close(): Promise<void> {
    this.#isOver = true
    await this.#client.close()
  }

  #socketClass(): unknown {
    const named = (text: string): void => {
      const { type, epoch } = JSON.parse(text)
      if (type === 'welcome' && epoch !== this.epoch) this.epochs.push(epoch)
    }
    const closed = (code: number): void => void (this.#isOver || this.closings.push(code))
    return class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        super(url, protocols, { perMessageDeflate: false })
        // Before the client hears of it.
        this.on('message', (data) => named(String(data)))
        this.on('close', closed)
      }
    }
  }
}

const headOf = (shown: readonly MessageItem[]): number => Math.max(0, ...shown.map(({ seq = 0 }) => seq))
