/** Gives the messages of a batch the numbers that the database has given their conversations. */
import { isoTime } from '../lib/iso-time.ts'
import type { TextRows } from '../postgres/statement.ts'
import type { ConversationPart } from './batch-parts.ts'
import type { KnownHeads } from './known-heads.ts'
import { copyRow } from './statements.postgres.ts'
import type { PositionChange } from './store.ts'

/** Conversations that were not numbered, by their keys. */
export class Unnumbered extends Error {
  readonly keys: ReadonlySet<string>

  constructor(keys: ReadonlySet<string>) {
    super('a conversation row is closed, or missing')
    this.keys = keys
  }
}

/** What a batch does to one conversation, and the id of its row. */
export interface Located {
  readonly part: ConversationPart
  readonly id: number
}

/** Gives every fresh message its seq and time, and makes the rows of COPY of them. */
export function* numberAndWrite(
  { sorted, isLocked }: { sorted: readonly Located[]; isLocked: boolean },
  numbered: TextRows,
  states: PositionChange[],
  heads: Pick<KnownHeads, 'locked'>,
): Generator<string> {
  const [ordinals, lastSeqs, at, laterOrdinals, laterTimes, ...positions] = columnsOf(numbered)
  if (ordinals.length !== sorted.length) throw unnumbered(sorted, ordinals, isLocked)
  const batchAt = isoTime(at)
  const later = new Map(laterOrdinals.map((ordinal, index) => [ordinal, isoTime(laterTimes[index] ?? 0)]))
  for (const [index, ordinal] of ordinals.entries()) {
    const located = sorted[ordinal - 1]
    if (!located) throw new Error('a conversation row is not of this batch')
    const { part, id } = located
    const created_at = later.get(ordinal) ?? batchAt
    let seq = (lastSeqs[index] ?? 0) - part.fresh.length
    // Numbers of another line: nobody may be told of them before everybody knows that it is another.
    if (!heads.locked(part.conversation, seq)) throw new Error('a conversation is shorter than it was known to be')
    if (part.fresh.length === 0) part.foundHead(seq)
    for (const message of part.fresh) {
      seq += 1
      message.seq = seq
      message.created_at = created_at
      yield copyRow(id, message)
    }
    if (part.advances) states.push(...positionStates(part, positions, index))
  }
}

/** Under locks only what is open is numbered, so a missing row means that another database was put in place of ours. */
function unnumbered(sorted: readonly Located[], ordinals: readonly number[], isLocked: boolean): Error {
  if (isLocked) return new Error('a conversation row is missing')
  const found = new Set(ordinals.map((ordinal) => ordinal - 1))
  const missing = sorted.filter((_, index) => !found.has(index))
  return new Unnumbered(new Set(missing.map(({ part }) => part.conversation.key)))
}

/** What `NUMBER` and `NUMBER_AND_MOVE` return: one row of arrays, and between them the one time of the batch. */
type NumberedColumns = readonly [number[], number[], number, number[], number[], ...number[][]]

function columnsOf([row = []]: TextRows): NumberedColumns {
  const column = (text: string | null = null): number[] => (text === null ? [] : JSON.parse(`[${text.slice(1, -1)}]`))
  const [ordinals, lastSeqs, at, laterOrdinals, laterTimes, ...positions] = row
  return [
    column(ordinals),
    column(lastSeqs),
    Number(at),
    column(laterOrdinals),
    column(laterTimes),
    ...positions.map(column),
  ]
}

/** Columns: lo delivered, hi delivered, lo read, hi read. */
function positionStates(
  { lo, hi }: ConversationPart,
  [loDelivered, hiDelivered, loRead, hiRead]: readonly number[][],
  index: number,
): PositionChange[] {
  return [
    ...(lo ? [{ ...lo, delivered: loDelivered?.[index] ?? 0, read: loRead?.[index] ?? 0 }] : []),
    ...(hi ? [{ ...hi, delivered: hiDelivered?.[index] ?? 0, read: hiRead?.[index] ?? 0 }] : []),
  ]
}
