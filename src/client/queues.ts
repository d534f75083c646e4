import type { UserId } from '../protocol/message.ts'
import type { Entry, Queue } from './outbox.ts'

/** Every conversation's queue, and which of them a message waits in. */
export class Queues {
  readonly #all = new Map<UserId, Queue>()
  readonly #places = new Map<string, UserId>()
  readonly #changed: (other: UserId) => void

  constructor(changed: (other: UserId) => void) {
    this.#changed = changed
  }

  /** What waits in one conversation, of this tab and of others, in the order of typing. */
  of(other: UserId): Queue {
    return this.#all.get(other) ?? []
  }

  conversations(): readonly UserId[] {
    return [...this.#all.keys()]
  }

  entries(): readonly Entry[] {
    return [...this.#all.values()].flat()
  }

  get size(): number {
    return this.#places.size
  }

  find(id: string): Entry | undefined {
    return this.of(this.#places.get(id) ?? '').find((entry) => entry.id === id)
  }

  /** Puts an entry in its place, or in place of what it was before. */
  put(entry: Entry): void {
    const queue = this.of(entry.with)
    const index = queue.findIndex(({ id }) => id === entry.id)
    const next = index < 0 ? [...queue, entry].toSorted((a, b) => a.n - b.n) : queue.with(index, entry)
    this.#places.set(entry.id, entry.with)
    this.set(entry.with, next)
  }

  /** The same entries, changed. */
  set(other: UserId, queue: Queue): void {
    if (queue.length > 0) this.#all.set(other, queue)
    else this.#all.delete(other)
    this.#changed(other)
  }

  remove({ id, with: other }: Pick<Entry, 'id' | 'with'>): void {
    const left = this.of(other).filter((entry) => entry.id !== id)
    if (this.#places.delete(id)) this.set(other, left)
  }

  clear(): void {
    for (const entry of this.entries()) this.remove(entry)
  }
}
