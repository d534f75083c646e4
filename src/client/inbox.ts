import { MAX_HISTORY_LIMIT } from '../protocol/limits.ts'
import { type Range, rangeAt, withRange } from './ranges.ts'

/** A message that came too early may be overtaken by the one before it; after this long the one before is asked for. */
export const GAP_WAIT_MS = 500
/** Messages of one conversation that are kept although they came too early; beyond it only the highest number is. */
export const MAX_HELD = 500
/** A conversation that lacks more than this shows its newest messages first. */
export const FAR_BEHIND = 500
const NEWEST_LIMIT = 50

export interface Numbered {
  readonly seq: number
}

/** What one client has of one conversation. Applied is what lies in a range. */
export interface Inbox<T extends Numbered> {
  readonly ranges: readonly Range[]
  /** Came too early; ascending, above the head + 1. */
  readonly held: readonly T[]
  /** The highest number that is known to exist. */
  readonly top: number
}

/** Which page of the history to ask for. Without a bound: the newest. */
export interface Question {
  readonly after?: number | undefined
  readonly before?: number | undefined
  readonly limit: number
}

export interface HistoryPage<T> {
  readonly messages: readonly T[]
  readonly hasMore: boolean
}

/** `applied`: what is new, ascending. */
export interface Applied<T extends Numbered> {
  readonly inbox: Inbox<T>
  readonly applied: readonly T[]
}

export function emptyInbox<T extends Numbered>(ranges: readonly Range[] = []): Inbox<T> {
  return { ranges, held: [], top: ranges.at(-1)?.[1] ?? 0 }
}

/** Everything from the start of the newest range up to here is applied; 0 for a conversation without messages. */
export function headOf(inbox: Inbox<Numbered>): number {
  return inbox.ranges.at(-1)?.[1] ?? 0
}

/**
 * One entry of a conversation, from wherever it comes: applied when it is the next one, dropped when it is known, held when
 * it came too early. The first entry of an unknown conversation opens a range. `isSure`: what is here is known to be of the
 * same line of history as the entry; until then all that lies above the head is held.
 */
export function received<T extends Numbered>(inbox: Inbox<T>, entry: T, isSure = true): Applied<T> {
  const { seq } = entry
  const isBelow = seq <= headOf(inbox)
  if (rangeAt(inbox.ranges, seq) || (isBelow && !isSure)) return { inbox, applied: [] }
  const isNext = inbox.ranges.length === 0 || seq <= headOf(inbox) + 1
  if (isNext && isSure) return advanced(inbox, [seq, seq], [entry])
  return { inbox: { ...reachesTo(inbox, seq), held: withHeld(inbox.held, entry) }, applied: [] }
}

/** The conversation is known to go up to `top`. */
export function reachesTo<T extends Numbered>(inbox: Inbox<T>, top: number): Inbox<T> {
  return { ...inbox, top: Math.max(top, inbox.top) }
}

/** What to ask for of what lies above the head. `floor`: where a conversation begins of which nothing is here yet. */
export function questionOf(inbox: Inbox<Numbered>, floor = 0): Question | undefined {
  const from = inbox.ranges.length === 0 ? floor : headOf(inbox)
  if (inbox.top <= from) return undefined
  return inbox.top - from > FAR_BEHIND ? { limit: NEWEST_LIMIT } : { after: from, limit: MAX_HISTORY_LIMIT }
}

/** A page of the history: what it covers is applied, and what waited for it. */
export function pageReceived<T extends Numbered>(
  inbox: Inbox<T>,
  question: Question,
  { messages, hasMore }: HistoryPage<T>,
): Applied<T> {
  // Nothing lies above the last page; a higher number that was heard of is a message that is held, or was wrong.
  const known =
    question.before === undefined && !hasMore
      ? { ...inbox, top: Math.max(headOf(inbox), inbox.held.at(-1)?.seq ?? 0) }
      : inbox
  const range = coveredBy(question, messages, hasMore)
  const fresh = messages.filter(({ seq }) => !rangeAt(inbox.ranges, seq))
  return range ? advanced(known, range, fresh) : { inbox: known, applied: [] }
}

/**
 * Which numbers a page answers for: from its bound below, or from 1 on when nothing is left there, up to its last message. One
 * that ends too early under its bound above says nothing of what lies between: the server lacks it, or has another history.
 */
function coveredBy({ after }: Question, messages: readonly Numbered[], hasMore: boolean): Range | undefined {
  const [first] = messages
  const last = messages.at(-1)
  if (!first || !last) return undefined
  return [after !== undefined ? after + 1 : hasMore ? first.seq : 1, last.seq]
}

function advanced<T extends Numbered>(inbox: Inbox<T>, range: Range, entries: readonly T[]): Applied<T> {
  let ranges = withRange(inbox.ranges, range)
  const applied = [...entries]
  let held = inbox.held
  if (held.length > 0) {
    const early = held.filter(({ seq }) => !rangeAt(ranges, seq))
    let count = 0
    for (let next = early[0]; next && next.seq === (ranges.at(-1)?.[1] ?? 0) + 1; next = early[count]) {
      ranges = withRange(ranges, [next.seq, next.seq])
      applied.push(next)
      count += 1
    }
    held = early.slice(count)
  }
  return { inbox: { ranges, held, top: Math.max(inbox.top, ranges.at(-1)?.[1] ?? 0) }, applied }
}

function withHeld<T extends Numbered>(held: readonly T[], entry: T): readonly T[] {
  const index = held.findIndex(({ seq }) => seq >= entry.seq)
  if (held[index]?.seq === entry.seq) return held
  // What is forgotten here comes with the history.
  if (held.length >= MAX_HELD) return held
  return index < 0 ? [...held, entry] : [...held.slice(0, index), entry, ...held.slice(index)]
}
