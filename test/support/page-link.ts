// The socket of a page in the hands of a test: it refuses messages, or is away.
import type { BrowserContext, WebSocketRoute } from 'playwright-core'

interface Frame {
  readonly type?: string
  readonly id?: string
  readonly ref?: unknown
  readonly content?: string
}

export class PageLink {
  readonly #open = new Set<WebSocketRoute>()
  #isAway = false
  readonly #isRefused: (text: string) => boolean
  /** The next messages are refused for good, with `not_accepted`. */
  refuses = false

  constructor(isRefused: (text: string) => boolean) {
    this.#isRefused = isRefused
  }

  /** Of all pages that are opened from now on. Messages with such a text are refused always, as if it `refuses`. */
  static async of(context: BrowserContext, isRefused: (text: string) => boolean = () => false): Promise<PageLink> {
    const link = new PageLink(isRefused)
    await context.routeWebSocket(/\/ws(\?|$)/, (socket) => link.#heed(socket))
    return link
  }

  /** Ends the connections; no new one comes about until it is back. */
  async away(): Promise<void> {
    this.#isAway = true
    await Promise.all([...this.#open].map((socket) => socket.close({ code: 1001 })))
    this.#open.clear()
  }

  back(): void {
    this.#isAway = false
  }

  #heed(socket: WebSocketRoute): void {
    if (this.#isAway) return void socket.close({ code: 1001 })
    this.#open.add(socket)
    const server = socket.connectToServer()
    socket.onMessage((message) => {
      const { type, id, ref, content = '' } = JSON.parse(String(message)) as Frame
      if (type !== 'send' || !(this.refuses || this.#isRefused(content))) server.send(message)
      else socket.send(JSON.stringify({ type: 'error', id, ref, code: 'not_accepted', message: 'not accepted' }))
    })
  }
}

/** For pages of a tab that says so in its `sessionStorage`: a new version waits, or it is a day later than it is. */
export const SCENES = `{
  const isOn = (scene) => location.protocol === 'http:' && sessionStorage.getItem(scene) !== null
  if (isOn('update')) {
    const registration = Object.assign(new EventTarget(), { waiting: { postMessage() {} } })
    const worker = { controller: {}, register: async () => registration, getRegistration: async () => undefined }
    Object.defineProperty(navigator, 'serviceWorker', { value: Object.assign(new EventTarget(), worker) })
  }
  if (isOn('later')) {
    const now = Date.now
    Date.now = () => now() + 25 * 3600_000
  }
}`
