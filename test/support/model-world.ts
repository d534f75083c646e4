import { unlimitedGuard } from './builders.ts'
// Everything between the sockets and the store, real; the sockets, the devices and the people are played.

import { LocalFanout } from '../../src/delivery/fanout.local.ts'
import { LocalUsers } from '../../src/delivery/local-users.ts'
import { StoredPages } from '../../src/delivery/stored-pages.ts'
import type { Client, ConnectionServices } from '../../src/gateway/client.ts'
import { Connection } from '../../src/gateway/connection.ts'
import type { Socket } from '../../src/gateway/socket.ts'
import { conversationBetween } from '../../src/messages/conversation.ts'
import { KnownHeads } from '../../src/messages/known-heads.ts'
import { MessageService } from '../../src/messages/service.ts'
import type { MessageStore } from '../../src/messages/store.ts'
import { MessageWriter } from '../../src/messages/writer.ts'
import { MemoryPresence } from '../../src/presence/presence.memory.ts'
import { PresenceWatches } from '../../src/presence/watches.ts'
import { CODECS, type Frame } from '../../src/protocol/codec.ts'
import { CLOSES, type CloseName } from '../../src/protocol/codes.ts'
import type { Message } from '../../src/protocol/message.ts'
import { silentLogger } from './databases.ts'
import { ModelDevice } from './model-device.ts'
import { type Activity, impatientClock } from './model-faults.ts'

/** A stalled socket lags above the first and loses frames above the second; in frames, each counted as one byte. */
const MAX_HELD_FRAMES = 2
const HARD_MAX_HELD_FRAMES = 6

/** What must be true whatever happens: who wrote what in which order, and how far everybody has come. */
export class Model {
  /** Message ids in the order in which they reached the service, by conversation. */
  readonly #logs = new Map<string, { id: string; sender: string }[]>()
  readonly #acknowledged = new Map<string, { delivered: number; read: number }>()

  sent(sender: string, receiver: string, id: string): void {
    const log = this.log(sender, receiver)
    if (!log.some((known) => known.id === id)) log.push({ id, sender })
  }

  log(a: string, b: string): { id: string; sender: string }[] {
    const { key } = conversationBetween(a, b)
    const known = this.#logs.get(key) ?? []
    this.#logs.set(key, known)
    return known
  }

  moved(user: string, other: string, delivered: number, read: number): void {
    const known = this.acknowledged(user, other)
    known.delivered = Math.max(known.delivered, delivered)
    known.read = Math.max(known.read, read)
  }

  acknowledged(user: string, other: string): { delivered: number; read: number } {
    const key = `${user} of ${conversationBetween(user, other).key}`
    const known = this.#acknowledged.get(key) ?? { delivered: 0, read: 0 }
    this.#acknowledged.set(key, known)
    return known
  }
}

/** Frames leave at the end of the turn; a stalled one holds them, and loses what is too much, as the real one does. */
export class PlayedSocket implements Socket {
  isStalled = false
  /** Receipts, unlike messages, may be lost on a socket that lags. */
  hasStalled = false
  isOpen = true
  #queued: { frame: Frame; message: Message | undefined }[] = []
  #held: Frame[] = []
  readonly #connection: Connection
  readonly #deliver: (frame: Frame) => void
  readonly #closed: (code: number) => void

  constructor(connection: Connection, deliver: (frame: Frame) => void, closed: (code: number) => void) {
    this.#connection = connection
    this.#deliver = deliver
    this.#closed = closed
  }

  get bufferedBytes(): number {
    return this.#held.length
  }

