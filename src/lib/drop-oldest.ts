/** Entries in the order in which they came, as a Map or a Set keeps them. */
interface Entries<Key> {
  readonly size: number
  keys(): Iterable<Key>
  delete(key: Key): unknown
}

/** Takes out what came first until `size` are left: nothing that others make grow may grow for ever. */
export function dropOldest<Key>(entries: Entries<Key>, size: number): void {
  if (entries.size <= size) return
  for (const oldest of entries.keys()) {
    entries.delete(oldest)
    if (entries.size <= size) return
  }
}
