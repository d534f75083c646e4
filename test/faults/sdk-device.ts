// One device of a person: the SDK as an application uses it, on a link that tells what it wrote.
import { WebSocket } from 'ws'
import { type Client, createClient } from '../../src/client/index.ts'
import { FileStorage, fileStorage } from './file-storage.ts'
import type { Random } from './random.ts'
import type { SdkJournal } from './sdk-journal.ts'

export interface SdkDeviceOptions {
  readonly user: string
  readonly name: string
  readonly ports: readonly number[]
  /** Who there is. */
  readonly everybody: readonly string[]
  readonly random: Random
  readonly journal: SdkJournal
  /** Where this device keeps its storage. */
  readonly path: string
}

const READ_SHARE = 0.1
const TEXT_CHARACTERS = 200
const CONNECT_LIMIT_MS = 3000
const COMPARED_AFTER_MS = 1500

interface Positioned {
  readonly type: string
  readonly with: string
  readonly seq: number
}

/** Of all devices of a person, which are in one process. */
const storages = new Map<string, FileStorage[]>()

export class SdkDevice {
  readonly user: string
  readonly name: string
  readonly #options: SdkDeviceOptions
  readonly #client: Client
  readonly closes = new Map<number, number>()
  #sockets: WebSocket[] = []
  #typed = 0
  #liveSince = Number.POSITIVE_INFINITY

  private constructor(options: SdkDeviceOptions, storage: FileStorage) {
    this.#options = options
    this.user = options.user
    this.name = options.name
    this.#client = createClient({
      ...{
        url: `ws://127.0.0.1:${options.ports[0]}/ws`,
        auth: { userId: options.user },
        WebSocket: this.#socketClass(),
      },
      ...{ storage: fileStorage(storage), random: () => options.random.next() },
    })
    this.#client.on('status', ({ state }) => {
      this.#liveSince = state === 'live' ? performance.now() : Number.POSITIVE_INFINITY
    })
    // Nothing is restored from a backup here: every conversation stays what it was.
    this.#client.on('reset', ({ with: w }) => options.journal.add({ e: 'reset', d: this.name, w }))
    this.#client.on('message', ({ id, seq, sender_id, receiver_id }) => {
      const w = sender_id === this.user ? receiver_id : sender_id
      options.journal.add({ e: 'told', d: this.name, w, id, seq })
      if (options.random.chance(READ_SHARE)) this.#client.conversation(w).markRead(seq)
    })
    // As a person who has every conversation open: its newest messages are shown, also those that another device had first.
    for (const other of options.everybody) this.#client.conversation(other).messages.get()
  }

  static async open(options: SdkDeviceOptions): Promise<SdkDevice> {
    // What was shown is in the journal before the storage says so.
    const storage = new FileStorage(options.path, () => options.journal.flush())
    storages.set(options.user, [...(storages.get(options.user) ?? []), storage])
    return new SdkDevice(options, storage)
  }

  get waiting(): number {
    return this.#client.pending.get()
  }
  /** Connected for long enough to have compared, and everything that it knows of is shown. */
  get isSynced(): boolean {
    return this.behind() === undefined
  }

  /** What it lacks, in words. */
  behind(): string | undefined {
    const { status, conversations } = this.#client
    const { state, why } = status.get()
    if (performance.now() - this.#liveSince < COMPARED_AFTER_MS) return `${this.name} is ${state} ${why ?? ''}`
    const lacking = conversations.get().filter(({ with: other, last_seq }) => this.#head(other) < last_seq)
    const words = lacking.map(({ with: other, last_seq }) => `${other} ${this.#head(other)} of ${last_seq}`)
    return words.length > 0 ? `${this.name} ${state}: ${words.join(', ')}` : undefined
  }
  /** How far everything is shown. */
  get heads(): [string, number][] {
    return this.#client.conversations.get().map(({ with: other }) => [other, this.#head(other)])
  }

  #head(other: string): number {
    const rows = this.#client.conversation(other).messages.get()
    return rows.findLast(({ seq }) => seq !== undefined)?.seq ?? 0
  }

  write(to: string): void {
    const { journal, random } = this.#options
    this.#typed += 1
    const n = this.#typed
    const text = `${this.name} ${n} ${'x'.repeat(random.below(TEXT_CHARACTERS))}`
    const { id, saved, settled } = this.#client.conversation(to).send(text)
    void saved.then(() => journal.add({ e: 'typed', d: this.name, w: to, id, n }))
    void settled.then((outcome) => {
      const seq = outcome.outcome === 'ok' ? outcome.seq : 0
      journal.add({ e: 'settled', d: this.name, id, outcome: outcome.outcome, seq })
    })
  }

  /** Ends the TCP connection without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  #socketClass(): typeof WebSocket {
    const { ports, random, journal } = this.#options
    const opened = (socket: WebSocket): void => {
      this.#sockets = [...this.#sockets.filter(({ readyState }) => readyState <= WebSocket.OPEN), socket]
      socket.on('close', (code) => this.closes.set(code, (this.closes.get(code) ?? 0) + 1))
    }
    const written = (frame: string): void => {
      this.#check(frame)
      journal.flush()
    }
    return class extends WebSocket {
      constructor(url: string, protocols: string[]) {
        const elsewhere = url.replace(/:\d+\//, `:${random.pick(ports)}/`)
        super(elsewhere, protocols, { perMessageDeflate: false, handshakeTimeout: CONNECT_LIMIT_MS })
        opened(this)
      }

      override send(...args: unknown[]): void {
        written(String(args[0]))
        super.send(...(args as [string]))
      }
    } as unknown as typeof WebSocket
  }

  /** An acknowledgement speaks for what the disks of this person's devices have, from the first message on. */
  #check(frame: string): void {
    const { type, with: w, seq } = JSON.parse(frame) as Positioned
    if (type !== 'ack' && type !== 'read') return
    const disks = storages.get(this.user) ?? []
    const missing = numbers(seq).filter((one) => !disks.some((disk) => disk.has(w, one)))
    if (missing.length > 0) this.#options.journal.add({ e: 'unkept', d: this.name, w, seq, missing })
  }
}

const numbers = (to: number): number[] => Array.from({ length: to }, (_, index) => index + 1)
