import type { UserId } from '../protocol/message.ts'
import type { Recipient } from './recipient.ts'

const NOBODY: readonly Recipient[] = []

/** Who is connected to this instance. */
export class LocalUsers {
  readonly #byUser = new Map<UserId, Recipient[]>()

  /** Connections of this user, oldest first. */
  of(userId: UserId): readonly Recipient[] {
    return this.#byUser.get(userId) ?? NOBODY
  }

  /** Everybody with a connection here. */
  ids(): UserId[] {
    return [...this.#byUser.keys()]
  }

  /** True when it is the user's first. */
  add(recipient: Recipient): boolean {
    const known = this.#byUser.get(recipient.userId)
    if (known) known.push(recipient)
    else this.#byUser.set(recipient.userId, [recipient])
    return known === undefined
  }

  /** True when it was the user's last. */
  remove(recipient: Recipient): boolean {
    const left = this.#byUser.get(recipient.userId)?.filter((other) => other !== recipient)
    if (!left) return false
    if (left.length > 0) this.#byUser.set(recipient.userId, left)
    else this.#byUser.delete(recipient.userId)
    return left.length === 0
  }
}
