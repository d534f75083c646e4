// HTTP by the byte, for requests that no HTTP client would make.
import { connect, type Socket } from 'node:net'
import { within } from './deadline.ts'
import type { Target } from './service.ts'

export interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** One TCP connection; answers are told apart by their Content-Length. */
export class RawHttp {
  readonly socket: Socket
  /** Resolves when the server has ended the connection, in whatever way. */
  readonly ended: Promise<void>
  #text = ''
  #hasEnded = false
  #watchers: (() => void)[] = []

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#text += chunk.toString('latin1')
      this.#changed()
    })
    // A reset is one of the ways in which a server may refuse; it shows as `ended`.
    socket.on('error', () => undefined)
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.#hasEnded = true
        this.#changed()
        resolve()
      })
    })
  }

  static async connect({ port }: Target): Promise<RawHttp> {
    const socket = connect(port, '127.0.0.1')
    const client = new RawHttp(socket)
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
    await within(connected, () => 'the connection')
    return client
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  /** The next answer, or undefined when the server ends the connection without one. */
  answer(limitMs?: number): Promise<RawAnswer | undefined> {
    const found = new Promise<RawAnswer | undefined>((resolve) => {
      const look = (): void => {
        const answer = this.#take()
        if (answer || this.#hasEnded) resolve(answer)
        else this.#watchers.push(look)
      }
      look()
    })
    return within(found, () => `an answer; got ${JSON.stringify(this.#text.slice(0, 300))}`, limitMs)
  }

  /** All answers until the server ends the connection. */
  async answersToTheEnd(limitMs?: number): Promise<RawAnswer[]> {
    const answers: RawAnswer[] = []
    for (;;) {
      const answer = await this.answer(limitMs)
      if (!answer) return answers
      answers.push(answer)
    }
  }

  /** Ends the connection with a reset, as a crashed client does. */
  reset(): Promise<void> {
    this.socket.resetAndDestroy()
    return this.ended
  }

  #take(): RawAnswer | undefined {
    const end = this.#text.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const head = this.#text.slice(0, end)
    const length = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    const rest = this.#text.slice(end + 4)
    if (rest.length < length) return undefined
    this.#text = rest.slice(length)
    return { status: Number(head.split(' ')[1]), head, body: rest.slice(0, length) }
  }

  #changed(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }
}

/** Sends one request on a connection of its own and resolves with the answer and whether the server then ended it. */
export async function rawRequest(target: Target, bytes: string | Uint8Array): Promise<RawAnswer | undefined> {
  const http = await RawHttp.connect(target)
  http.write(bytes)
  const answer = await http.answer()
  http.socket.destroy()
  return answer
}

/** A request to become a WebSocket; `headers` replace or join the usual ones. */
export function upgradeRequest(path: string, headers: Readonly<Record<string, string>> = {}): string {
  const all = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return [`GET ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n')
}
