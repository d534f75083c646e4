import type { Clock } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'
import type { Connections, OpenConnection } from './connections.ts'

/** How long a connection that is asked for a sign of life may take; milliseconds. */
const ANSWER_MS = 2_000

export interface ConnectionLimitOptions {
  readonly connections: Connections
  readonly clock: Pick<Clock, 'after'>
  readonly maxConnectionsPerUser: number
}

/** What was last heard of each of a user's connections when they were asked. */
type Asked = ReadonlyMap<OpenConnection, number>

/**
 * Keeps a user to so many connections. The newcomer is never refused: the others are asked by a ping, and after two seconds
 * one goes that gave no sign of life, before the others the one that has been silent for the longest. Where all have answered,
 * the oldest goes. So half-open sockets, which are dead without a sign, do not evict a live one.
 */
export class ConnectionLimit {
  readonly #options: ConnectionLimitOptions
  readonly #asked = new Map<UserId, Asked>()

  constructor(options: ConnectionLimitOptions) {
    this.#options = options
  }

  /** One more connection of this user was registered. */
  opened(userId: UserId): void {
    const { connections, clock, maxConnectionsPerUser } = this.#options
    const mine = connections.of(userId)
    if (mine.length <= maxConnectionsPerUser) return
    // A user who connects so fast does not get two seconds for each.
    if (mine.length > 2 * maxConnectionsPerUser) this.#closeFirst(userId, 1)
    if (this.#asked.has(userId)) return
    const others = mine.slice(0, -1)
    this.#asked.set(userId, new Map(others.map((connection) => [connection, connection.lastHeard])))
    for (const connection of others) connection.ping()
    clock.after(ANSWER_MS, () => {
      this.#closeFirst(userId, connections.of(userId).length - maxConnectionsPerUser)
      this.#asked.delete(userId)
    })
  }

  /** One that came after the others were asked counts as having answered. */
  #closeFirst(userId: UserId, count: number): void {
    const asked = this.#asked.get(userId)
    const mine = this.#options.connections.of(userId)
    const isSilent = (one: OpenConnection): boolean => asked?.get(one) === one.lastHeard
    const silent = mine.filter(isSilent).sort((one, other) => one.lastHeard - other.lastHeard)
    const others = mine.filter((one) => !isSilent(one))
    for (const connection of [...silent, ...others].slice(0, Math.max(0, count))) connection.close('replaced')
  }
}
