import type { UserId } from '../protocol/message.ts'

/** A set of users in order, kept sorted: reading a page costs the page, not the set. */
export class SortedUsers {
  readonly #users: UserId[] = []

  get size(): number {
    return this.#users.length
  }

  add(userId: UserId): void {
    const position = this.#positionOf(userId)
    if (this.#users[position] !== userId) this.#users.splice(position, 0, userId)
  }

  delete(userId: UserId): void {
    const position = this.#positionOf(userId)
    if (this.#users[position] === userId) this.#users.splice(position, 1)
  }

  /** The first users after `cursor`. */
  page(limit: number, cursor?: string): { users: UserId[]; hasMore: boolean } {
    let from = 0
    if (cursor !== undefined) {
      from = this.#positionOf(cursor)
      if (this.#users[from] === cursor) from += 1
    }
    return { users: this.#users.slice(from, from + limit), hasMore: from + limit < this.#users.length }
  }

  /** Where the user is, or would be; by binary search. */
  #positionOf(userId: UserId): number {
    let low = 0
    let high = this.#users.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#users[middle] ?? '') < userId) low = middle + 1
      else high = middle
    }
    return low
  }
}
