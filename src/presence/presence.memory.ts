import type { UserId } from '../protocol/message.ts'
import type { OnlinePage, Presence } from './presence.ts'

/** Presence of a single instance. The sorted list is kept, not made: asking costs the page, not the number of users. */
export class MemoryPresence implements Presence {
  readonly #connections = new Map<UserId, number>()
  readonly #sorted: UserId[] = []

  connected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    this.#connections.set(userId, known + 1)
    if (known === 0) this.#sorted.splice(this.#positionOf(userId), 0, userId)
  }

  disconnected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    if (known > 1) this.#connections.set(userId, known - 1)
    else if (this.#connections.delete(userId)) this.#sorted.splice(this.#positionOf(userId), 1)
  }

  async online(limit: number, cursor?: string): Promise<OnlinePage> {
    const from = cursor === undefined ? 0 : this.#positionAfter(cursor)
    const users = this.#sorted.slice(from, from + limit)
    const more = from + limit < this.#sorted.length
    return { users, count: this.#sorted.length, nextCursor: more ? (users.at(-1) ?? null) : null }
  }

  #positionAfter(userId: UserId): number {
    const position = this.#positionOf(userId)
    return this.#sorted[position] === userId ? position + 1 : position
  }

  /** Where the user is, or would be; by binary search. */
  #positionOf(userId: UserId): number {
    let low = 0
    let high = this.#sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#sorted[middle] ?? '') < userId) low = middle + 1
      else high = middle
    }
    return low
  }
}
