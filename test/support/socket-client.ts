// A WebSocket client that keeps every frame and lets a test wait for one.
import { Packr } from 'msgpackr'
import { type RawData, WebSocket } from 'ws'
import { within } from './deadline.ts'
import type { Target } from './service.ts'

/** A frame of the server, its fields unchecked. */
export interface Frame {
  readonly type: string
  readonly ref?: string | number
  readonly id?: string
  readonly seq?: number
  readonly code?: string
  readonly content?: string
  readonly messages?: readonly Frame[]
  readonly [field: string]: unknown
}

export interface Closing {
  readonly code: number
  readonly reason: string
}

export interface ConnectOptions {
  /** Null offers no subprotocol. */
  readonly protocol?: string | null
  readonly scheme?: 'ws' | 'wss'
  readonly ca?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The address to come from, such as 127.0.0.2; a machine has 16 million of them for itself. */
  readonly from?: string
  /** Frames of this type are not kept. */
  readonly drops?: string
}

export const JSON_PROTOCOL = 'messaging.v1.json'
export const MSGPACK_PROTOCOL = 'messaging.v1.msgpack'

const packr = new Packr({ useRecords: false })
type Matcher = string | ((frame: Frame) => boolean)

export class SocketClient {
  /** All frames, in the order of arrival. */
  readonly frames: Frame[] = []
  readonly raw: { readonly bytes: Buffer; readonly isBinary: boolean }[] = []
  readonly closed: Promise<Closing>
  readonly #socket: WebSocket
  readonly #drops: string | undefined
  #unread: Frame[] = []
  #watchers: (() => void)[] = []
  #closing: Closing | undefined

  private constructor(socket: WebSocket, drops?: string) {
    this.#socket = socket
    this.#drops = drops
    socket.on('message', (data, isBinary) => this.#received(data, isBinary))
    // A lost connection shows as `closed` with 1006.
    socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => {
        this.#closing = { code, reason: reason.toString() }
        this.#changed()
        resolve(this.#closing)
      })
    })
  }

  /** Connects and takes the welcome; `user` may be a whole query when it holds a `=`. */
  static async connect(target: Target, user: string, options: ConnectOptions = {}): Promise<SocketClient> {
    const client = SocketClient.dial(target, user, options)
    await client.next('welcome')
    return client
  }

  /** Begins to connect; a refused upgrade shows as `closed` with 1006. */
  static dial(target: Target, user: string, options: ConnectOptions = {}): SocketClient {
    const { protocol = JSON_PROTOCOL, scheme = 'ws', ca, headers, from, drops } = options
    const query = user === '' || user.includes('=') ? user : `user_id=${encodeURIComponent(user)}`
    const url = `${scheme}://${from === undefined ? 'localhost' : '127.0.0.1'}:${target.port}/ws?${query}`
    const more = {
      perMessageDeflate: false,
      ...(ca && { ca }),
      ...(headers && { headers }),
      ...(from && { localAddress: from }),
    }
    return new SocketClient(new WebSocket(url, protocol === null ? [] : protocol.split(','), more), drops)
  }

  /** Resolves when the upgrade was accepted. */
  opened(): Promise<void> {
    const socket = this.#socket
    if (socket.readyState === WebSocket.OPEN) return Promise.resolve()
    return within(new Promise((resolve) => socket.once('open', () => resolve())), () => 'the socket to open')
  }

  /** The status of the answer that refused the upgrade. */
  refusal(): Promise<number | undefined> {
    const answered = new Promise<number | undefined>((resolve) => {
      this.#socket.once('unexpected-response', (_request, response) => {
        resolve(response.statusCode)
        this.#socket.terminate()
      })
    })
    return within(answered, () => 'a refused upgrade')
  }

  get protocol(): string {
    return this.#socket.protocol
  }

  /** Sends a frame in the encoding of the subprotocol. */
  send(frame: object): void {
    const isBinary = this.protocol === MSGPACK_PROTOCOL
    this.#socket.send(isBinary ? packr.pack(frame) : JSON.stringify(frame), { binary: isBinary })
  }

  sendRaw(bytes: string | Uint8Array, isBinary = typeof bytes !== 'string'): void {
    this.#socket.send(bytes, { binary: isBinary })
  }

  /** The next frame of this type, or that matches; frames before it stay for others to take. */
  next(matcher: Matcher, limitMs?: number): Promise<Frame> {
    const matches = typeof matcher === 'string' ? ({ type }: Frame) => type === matcher : matcher
    const found = new Promise<Frame>((resolve, reject) => {
      const look = (): void => {
        const index = this.#unread.findIndex(matches)
        const [frame] = index < 0 ? [] : this.#unread.splice(index, 1)
        if (frame) resolve(frame)
        else if (this.#closing) reject(new Error(`closed with ${this.#closing.code} before ${matcher}`))
        else this.#watchers.push(look)
      }
      look()
    })
    return within(found, () => `${matcher}; got ${JSON.stringify(this.frames.slice(-5))}`, limitMs)
  }

  /** Sends a command with a `ref` of its own and resolves with what answers it. */
  ask(command: Readonly<Record<string, unknown>>): Promise<Frame> {
    const ref = crypto.randomUUID()
    this.send({ ...command, ref })
    return this.next((frame) => frame.ref === ref)
  }

  /** Resolves when the server has handled everything sent before. */
  async settled(): Promise<void> {
    await this.ask({ type: 'ping' })
  }

  close(): Promise<Closing> {
    this.#socket.close()
    return within(this.closed, () => 'the close')
  }

  /** Ends the TCP connection without a word. */
  cut(): void {
    this.#socket.terminate()
  }

  #received(data: RawData, isBinary: boolean): void {
    const bytes = data as Buffer
    const frame: Frame = isBinary ? packr.unpack(bytes) : JSON.parse(bytes.toString())
    if (frame.type === this.#drops) return
    this.raw.push({ bytes, isBinary })
    this.frames.push(frame)
    this.#unread.push(frame)
    this.#changed()
  }

  #changed(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }
}
