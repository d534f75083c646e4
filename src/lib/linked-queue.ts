/** One place in a LinkedQueue; its owner gives it back to leave early. */
export interface Place<T> {
  readonly value: T
}

interface Link<T> extends Place<T> {
  before: Link<T> | undefined
  after: Link<T> | undefined
  isQueued: boolean
}

/**
 * First in, first out, and an entry may leave from the middle; each step costs the same however many wait. An array
 * moves all that are behind: at 60,000 waiters that is most of what a storm costs.
 */
export class LinkedQueue<T> {
  #first: Link<T> | undefined
  #last: Link<T> | undefined
  #size = 0

  get size(): number {
    return this.#size
  }

  push(value: T): Place<T> {
    const link: Link<T> = { value, before: this.#last, after: undefined, isQueued: true }
    if (this.#last) this.#last.after = link
    else this.#first = link
    this.#last = link
    this.#size += 1
    return link
  }

  /** Takes out the earliest. */
  shift(): T | undefined {
    const first = this.#first
    if (first) this.#unlink(first)
    return first?.value
  }

  /** Takes this one out, wherever it is; does nothing when it is out already. */
  remove(place: Place<T>): void {
    // Only `push` makes places.
    const link = place as Link<T>
    if (link.isQueued) this.#unlink(link)
  }

  #unlink(link: Link<T>): void {
    if (link.before) link.before.after = link.after
    else this.#first = link.after
    if (link.after) link.after.before = link.before
    else this.#last = link.before
    // A place that somebody still holds must not keep its neighbours alive.
    link.before = undefined
    link.after = undefined
    link.isQueued = false
    this.#size -= 1
  }
}
