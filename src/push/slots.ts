import type { Clock } from '../lib/clock.ts'

/** What can wait in a slot. */
export interface Slotted {
  /** The slot in which it is looked at; one that holds it besides is passed over. */
  slot: number
  /** No longer needed. */
  readonly isGone: boolean
}

/** Milliseconds: how late an item may be looked at. */
const SLOT_MS = 250

/** Many items, each to be looked at in its own time, over one timer. An item that is put again moves, at the cost of a number. */
export class Slots<Item extends Slotted> {
  readonly #clock: Clock
  readonly #due: (items: readonly Item[]) => void
  readonly #slots = new Map<number, Item[]>()
  #cancelTick: (() => void) | undefined
  #tickAtSlot = Number.POSITIVE_INFINITY
  #isClosed = false

  /** `due` is given what is to be looked at, up to a quarter of a second after its time and never before. */
  constructor(clock: Clock, due: (items: readonly Item[]) => void) {
    this.#clock = clock
    this.#due = due
  }

  put(item: Item, atMs: number): void {
    const slot = Math.ceil(atMs / SLOT_MS)
    item.slot = slot
    const items = this.#slots.get(slot)
    if (items) items.push(item)
    else this.#slots.set(slot, [item])
    this.#tickAt(slot)
  }

  close(): void {
    this.#isClosed = true
    this.#cancelTick?.()
  }

  #tickAt(slot: number): void {
    if (slot >= this.#tickAtSlot || this.#isClosed) return
    this.#cancelTick?.()
    this.#tickAtSlot = slot
    this.#cancelTick = this.#clock.after(Math.max(1, slot * SLOT_MS - this.#clock.now()), () => {
      this.#tickAtSlot = Number.POSITIVE_INFINITY
      this.#run()
    })
  }

  #run(): void {
    const now = this.#clock.now()
    const due: Item[] = []
    let next = Number.POSITIVE_INFINITY
    for (const [slot, items] of this.#slots) {
      if (slot * SLOT_MS > now) next = Math.min(next, slot)
      else {
        this.#slots.delete(slot)
        // One that came back to the slot that it is in stands there twice.
        for (const item of new Set(items)) if (!item.isGone && item.slot === slot) due.push(item)
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.#tickAt(next)
    if (due.length > 0) this.#due(due)
  }
}
