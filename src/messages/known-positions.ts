import { dropOldest } from '../lib/drop-oldest.ts'
import type { PositionChange } from './store.ts'

/** Positions kept; the longest untouched goes first. */
const MAX_KNOWN = 100_000

/**
 * The positions that this process has seen stored. They only ever grow, so a change that is not above what is known changes
 * nothing and costs neither a write nor a receipt.
 */
export class KnownPositions {
  readonly #positions = new Map<string, { delivered: number; read: number }>()

  /** What answers next may be another server, which lacks them. */
  forget(): void {
    this.#positions.clear()
  }

  isNew({ delivered, read, ...change }: PositionChange): boolean {
    const known = this.#positions.get(keyOf(change))
    return known === undefined || delivered > known.delivered || read > known.read
  }

  stored({ delivered, read, ...change }: PositionChange): void {
    const key = keyOf(change)
    this.#positions.delete(key)
    this.#positions.set(key, { delivered, read })
    dropOldest(this.#positions, MAX_KNOWN)
  }
}

function keyOf({ conversation, user }: Pick<PositionChange, 'conversation' | 'user'>): string {
  return `${conversation.key} ${user}`
}
