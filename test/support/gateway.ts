import { LocalFanout } from '../../src/delivery/fanout.local.ts'
import { LocalUsers } from '../../src/delivery/local-users.ts'
import type { MessagePlace } from '../../src/delivery/recipient.ts'
import { StoredPages } from '../../src/delivery/stored-pages.ts'
import type { Client, ConnectionLimits, ConnectionServices } from '../../src/gateway/client.ts'
import { Connection } from '../../src/gateway/connection.ts'
import type { Socket } from '../../src/gateway/socket.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { MessageService } from '../../src/messages/service.ts'
import { MessageWriter } from '../../src/messages/writer.ts'
import { MemoryPresence } from '../../src/presence/presence.memory.ts'
import { PresenceWatches } from '../../src/presence/watches.ts'
import { CODECS, type Frame } from '../../src/protocol/codec.ts'
import { CLOSES, type CloseName } from '../../src/protocol/codes.ts'
import { bytesOf } from '../../src/protocol/msgpack.ts'
import { unlimitedGuard } from './builders.ts'
import { silentLogger } from './databases.ts'
import { FakeClock, settled } from './fake-clock.ts'
import { ScriptedStore } from './scripted-store.ts'

export interface Event {
  readonly type: string
  readonly [field: string]: unknown
}

/** A socket whose peer reads at once, or not at all, as it is told; it reports as the transport does, after the turn. */
export class FakeSocket implements Socket {
  /** Bytes that its peer does not read. */
  bufferedBytes = 0
  /** Whether frames are dropped. */
  dropping = false
  closedBy: CloseName | undefined
  readonly topics: string[] = []
  readonly events: Event[] = []
  readonly #connection: Connection
  #isScheduled = false

  constructor(connection: Connection) {
    this.#connection = connection
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

  close(name: CloseName): void {
    if (this.closedBy) return
    this.closedBy = name
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
    this.#connection.flushed()
  }

  #flushLater(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      if (this.bufferedBytes === 0 && !this.closedBy) this.#connection.flushed()
    })
  }
}

export interface ConnectOptions {
  readonly encoding?: 'json' | 'msgpack'
  /** A client without a subprotocol. */
  readonly implicit?: boolean
  /** Settings of the socket from its first frame on. */
  readonly socket?: Partial<Pick<FakeSocket, 'bufferedBytes' | 'dropping'>>
}

const LIMITS: ConnectionLimits = {
  maxContentBytes: 1000,
  maxConnectionsPerUser: 3,
  maxBackpressureBytes: 10_000,
  laggingTimeoutMs: 30_000,
  heartbeatSeconds: 30,
}

/** Everything behind the sockets of one instance, over a memory store and a fake clock. */
export function gatewayBench() {
  const clock = new FakeClock()
  const store = new ScriptedStore(() => clock.now())
  const users = new LocalUsers()
  const fanout = new LocalFanout(users)
  const presence = new MemoryPresence(clock)
  const connections = new Set<Client>()
  const observer = { committed: () => undefined, failed: () => undefined, sendSettled: () => undefined }
  const writer: MessageWriter = new MessageWriter({
    store,
    clock,
    logger: silentLogger,
    limits: { maxQueueRows: 10_000, maxQueueBytes: 1e8, maxQueueAgeMs: 2000, maxBatchRows: 1000 },
    observer,
    settled: (sends, positions) => messages.settled(sends, positions),
  })
  const heads = new KnownHeads()
  const messages: MessageService = new MessageService({ store, writer, clock, announcer: fanout, heads, observer })
  const services: ConnectionServices = {
    messages,
    users,
    presence,
    watches: new PresenceWatches({ presence, clock, graceMs: 5000, announce: () => undefined }),
    fanout,
    guard: unlimitedGuard(),
    pages: new StoredPages(store, clock, 2),
    clock,
    logger: silentLogger,
    limits: LIMITS,
    connections,
    readsUnderWay: new Set(),
  }

  const connect = (userId: string, { encoding = 'json', implicit = false, socket: settings }: ConnectOptions = {}) => {
    const codec = CODECS[encoding]
    const connection = new Connection(
      { userId, connectionId: `${userId}'s`, address: '127.0.0.1', codec, implicit },
      services,
    )
    const socket = Object.assign(new FakeSocket(connection), settings)
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

  return { clock, store, services, writer, connect, connectLive }
}
