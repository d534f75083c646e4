import { DEFAULT_RETRY_AFTER_MS } from '../protocol/codes.ts'
import type { Command } from '../protocol/commands.ts'
import type { Welcome } from '../protocol/events.ts'
import { Alarm, type Clock } from './clock.ts'
import {
  type Connection,
  type ConnectionEvent,
  dueAt,
  type Effect,
  INITIAL,
  isWelcomed,
  type StopReason,
  step,
} from './connection.ts'
import type { Addresses, Credentials } from './credentials.ts'
import { type Fetch, host, type SocketConstructor, type SocketLike } from './environment.ts'
import { AuthError } from './errors.ts'
import { Slices } from './slices.ts'
import type { TokenReason } from './types.ts'
import { decodeEvent, encodeCommand, type Received } from './wire.ts'

const SUBPROTOCOL = 'messaging.v1.json'
const OPEN = 1

export interface LinkListener {
  /** Frames in their order; `welcome` included, nothing of an older socket. */
  received(event: Received): void
  /** A slice of frames is worked off: what they changed may be kept and told. */
  sliceDone(): void
  /** A socket that was welcomed, or not, is gone. */
  closed(code: number): void
  changed(state: Connection): void
}

export interface LinkOptions {
  readonly addresses: Addresses
  readonly credentials: Credentials
  readonly WebSocket: SocketConstructor
  readonly fetch: Fetch | undefined
  readonly clock: Clock
  readonly random: () => number
  readonly listener: LinkListener
  readonly warn: (message: string, error?: unknown) => void
}

interface Closed {
  readonly code: number
}

/** One connection to the server, made again whenever it is lost: carries out what the reducer decides. */
export class Link {
  readonly #options: LinkOptions
  readonly #alarm: Alarm
  readonly #frames: Slices<string | Closed>
  #state: Connection = INITIAL
  #socket: SocketLike | undefined
  #aborted: AbortController | undefined
  #isRefreshing = false
  #serverAhead = 0
  #pings = 0

