import { furthest, type PositionChange } from './store.ts'

/** Positions waiting for a batch; distinct people in distinct conversations at most. */
const MAX_WAITING = 50_000

/** Position changes, coalesced: they are cumulative, so of one person in one conversation only the furthest matters. */
export class PositionQueue {
  readonly #changes = new Map<string, PositionChange>()

  get size(): number {
    return this.#changes.size
  }

  /** False when the queue is full. */
  add(change: PositionChange): boolean {
    const key =
      change.user === change.conversation.lo ? `${change.conversation.key} lo` : `${change.conversation.key} hi`
    const known = this.#changes.get(key)
    if (!known && this.#changes.size >= MAX_WAITING) return false
    this.#changes.set(key, known ? furthest(known, change) : change)
    return true
  }

  /** The next batch of them: those that wait the longest. */
  take(max: number): PositionChange[] {
    const taken: PositionChange[] = []
    for (const [key, change] of this.#changes) {
      if (taken.length === max) break
      taken.push(change)
      this.#changes.delete(key)
    }
    return taken
  }
}
