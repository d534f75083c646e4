import type { QueuedSend } from './send-queue.ts'
import type { PositionChange } from './store.ts'

/** What one transaction is to store, or what is left of it. */
export interface Batch {
  readonly sends: readonly QueuedSend[]
  readonly positions: readonly PositionChange[]
}

/** Sends and positions. */
export function sizeOf({ sends, positions }: Batch): number {
  return sends.length + positions.length
}

/** Both halves of a batch that holds two things at least, in order; positions are told apart from the last send alone. */
export function halvesOf({ sends, positions }: Batch): readonly [Batch, Batch] {
  const middle = sends.length >> 1
  if (middle > 0) {
    return [
      { sends: sends.slice(0, middle), positions },
      { sends: sends.slice(middle), positions: [] },
    ]
  }
  const half = sends.length > 0 ? 0 : positions.length >> 1
  return [
    { sends, positions: positions.slice(0, half) },
    { sends: [], positions: positions.slice(half) },
  ]
}

/** What belongs to these conversations, and everything else. */
export function partedBy(conversations: ReadonlySet<string>, { sends, positions }: Batch): readonly [Batch, Batch] {
  const isOf = ({ conversation }: PositionChange | QueuedSend): boolean => conversations.has(conversation.key)
  const isNot = (item: PositionChange | QueuedSend): boolean => !isOf(item)
  return [
    { sends: sends.filter(isOf), positions: positions.filter(isOf) },
    { sends: sends.filter(isNot), positions: positions.filter(isNot) },
  ]
}
