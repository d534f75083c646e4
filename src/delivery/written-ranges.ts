import type { Address } from '../messages/conversation.ts'

/** Consecutive seqs of one conversation, both ends included. */
export interface SeqRange {
  readonly from: number
  readonly to: number
}

/**
 * What one socket was told: of each conversation one range without a hole, and what was told out of its order. It may have been told
 * more.
 */
export class WrittenRanges {
  readonly #ranges = new Map<Address, SeqRange>()
  /** Hardly any socket has some. */
  #outOfOrder: Map<Address, Set<number>> | undefined

  get isEmpty(): boolean {
    return this.#ranges.size === 0 && !this.#outOfOrder
  }

  has(address: Address, seq: number): boolean {
    const range = this.#ranges.get(address)
    if (range && range.from <= seq && seq <= range.to) return true
    return this.#outOfOrder?.get(address)?.has(seq) ?? false
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

  /** Above or below the range, with others between that were not told. */
  addOutOfOrder(address: Address, seq: number): void {
    this.#outOfOrder ??= new Map()
    const seqs = this.#outOfOrder.get(address) ?? new Set()
    this.#outOfOrder.set(address, seqs.add(seq))
  }

  /** This message was dropped on its way: it comes again, and after it, in order, all that follows. */
  forgetFrom(address: Address, seq: number): void {
    const outOfOrder = this.#outOfOrder?.get(address)
    for (const one of outOfOrder ?? []) if (one >= seq) outOfOrder?.delete(one)
    const known = this.#ranges.get(address)
    if (!known || seq > known.to) return
    if (seq > known.from) this.#ranges.set(address, { from: known.from, to: seq - 1 })
    else this.#ranges.delete(address)
  }

  clear(): void {
    this.#ranges.clear()
    this.#outOfOrder = undefined
  }
}
