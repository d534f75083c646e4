import type { UserId } from '../protocol/message.ts'

/** Users of one block at most. A full one is cut in two, so that an arrival moves no more than these. */
const BLOCK_SIZE = 512

/**
 * A set of users in order, in blocks: reading a page costs the page, coming and going costs a block, however large the set is. One
 * sorted array would move half of itself for every arrival of a storm.
 */
export class SortedUsers {
  /** None is empty, and each user of a block is before all of the next one. */
  readonly #blocks: UserId[][] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  add(userId: UserId): void {
    const index = this.#blockOf(userId)
    const block = this.#blocks[index]
    if (!block) {
      this.#blocks.push([userId])
    } else {
      const position = positionIn(block, userId)
      if (block[position] === userId) return
      block.splice(position, 0, userId)
      if (block.length > BLOCK_SIZE) this.#blocks.splice(index + 1, 0, block.splice(BLOCK_SIZE >> 1))
    }
    this.#size += 1
  }

  delete(userId: UserId): void {
    const index = this.#blockOf(userId)
    const block = this.#blocks[index]
    if (!block) return
    const position = positionIn(block, userId)
    if (block[position] !== userId) return
    block.splice(position, 1)
    if (block.length === 0) this.#blocks.splice(index, 1)
    this.#size -= 1
  }

  /** The first users after `cursor`. */
  page(limit: number, cursor?: string): { users: UserId[]; hasMore: boolean } {
    const users: UserId[] = []
    let index = cursor === undefined ? 0 : this.#blockOf(cursor)
    let from = cursor === undefined ? 0 : positionAfter(this.#blocks[index] ?? [], cursor)
    // One more than asked for: whether there is one.
    for (; index < this.#blocks.length && users.length <= limit; index += 1) {
      users.push(...(this.#blocks[index] ?? []).slice(from, from + limit + 1 - users.length))
      from = 0
    }
    const hasMore = users.length > limit
    if (hasMore) users.length = limit
    return { users, hasMore }
  }

  /** The last block that begins at or before this user, or the first; by binary search. */
  #blockOf(userId: UserId): number {
    let low = 0
    let high = this.#blocks.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((this.#blocks[middle]?.[0] ?? '') <= userId) low = middle
      else high = middle
    }
    return low
  }
}

/** Where the user is in a block, or would be; by binary search. */
function positionIn(block: readonly UserId[], userId: UserId): number {
  let low = 0
  let high = block.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((block[middle] ?? '') < userId) low = middle + 1
    else high = middle
  }
  return low
}

function positionAfter(block: readonly UserId[], userId: UserId): number {
  const position = positionIn(block, userId)
  return block[position] === userId ? position + 1 : position
}
