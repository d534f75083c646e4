import type { UserId } from '../../protocol/message.ts'
import type { FakeSocket } from './fake-socket.ts'
import type { VirtualClock } from './virtual-clock.ts'

/** What may go wrong with one frame of the server. */
export type FrameFault = 'drop' | 'double' | { readonly delayMs: number }

export interface Connection {
  readonly socket: FakeSocket
  /** Empty until a token has told. */
  userId: UserId
  isMute: boolean
  readonly watched: Set<UserId>
}

export type Sendable = { readonly type: string; readonly [field: string]: unknown }

export interface FakeConnectionsOptions {
  readonly clock: VirtualClock
  /** One way, in milliseconds. */
  readonly latencyMs: number
  /** Asked for each frame to a client. */
  frameFault(frame: Sendable, userId: UserId): FrameFault | undefined
}

/** The connections of a fake server, and the way of a frame over one of them: late, and with the faults that were ordered. */
export class FakeConnections {
  readonly #options: FakeConnectionsOptions
  readonly #bySocket = new Map<FakeSocket, Connection>()

  constructor(options: FakeConnectionsOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#bySocket.size
  }

  open(socket: FakeSocket, userId: UserId): Connection {
    const connection = { socket, userId, isMute: false, watched: new Set<UserId>() }
    this.#bySocket.set(socket, connection)
    socket.opened()
    return connection
  }

  at(socket: FakeSocket): Connection | undefined {
    return this.#bySocket.get(socket)
  }

  /** Those of a user, or all. */
  of(userId?: UserId): readonly Connection[] {
    const all = [...this.#bySocket.values()]
    return userId === undefined ? all : all.filter((connection) => connection.userId === userId)
  }

  send(connection: Connection, frame: Sendable): void {
    if (connection.isMute) return
    const fault = this.#options.frameFault(frame, connection.userId)
    if (fault === 'drop') return
    const delayMs = typeof fault === 'object' ? fault.delayMs : 0
    const text = JSON.stringify(frame)
    const deliver = (): void => {
      if (!connection.isMute && this.#bySocket.has(connection.socket)) connection.socket.deliver(text)
    }
    for (let copy = 0; copy < (fault === 'double' ? 2 : 1); copy += 1) this.later(deliver, delayMs)
  }

  end(socket: FakeSocket, code: number): void {
    this.#bySocket.delete(socket)
    socket.ended(code)
  }

  /** After the time that a frame takes, and so much more. */
  later(task: () => void, delayMs = 0): void {
    this.#options.clock.after(this.#options.latencyMs + delayMs, task)
  }
}