  constructor(options: LinkOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.clock, () => this.step({ type: 'tick' }))
    this.#frames = new Slices(options.clock, {
      one: (item) => {
        if (typeof item === 'string') this.#received(decodeEvent(item))
        else this.#closed(item.code)
      },
      done: () => options.listener.sliceDone(),
    })
  }

  get state(): Connection {
    return this.#state
  }

  get isWelcomed(): boolean {
    return isWelcomed(this.#state)
  }

  /** Until then nothing but what keeps the connection is said: the server has refused something because it was too much. */
  get pausedUntil(): number {
    return this.#state.limitedUntil
  }

  /** False when there is no connection to write to. What was written may still be lost. */
  send(command: Command): boolean {
    if (this.#options.clock.now() >= dueAt(this.#state)) this.step({ type: 'tick' })
    return this.isWelcomed && this.#write(command)
  }

  step(event: ConnectionEvent): void {
    const { clock, random, listener } = this.#options
    const before = this.#state
    const [state, effects] = step(before, event, { now: clock.now(), random: random() })
    this.#state = state
    // A new generation without a word from the old socket: it is left to itself.
    if (state.generation !== before.generation) this.#leave(event.type === 'closed' ? undefined : isWelcomed(before))
    for (const effect of effects) this.#run(effect)
    this.#alarm.clear()
    const due = dueAt(this.#state)
    if (due < Number.POSITIVE_INFINITY) this.#alarm.at(due)
    const { phase, until, isOnline } = this.#state
    if (phase !== before.phase || until !== before.until || isOnline !== before.isOnline) listener.changed(this.#state)
  }

  /** Works off no further frames until the task is done: what they concern is not ready yet. */
  hold(task: Promise<unknown>): Promise<void> {
    return this.#frames.hold(task)
  }

  stop(why: StopReason): void {
    this.step({ type: 'stop', why })
    this.#alarm.clear()
  }

  /** The connection answers no more, although it looks open. */
  giveUp(): void {
    const socket = this.#socket
    this.#closed(1006)
    if (socket) abandon(socket)
  }

  #run(effect: Effect): void {
    if (effect.type === 'open') void this.#open(effect.reason)
    else if (effect.type === 'ping') this.#ping()
    else if (effect.type === 'refresh') void this.#refresh()
    else void this.#probe()
  }

  async #open(reason: TokenReason): Promise<void> {
    const { generation } = this.#state
    const { addresses, credentials, WebSocket, warn } = this.#options
    this.#aborted = new AbortController()
    try {
      const token = await credentials.next(reason, this.#aborted.signal)
      if (generation !== this.#state.generation) return
      this.step({ type: 'dialed', generation })
      const { userId } = credentials
      const joint = addresses.socket.includes('?') ? '&' : '?'
      const query = userId === undefined ? '' : `${joint}user_id=${encodeURIComponent(userId)}`
      const socket = new WebSocket(addresses.socket + query, [SUBPROTOCOL])
      this.#listen(socket, generation, token)
    } catch (error) {
      warn('no socket', error)
      this.step({ type: 'token_failed', generation, isFatal: error instanceof AuthError })
    }
  }

  #listen(socket: SocketLike, generation: number, token: string | undefined): void {
    this.#socket = socket
    const isCurrent = (): boolean => generation === this.#state.generation
    socket.onopen = () => {
      if (!isCurrent()) return
      this.step({ type: 'opened', generation })
      if (token !== undefined) this.#write({ type: 'auth', token })
    }
    socket.onmessage = ({ data }: { data: unknown }) => {
      if (!isCurrent()) return
      const frame = String(data)
      const { heardAt, pongBy } = this.#state
      const isAnswer = pongBy !== undefined && frame.includes(`"ref":"${this.#pingRef}"`)
      // Each frame is a sign of life; one a second is enough to know it.
      if (isAnswer || this.#options.clock.now() - heardAt > 1000) this.step({ type: 'frame', generation, isAnswer })
      this.#enqueue(frame)
    }
    socket.onclose = ({ code }: { code: number }) => {
      if (isCurrent()) this.#enqueue({ code: code || 1005 })
    }
    // What matters of an error is the close that follows; without a listener `ws` would throw.
    socket.onerror = () => undefined
  }

  #enqueue(item: string | Closed): void {
    this.#frames.add(item, this.#state.phase === 'syncing')
  }

  #closed(code: number): void {
    const { generation } = this.#state
    this.#options.listener.closed(code)
    this.step({ type: 'closed', generation, code })
  }

  #received(event: Received | undefined): void {
    const { generation } = this.#state
    if (!event) return this.#options.warn('an unknown frame')
    if (event.type === 'welcome') this.#welcomed(event)
    else if (event.type === 'draining') this.step({ type: 'draining', afterMs: event.reconnect_after_ms })
    else if (event.type === 'error' && event.code === 'rate_limited')
      this.step({ type: 'limited', afterMs: event.retry_after_ms ?? DEFAULT_RETRY_AFTER_MS })
    else if (event.type === 'auth_expiring') this.step({ type: 'expiring' })
    else if (event.type === 'authenticated')
      this.step({ type: 'refreshed', expiresInMs: this.#leftOf(event.expires_at) })
    this.#options.listener.received(event)
    if (event.type === 'synced') this.step({ type: 'synced', generation })
  }

  #welcomed({ server_time, heartbeat_seconds, expires_at }: Welcome): void {
    const { generation } = this.#state
    this.#serverAhead = Date.parse(server_time) - this.#options.clock.wall()
    const heartbeatMs = heartbeat_seconds > 0 ? heartbeat_seconds * 1000 : undefined
    const expiresInMs = expires_at === undefined ? undefined : this.#leftOf(expires_at)
    this.step({ type: 'welcome', generation, heartbeatMs, expiresInMs })
  }

  /** By the server's clock: the wall clock of a client may be hours off. */
  #leftOf(expiresAt: string): number {
    return Date.parse(expiresAt) - this.#serverAhead - this.#options.clock.wall()
  }

  async #refresh(): Promise<void> {
    if (this.#isRefreshing) return
    this.#isRefreshing = true
    const { generation } = this.#state
    try {
      const token = await this.#options.credentials.next('refresh', this.#aborted?.signal)
      if (generation === this.#state.generation && token !== undefined) this.#write({ type: 'auth', token })
    } catch (error) {
      if (error instanceof AuthError) this.step({ type: 'token_failed', generation, isFatal: true })
      else this.#options.warn('no new token', error)
    }
    this.#isRefreshing = false
  }

  /** A browser does not say why an upgrade was refused; HTTP does. */
  async #probe(): Promise<void> {
    const { addresses, credentials, fetch = host().fetch } = this.#options
    const path = credentials.token ? '/api/users/me' : '/readyz'
    try {
      const response = await fetch?.(addresses.http + path, { headers: credentials.token ? credentials.headers() : {} })
      const seconds = Number(response?.headers.get('retry-after') ?? 0)
      if (response && [401, 403, 429, 503].includes(response.status))
        this.step({ type: 'probed', status: response.status, retryAfterMs: seconds * 1000 || undefined })
    } catch {
      // No answer at all: the usual wait goes on.
    }
  }

  get #pingRef(): string {
    return `ping ${this.#pings}`
  }

  /** A refusal, "too many commands" say, is an answer as good as a pong: it has the same reference. */
  #ping(): void {
    this.#pings += 1
    this.#write({ type: 'ping', ref: this.#pingRef })
  }

  #write(command: object): boolean {
    if (this.#socket?.readyState !== OPEN) return false
    try {
      this.#socket.send(encodeCommand(command as Command))
      return true
    } catch (error) {
      this.#options.warn('not written', error)
      return false
    }
  }

  /** `wasWelcomed`: undefined when the socket has closed by itself. */
  #leave(wasWelcomed: boolean | undefined): void {
    const socket = this.#socket
    this.#socket = undefined
    this.#frames.clear()
    this.#aborted?.abort()
    if (wasWelcomed === undefined) return
    if (wasWelcomed) this.#options.listener.closed(1000)
    if (socket) abandon(socket)
  }
}

/** Without waiting for `close`, which may come late or never. */
function abandon(socket: SocketLike): void {
  socket.onopen = socket.onmessage = socket.onclose = null
  try {
    socket.close(1000)
  } catch {
    // It was not open yet, or it is closed.
  }
}