  send(frame: Frame, message?: Message): void {
    if (!this.isOpen) return
    this.#queued.push({ frame, message })
    if (this.#queued.length === 1) queueMicrotask(() => this.#flush())
  }

  /** Where a message no longer fits, nothing that may be lost does. */
  offer(frame: Frame): void {
    if (!this.isStalled || this.#held.length < HARD_MAX_HELD_FRAMES) this.send(frame)
  }

  close(name: CloseName): void {
    this.#flush()
    this.end(CLOSES[name].code)
  }

  /** What was held dies with the socket. */
  end(code: number): void {
    if (!this.isOpen) return
    this.isOpen = false
    this.#closed(code)
    this.#connection.closed(code)
  }

  stall(): void {
    this.isStalled = true
    this.hasStalled = true
  }

  resume(): void {
    this.isStalled = false
    const held = this.#held
    this.#held = []
    for (const frame of held) this.#deliver(frame)
    if (held.length > 0 && this.isOpen) this.#connection.flushed()
  }

  unsubscribe(): void {
    // Topics are not played.
  }

  subscribe(): void {
    // Nothing of the model is published.
  }

  #flush(): void {
    const queued = this.#queued
    this.#queued = []
    if (queued.length === 0) return
    for (const { frame, message } of queued) {
      if (!this.isOpen) return
      if (!this.isStalled) this.#deliver(frame)
      // Replies are small: where a message does not fit they mostly do.
      else if (this.#held.length < (message ? 1 : 4) * HARD_MAX_HELD_FRAMES) this.#held.push(frame)
      else this.#connection.dropped(message)
    }
    if (this.isOpen && this.#held.length === 0) this.#connection.flushed()
  }
}

const ignore = (): void => undefined

export class World {
  readonly model = new Model()
  readonly devices: readonly ModelDevice[]
  readonly users: readonly string[]
  readonly activity: Activity
  readonly #services: ConnectionServices
  readonly #writer: MessageWriter

  constructor(store: MessageStore, activity: Activity, users: readonly string[]) {
    this.activity = activity
    this.users = users
    const clock = impatientClock(activity)
    const local = new LocalUsers()
    const limits = { maxQueueRows: 10_000, maxQueueBytes: 1e7, maxQueueAgeMs: 60_000, maxBatchRows: 7 }
    const observer = { committed: ignore, failed: ignore, sendSettled: ignore }
    const writer: MessageWriter = new MessageWriter({
      store,
      clock,
      logger: silentLogger,
      limits,
      observer,
      settled: (sends, positions) => messages.settled(sends, positions),
      random: () => 1,
    })
    const presence = new MemoryPresence(clock)
    const fanout = new LocalFanout(local)
    const messages: MessageService = new MessageService({
      store,
      writer,
      clock,
      announcer: fanout,
      heads: new KnownHeads(),
      observer,
    })
    this.#writer = writer
    this.#services = {
      messages,
      users: local,
      presence,
      watches: new PresenceWatches({ presence, clock, graceMs: 5_000, announce: () => undefined }),
      fanout,
      guard: unlimitedGuard(),
      pages: new StoredPages(store, clock, 2),
      clock,
      logger: silentLogger,
      connections: new Set<Client>(),
      readsUnderWay: new Set(),
      limits: {
        maxContentBytes: 1000,
        maxConnectionsPerUser: 10,
        maxBackpressureBytes: MAX_HELD_FRAMES,
        laggingTimeoutMs: 60_000,
        heartbeatSeconds: 32,
      },
    }
    // Each person has one device that acknowledges itself and one that is acknowledged by delivery.
    this.devices = users.flatMap((user) => [false, true].map((implicit) => new ModelDevice(this, user, implicit)))
  }

  open(device: ModelDevice): { connection: Connection; socket: PlayedSocket } {
    const identity = {
      userId: device.user,
      connectionId: device.name,
      address: '127.0.0.1',
      codec: CODECS.json,
      implicit: device.implicit,
    }
    const connection = new Connection(identity, this.#services)
    const socket: PlayedSocket = new PlayedSocket(
      connection,
      (frame) => device.received(JSON.parse(frame)),
      (code) => device.closed(socket, code),
    )
    return { connection, socket }
  }

  async quiet(): Promise<void> {
    do await this.activity.quiet()
    while (this.#writer.queuedRows > 0 || this.#writer.oldestAgeMs > 0)
  }
}
