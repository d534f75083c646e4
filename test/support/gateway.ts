import { LocalAudience } from '../../src/delivery/audience.local.ts'
import { LocalFanout } from '../../src/delivery/fanout.local.ts'
import type { MessagePlace } from '../../src/delivery/recipient.ts'
import { StoredPages } from '../../src/delivery/stored-pages.ts'
import { Connection } from '../../src/gateway/connection.ts'
import { connectionServices, type GatewayOptions } from '../../src/gateway/connection-services.ts'
import { Connections } from '../../src/gateway/connections.ts'
import type { Place } from '../../src/gateway/guard.ts'
import { ServerTime } from '../../src/gateway/server-time.ts'
import type { Socket } from '../../src/gateway/socket.ts'
import { CODECS } from '../../src/gateway/wire/codec.ts'
import { bytesOf } from '../../src/gateway/wire/msgpack.ts'
import { MemoryPresence } from '../../src/presence/presence.memory.ts'
import { PresenceWatches } from '../../src/presence/watches.ts'
import { CLOSES, type CloseName } from '../../src/protocol/codes.ts'
import type { Frame } from '../../src/protocol/encoding.ts'
import { unlimitedGuard } from './builders.ts'
import { FakeClock, settled } from './fake-clock.ts'
import { messagesOver } from './messages.ts'
import { ScriptedStore } from './scripted-store.ts'
import { silentLogger } from './silent-logger.ts'

export interface Event {
  readonly type: string
  readonly [field: string]: unknown
}

let signsOfLife = 0

/** A socket whose peer reads at once, or not at all, as it is told; it reports as the transport does, after the turn. */
export class FakeSocket implements Socket {
  /** Bytes that its peer does not read. */
  bufferedBytes = 0
  /** To be raised when its peer has read something. */
  progress = 0
  /** Counts up over all sockets of a bench, as the transport's does. */
  lastHeard = 0
  /** Whether the peer is there to answer a ping. */
  answersPings = true
  pings = 0
  /** Whether frames are dropped. */
  dropping = false
  closedBy: CloseName | undefined
  closeReason: string | undefined
  readonly topics: string[] = []
  readonly events: Event[] = []
  readonly #connection: Connection
  #isScheduled = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  get keepsAll(): boolean {
    return !this.dropping && this.bufferedBytes === 0
  }

  send(frame: Frame, message?: MessagePlace): void {
    if (this.closedBy) return
    if (this.dropping) return queueMicrotask(() => this.#connection.dropped(message))
    const { codec } = this.#connection.identity
    const bytes = codec.binary ? bytesOf(frame) : new TextEncoder().encode(frame)
    this.events.push(codec.decode(bytes)?.value as Event)
    this.#flushLater()
  }

  offer(frame: Frame): void {
    if (!this.dropping) this.send(frame)
  }

  handOver(): void {
    throw new Error('a connection hands its socket to nobody')
  }

  ping(): void {
    this.pings += 1
    if (this.answersPings) this.hear()
  }

  /** The peer gives a sign of life. */
  hear(): void {
    signsOfLife += 1
    this.lastHeard = signsOfLife
  }

  close(name: CloseName, reason: string = CLOSES[name].reason): void {
    if (this.closedBy) return
    this.closedBy = name
    this.closeReason = reason
    this.#connection.closed(CLOSES[name].code)
  }

  subscribe(topic: string): void {
    this.topics.push(topic)
  }

  unsubscribe(topic: string): void {
    this.topics.splice(this.topics.indexOf(topic), 1)
  }

  /** The peer has read everything. */
  drain(): void {
    this.bufferedBytes = 0
    this.progress += 1
    this.#connection.emptied()
  }

  #flushLater(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      if (this.bufferedBytes === 0 && !this.closedBy) this.#connection.emptied()
    })
  }
}

export interface ConnectOptions {
  readonly place?: Place
  readonly encoding?: 'json' | 'msgpack'
  /** A client without a subprotocol. */
  readonly implicit?: boolean
  /** Settings of the socket from its first frame on. */
  readonly socket?: Partial<Pick<FakeSocket, 'bufferedBytes' | 'dropping' | 'answersPings'>>
}

const NO_LIMIT: Place = { release: () => undefined }
const LIMITS: GatewayOptions['limits'] = {
  maxContentBytes: 1000,
  maxConnectionsPerUser: 3,
  maxBackpressureBytes: 10_000,
  laggingTimeoutMs: 30_000,
  heartbeatSeconds: 30,
}

/** Everything behind the sockets of one instance, over a memory store and a fake clock; `replaced`: parts of it. */
export function gatewayBench(replaced: (options: GatewayOptions) => Partial<GatewayOptions> = () => ({})) {
  const clock = new FakeClock()
  /** How much the store's clock is ahead of this process's. */
  const storeTime = { aheadMs: 0 }
  const store = new ScriptedStore(() => clock.now() + storeTime.aheadMs)
  const connections = new Connections()
  const fanout = new LocalFanout(connections)
  const presence = new MemoryPresence(clock)
  const { messages, writer, heads } = messagesOver({ store, clock, listeners: [fanout] })
  const usual: GatewayOptions = {
    messages,
    epoch: { current: 'the first' },
    presence,
    watches: new PresenceWatches({ presence, clock, graceMs: 5000, announce: () => undefined }),
    fanout,
    audience: new LocalAudience(connections),
    guard: unlimitedGuard(),
    pages: new StoredPages(store, clock, 2),
    clock,
    serverTime: new ServerTime(clock),
    logger: silentLogger,
    limits: LIMITS,
    connections,
    answersUnderWay: new Set(),
    tokenLives: undefined,
    observer: { commandRefused: () => undefined },
  }
  const options = { ...usual, ...replaced(usual) }
  const services = connectionServices(options)

  const connect = (
    userId: string,
    { encoding = 'json', implicit = false, socket: settings, place = NO_LIMIT }: ConnectOptions = {},
  ) => {
    const codec = CODECS[encoding]
    const connection = new Connection(
      { userId, connectionId: `${userId}'s`, address: '127.0.0.1', codec, implicit },
      services,
      place,
    )
    const socket = Object.assign(new FakeSocket(connection), settings)
    socket.hear()
    connection.opened(socket)
    return {
      connection,
      socket,
      /** Frames of these types, or all. */
      events: (...types: string[]) => socket.events.filter(({ type }) => types.length === 0 || types.includes(type)),
      /** What the client sends, as one frame of JSON. */
      say: (command: object) => connection.received(new TextEncoder().encode(JSON.stringify(command)), false),
    }
  }

  /** Connected, caught up, and with nothing in its log. */
  const connectLive = async (userId: string, options?: ConnectOptions) => {
    const client = connect(userId, options)
    await settled()
    client.socket.events.length = 0
    return client
  }

  return { clock, store, storeTime, services: options, presence, writer, heads, connect, connectLive }
}
