import { dropOldest } from './drop-oldest.ts'

/** What was met of late, the last `size` of it: bounded, whoever makes it grow. */
export class RecentSet<T> {
  readonly #size: number
  readonly #entries = new Set<T>()

  constructor(size: number) {
    this.#size = size
  }

  has(entry: T): boolean {
    return this.#entries.has(entry)
  }

  add(entry: T): void {
    // Behind all others: what is met again and again stays.
    this.#entries.delete(entry)
    this.#entries.add(entry)
    dropOldest(this.#entries, this.#size)
  }

  /** What was met before all that is in here, the oldest first. */
  addOlder(entries: readonly T[]): void {
    for (const entry of [...entries, ...this.#entries]) this.add(entry)
  }

  delete(entry: T): void {
    this.#entries.delete(entry)
  }
}
