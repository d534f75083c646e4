import type { Command, CommandOf } from '../../protocol/commands.ts'
import type { Message, UserId } from '../../protocol/message.ts'
import type { Fetch } from '../environment.ts'
import { type Connection, FakeConnections, type FrameFault, type Sendable } from './fake-connections.ts'
import { fakeFetch } from './fake-http.ts'
import { FakeLog } from './fake-log.ts'
import { FakeSocket } from './fake-socket.ts'
import { seededRandom } from './seeded-random.ts'
import { VirtualClock } from './virtual-clock.ts'

export interface Refusal {
  readonly error: string
  readonly retryAfterMs?: number
}
/** What may go wrong with one send. `cut_after`: stored, and the connection ends before the reply. */
export type SendFault = 'cut_before' | 'cut_after' | Refusal

export interface FakeServerOptions {
  readonly clock?: VirtualClock
  readonly seed?: number
  /** One way, in milliseconds. */
  readonly latencyMs?: number
  readonly heartbeatSeconds?: number
  readonly maxContentBytes?: number
  /** The user that a token stands for; `undefined` refuses it. Without it the user is in the address. */
  readonly userOf?: (token: string) => UserId | undefined
  readonly tokenLifetimeMs?: number
}

/** A server that speaks version 1 of the protocol in memory, with faults to order. Without faults it keeps every promise. */
export class FakeServer {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly log: FakeLog
  /** Every command that came, with the number of its connection. */
  readonly commands: { readonly connection: number; readonly command: Command }[] = []
  readonly WebSocket: new (
    url: string,
    protocols?: string | string[],
  ) => FakeSocket
  /** For the client as well: without it, it asks the network of the machine why a connection was refused. */
  readonly fetch: Fetch
  epoch = 'first'
  /** New connections are refused. */
  isDown = false
  /** Asked for each frame to a client. */
  frameFault: (frame: Sendable, userId: UserId) => FrameFault | undefined = () => undefined
  /** Asked for each `send`. */
  sendFault: (command: CommandOf<'send'>, userId: UserId) => SendFault | undefined = () => undefined
  /** Asked for each other command that may be refused. */
  commandFault: (command: Command, userId: UserId) => Refusal | undefined = () => undefined
  readonly #options: FakeServerOptions
  readonly #connections: FakeConnections
  readonly #opened: FakeSocket[] = []
  #stalledUntil = 0

