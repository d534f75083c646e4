import type { Conversation } from './conversation.ts'

/** Conversations kept; the one known for the longest goes first, and is back with its next message. */
const MAX_KNOWN = 100_000

/**
 * The highest seq of each conversation that this process has seen committed: a lower bound of its head, so an
 * acknowledgement at or below it is valid without asking the database.
 */
export class KnownHeads {
  readonly #heads = new Map<string, number>()

  of(conversation: Conversation): number {
    return this.#heads.get(conversation.key) ?? 0
  }

  saw({ key }: Conversation, seq: number): void {
    const known = this.#heads.get(key)
    if (known !== undefined && known >= seq) return
    this.#heads.set(key, seq)
    if (known !== undefined || this.#heads.size <= MAX_KNOWN) return
    const oldest = this.#heads.keys().next()
    if (!oldest.done) this.#heads.delete(oldest.value)
  }
}
