/** For so long work may hold up the event loop before it lets others go on. */
const TURN_MS = 1

/** Lets work begin one after the other, and whoever else wants the event loop between them. */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #isTurning = false

  /** Resolves when it is the caller's turn. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      if (this.#isTurning) return
      this.#isTurning = true
      setImmediate(() => void this.#run())
    })
  }

  async #run(): Promise<void> {
    const startMs = performance.now()
    while (this.#waiting.length > 0 && performance.now() - startMs < TURN_MS) {
      this.#waiting.shift()?.()
      // What was let go on encrypts before the clock is looked at again.
      await undefined
      await undefined
    }
    this.#isTurning = this.#waiting.length > 0
    if (this.#isTurning) setImmediate(() => void this.#run())
  }
}