  constructor(options: FakeServerOptions = {}) {
    this.#options = options
    this.clock = options.clock ?? new VirtualClock()
    this.random = seededRandom(options.seed ?? 1)
    this.log = new FakeLog(() => this.#time())
    this.#connections = new FakeConnections({
      clock: this.clock,
      latencyMs: options.latencyMs ?? 1,
      frameFault: (frame, userId) => this.frameFault(frame, userId),
    })
    this.fetch = fakeFetch(() => ({ isDown: this.isDown, userOf: options.userOf }))
    const accept = (socket: FakeSocket): void => this.#accept(socket)
    const ends = {
      received: (socket: FakeSocket, frame: string) => this.#connections.later(() => this.#received(socket, frame)),
      closing: (socket: FakeSocket, code: number) => this.#connections.later(() => this.#connections.end(socket, code)),
    }
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string | string[] = []) {
        super({ url, protocols: [protocols].flat() }, ends)
        accept(this)
      }
    }
  }

  /** How many sockets were ever opened. */
  get socketCount(): number {
    return this.#opened.length
  }

  get openCount(): number {
    return this.#connections.count
  }

  /** Stores a message of somebody who needs no client, and delivers it. */
  write(sender: UserId, receiver: UserId, content: string, id: string = this.#id()): Message {
    const { message } = this.log.store(sender, receiver, { id, content })
    this.#deliver(message)
    return message
  }

  /** A frame to every connection of a user. */
  push(userId: UserId, frame: Sendable): void {
    for (const connection of this.#connections.of(userId)) this.#connections.send(connection, frame)
  }

  /** Ends the connections of a user, or all, with a code; 1006 is a link that breaks. */
  cut(code = 1006, userId?: UserId): void {
    for (const connection of this.#connections.of(userId)) this.#connections.end(connection.socket, code)
  }

  /** From now on nothing passes on the present connections, either way, and nobody is told. */
  mute(userId?: UserId): void {
    for (const connection of this.#connections.of(userId)) connection.isMute = true
  }

  /** What comes meanwhile is worked off late. */
  stall(ms: number): void {
    this.#stalledUntil = this.clock.now() + ms
  }

  /** The newest messages of each conversation are lost, as after a restore: a new epoch begins, and every socket is closed. */
  setBack(lost: number): void {
    this.log.setBack(lost)
    this.epoch += ' again'
    this.cut(1012)
  }

  /** Says goodbye as a server that is stopped does. */
  drain(reconnectAfterMs: number): void {
    for (const connection of this.#connections.of()) {
      this.#connections.send(connection, { type: 'draining', reconnect_after_ms: reconnectAfterMs })
      this.#connections.later(() => this.#connections.end(connection.socket, 1012))
    }
  }

  #accept(socket: FakeSocket): void {
    this.#opened.push(socket)
    this.#connections.later(() => {
      if (this.isDown || socket.readyState !== 0) return socket.ended(1006)
      const userId = new URL(socket.url).searchParams.get('user_id') ?? ''
      const connection = this.#connections.open(socket, userId)
      if (!this.#options.userOf) this.#welcome(connection)
    })
  }

  #received(socket: FakeSocket, frame: string): void {
    const connection = this.#connections.at(socket)
    if (!connection || connection.isMute) return
    const wait = this.#stalledUntil - this.clock.now()
    if (wait > 0) return void this.clock.after(wait, () => this.#received(socket, frame))
    const command = JSON.parse(frame) as Command
    this.commands.push({ connection: this.#opened.indexOf(socket) + 1, command })
    this.#run(connection, command)
  }

  #run(connection: Connection, command: Command): void {
    const { userId } = connection
    const { ref } = command
    const fault = command.type === 'send' || command.type === 'auth' ? undefined : this.commandFault(command, userId)
    if (fault) return this.#refuse(connection, fault, { ref })
    switch (command.type) {
      case 'send':
        return this.#stored(connection, command)
      case 'ack':
      case 'read':
        return this.#moved(connection, command.with, command.seq, command.type === 'read')
      case 'history': {
        const page = this.log.page(userId, command.with, command)
        return this.#connections.send(connection, { type: 'history', ref, with: command.with, ...page })
      }
      case 'conversations': {
        const page = this.log.list(userId, command)
        return this.#connections.send(connection, { type: 'conversations', ref, ...page })
      }
      case 'sync':
        return this.#synced(connection, command)
      case 'watch':
        for (const id of command.user_ids) this.#present(connection, id)
        return
      case 'unwatch':
        for (const id of command.user_ids) connection.watched.delete(id)
        return
      case 'typing':
        return this.push(command.receiver_id, { type: 'typing', sender_id: userId, active: command.active ?? true })
      case 'auth':
        return this.#authenticated(connection, command.token)
      case 'ping':
        return this.#connections.send(connection, { type: 'pong', ref })
      default:
        return
    }
  }

  #stored(connection: Connection, command: CommandOf<'send'>): void {
    const { userId, socket } = connection
    const { id = this.#id(), ref, receiver_id, content } = command
    const fault = this.sendFault(command, userId)
    if (fault === 'cut_before') return this.#connections.end(socket, 1006)
    if (typeof fault === 'object') return this.#refuse(connection, fault, { ref, id })
    const { message, fate } = this.log.store(userId, receiver_id, { id, content })
    if (fate === 'conflict')
      return this.#connections.send(connection, {
        type: 'error',
        ref,
        id,
        code: 'id_conflict',
        message: 'other content',
      })
    if (fate === 'stored') this.#deliver(message, socket)
    if (fault === 'cut_after') return this.#connections.end(socket, 1006)
    const { seq, created_at } = message
    const duplicate = fate === 'duplicate'
    this.#connections.send(connection, { type: 'sent', ref, id, seq, with: receiver_id, created_at, duplicate })
  }

  #refuse(connection: Connection, { error, retryAfterMs }: Refusal, names: object): void {
    const wait = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
    this.#connections.send(connection, { type: 'error', ...names, code: error, message: error, ...wait })
  }

  #moved(by: Connection, other: UserId, seq: number, isRead: boolean): void {
    const { userId } = by
    const moved = this.log.move(userId, other, seq, isRead)
    if (moved === undefined)
      return this.#connections.send(by, { type: 'error', code: 'invalid_ack', message: 'too far' })
    if (!moved) return
    const { delivered_seq, read_seq } = this.log.positions(userId, other)
    this.push(other, { type: 'receipt', with: userId, delivered_seq, read_seq })
    // Who moved it has no need of it, as with the service.
    const others = this.#connections.of(userId).filter((one) => one !== by)
    const receipt = { type: 'receipt', with: other, delivered_seq, read_seq, user_id: userId } as const
    for (const connection of others) this.#connections.send(connection, receipt)
  }

  #synced(connection: Connection, { heads, since = '', ref }: CommandOf<'sync'>): void {
    const { userId } = connection
    const held = new Map(heads)
    const changed = this.log
      .summaries(userId)
      .filter((summary) =>
        heads ? held.get(summary.with) !== summary.last_seq : this.log.of(userId, summary.with).changedAt >= since,
      )
      .map(({ last_message: _message, unread: _unread, ...change }) => change)
    this.#connections.send(connection, { type: 'sync', ref, changed, server_time: this.#time(), epoch: this.epoch })
  }

  #present(connection: Connection, id: UserId): void {
    connection.watched.add(id)
    const status = this.#connections.of(id).length > 0 ? 'online' : 'offline'
    this.#connections.send(connection, { type: 'presence', user_id: id, status })
  }

  #authenticated(connection: Connection, token: string): void {
    const userId = this.#options.userOf?.(token)
    if (userId === undefined || (connection.userId !== '' && userId !== connection.userId)) {
      this.#connections.send(connection, { type: 'error', code: 'unauthorized', message: 'no' })
      return this.#connections.later(() => this.#connections.end(connection.socket, 4401))
    }
    if (connection.userId !== '')
      return this.#connections.send(connection, { type: 'authenticated', expires_at: this.#expiry() })
    connection.userId = userId
    this.#welcome(connection)
  }

  #welcome(connection: Connection): void {
    const { userId } = connection
    this.#connections.send(connection, {
      ...{ type: 'welcome', user_id: userId, connection_id: 'fake', server_time: this.#time(), epoch: this.epoch },
      ...{ protocol: 1, max_content_bytes: this.#options.maxContentBytes ?? 16_384 },
      heartbeat_seconds: this.#options.heartbeatSeconds ?? 32,
      ...(this.#options.tokenLifetimeMs !== undefined && { expires_at: this.#expiry() }),
    })
    for (const other of this.log.partners(userId)) {
      const { delivered_seq } = this.log.positions(userId, other)
      for (const message of this.log.page(userId, other, { after: delivered_seq, limit: Number.POSITIVE_INFINITY })
        .messages)
        this.#connections.send(connection, { type: 'message', ...message })
    }
    this.#connections.send(connection, { type: 'synced', server_time: this.#time(), epoch: this.epoch })
    for (const watcher of this.#connections.of()) if (watcher.watched.has(userId)) this.#present(watcher, userId)
  }

  #deliver(message: Message, from?: FakeSocket): void {
    const { sender_id, receiver_id } = message
    const all = new Set([...this.#connections.of(receiver_id), ...this.#connections.of(sender_id)])
    for (const connection of all)
      if (connection.socket !== from) this.#connections.send(connection, { type: 'message', ...message })
  }

  #time(): string {
    return new Date(this.clock.wall()).toISOString()
  }

  #expiry(): string {
    return new Date(this.clock.wall() + (this.#options.tokenLifetimeMs ?? 600_000)).toISOString()
  }

  #id(): string {
    const hex = Array.from({ length: 32 }, () => Math.floor(this.random() * 16).toString(16)).join('')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
  }
}
