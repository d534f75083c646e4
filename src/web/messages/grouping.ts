import type { MessageItem } from '../../client/index.ts'

const GROUP_MS = 5 * 60_000

/** How a message stands among its neighbours. */
export interface Place {
  /** The first of what one person wrote in one go, and the last. */
  readonly isFirst: boolean
  readonly isLast: boolean
  /** When a day begins with it. */
  readonly beginsDay: boolean
}

/** The server's time; what it has not stored yet is from now. */
export const timeOf = ({ created_at }: MessageItem): Date =>
  created_at === undefined ? new Date() : new Date(created_at)

/** `divided`: whether something stands between this row and the one before. */
export function placeOf(rows: readonly MessageItem[], index: number, isDivided: (index: number) => boolean): Place {
  return {
    isFirst: begins(rows, index, isDivided),
    isLast: index === rows.length - 1 || begins(rows, index + 1, isDivided),
    beginsDay: beginsDay(rows[index - 1], rows[index]),
  }
}

function begins(rows: readonly MessageItem[], index: number, isDivided: (index: number) => boolean): boolean {
  const [before, row] = [rows[index - 1], rows[index]]
  if (!before || !row || before.sender_id !== row.sender_id || isDivided(index)) return true
  return beginsDay(before, row) || timeOf(row).getTime() - timeOf(before).getTime() > GROUP_MS
}

function beginsDay(before: MessageItem | undefined, row: MessageItem | undefined): boolean {
  if (!row) return false
  return !before || timeOf(before).toDateString() !== timeOf(row).toDateString()
}
