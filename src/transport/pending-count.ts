/** Counts the requests that have no answer yet; not those that are still coming: a client may never send the rest. */
export class PendingCount {
  #count = 0
  #none: (() => void) | undefined

  began(): void {
    this.#count += 1
  }

  ended(): void {
    this.#count -= 1
    if (this.#count === 0) this.#none?.()
  }

  /** Resolves when there is none. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#none = resolve
    })
  }
}
