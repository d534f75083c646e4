import type { Address } from '../messages/conversation.ts'

/** Consecutive seqs of one conversation, both ends included. */
export interface SeqRange {
  readonly from: number
  readonly to: number
}

/**
 * What was written to one socket: of each conversation one range without a hole. What lies outside may have been written as
 * well.
 */
export class WrittenRanges {
  readonly #ranges = new Map<Address, SeqRange>()

  get isEmpty(): boolean {
    return this.#ranges.size === 0
  }

  has(address: Address, seq: number): boolean {
    const range = this.#ranges.get(address)
    return range !== undefined && range.from <= seq && seq <= range.to
  }

  /** The first seq, from this one on, that is not known to have been written. */
  firstMissing(address: Address, seq: number): number {
    const range = this.#ranges.get(address)
    return range && range.from <= seq && seq <= range.to ? range.to + 1 : seq
  }

  /** Of two ranges with anything between them only the higher is kept: what is still to come is nearer to it. */
  add(address: Address, from: number, to: number): void {
    const known = this.#ranges.get(address)
    if (!known || from > known.to + 1) this.#ranges.set(address, { from, to })
    else if (to + 1 >= known.from)
      this.#ranges.set(address, { from: Math.min(from, known.from), to: Math.max(to, known.to) })
  }

  /** This message was dropped on its way: it comes again, and after it, in order, all that follows. */
  forgetFrom(address: Address, seq: number): void {
    const known = this.#ranges.get(address)
    if (!known || seq > known.to) return
    if (seq > known.from) this.#ranges.set(address, { from: known.from, to: seq - 1 })
    else this.#ranges.delete(address)
  }

  clear(): void {
    this.#ranges.clear()
  }
}
