/** Several values by one key. Most keys have one value, which is kept without a set of its own. */
export class MultiMap<Key, Value extends object> {
  readonly #values = new Map<Key, Value | Set<Value>>()

  /** Keys that have a value. */
  get size(): number {
    return this.#values.size
  }

  add(key: Key, value: Value): void {
    const known = this.#values.get(key)
    if (known instanceof Set) known.add(value)
    else this.#values.set(key, known === undefined || known === value ? value : new Set([known, value]))
  }

  delete(key: Key, value: Value): void {
    const known = this.#values.get(key)
    if (known === value) this.#values.delete(key)
    else if (known instanceof Set && known.delete(value) && known.size === 0) this.#values.delete(key)
  }

  /** As of now: later changes do not change it. */
  of(key: Key): readonly Value[] {
    const known = this.#values.get(key)
    if (known === undefined) return []
    return known instanceof Set ? [...known] : [known]
  }
}
