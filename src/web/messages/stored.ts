import type { MessageItem } from '../../client/index.ts'

/** The newest of the rows up to this index that is stored. What waits or was not sent stands behind all that is, without a `seq`. */
export function lastStored(rows: readonly MessageItem[], upTo = rows.length - 1): MessageItem | undefined {
  for (let index = Math.min(upTo, rows.length - 1); index >= 0; index -= 1)
    if (rows[index]?.seq !== undefined) return rows[index]
  return undefined
}

/** How many of the others' messages are stored above `seq`. */
export function countAfter(rows: readonly MessageItem[], seq: number, me: string): number {
  let count = 0
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    const row = rows[index]
    if (row?.seq === undefined) continue
    if (row.seq <= seq) break
    if (row.sender_id !== me) count += 1
  }
  return count
}
