import type { MessageItem } from './types.ts'

/** One index for each list, however many rows look themselves up in it. */
const indexes = /* @__PURE__ */ new WeakMap<readonly MessageItem[], ReadonlyMap<string, MessageItem>>()

export function rowsById(rows: readonly MessageItem[]): ReadonlyMap<string, MessageItem> {
  let index = indexes.get(rows)
  if (!index) {
    index = new Map(rows.map((row) => [row.id, row]))
    indexes.set(rows, index)
  }
  return index
}
