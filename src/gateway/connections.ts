import type { LocalUsers } from '../delivery/local-users.ts'
import type { Recipient } from '../delivery/recipient.ts'
import type { CloseName } from '../protocol/codes.ts'
import type { UserId } from '../protocol/message.ts'
import type { Caller } from './caller.ts'
import type { Socket } from './socket.ts'

/** An open connection, as the instance sees it. */
export type OpenConnection = Recipient &
  Pick<Caller, 'identity' | 'reply' | 'close' | 'isLooking'> &
  Pick<Socket, 'lastHeard' | 'ping'>

const NONE: readonly never[] = []

/** Every open connection of this instance. */
export class Connections<One extends Recipient & Pick<Caller, 'close'> = OpenConnection> implements LocalUsers {
  readonly #byUser = new Map<UserId, readonly One[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(connection: One): void {
    this.#byUser.set(connection.userId, [...this.of(connection.userId), connection])
    this.#size += 1
  }

  /** Of one that is not here, or no longer, it does nothing. */
  remove(connection: One): void {
    const known = this.of(connection.userId)
    const left = known.filter((other) => other !== connection)
    if (left.length > 0) this.#byUser.set(connection.userId, left)
    else this.#byUser.delete(connection.userId)
    this.#size -= known.length - left.length
  }

  /** Connections of this user, oldest first; a later change does not alter what was returned. */
  of(userId: UserId): readonly One[] {
    return this.#byUser.get(userId) ?? NONE
  }

  ids(): UserId[] {
    return [...this.#byUser.keys()]
  }

  all(): readonly One[] {
    return [...this.#byUser.values()].flat()
  }

  /** `reason`: what the client reads beside the code, in place of the usual words. */
  closeUser(userId: UserId, name: CloseName, reason?: string): void {
    for (const connection of this.of(userId)) connection.close(name, reason)
  }
}
