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
  /** When to ask for what lies between the head and the top. */
  readonly askAt: number
}

/** Which page of the history to ask for. Without a bound: the newest. */
export interface Question {
  readonly after?: number
  readonly before?: number
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
  return { ranges, held: [], top: ranges.at(-1)?.[1] ?? 0, askAt: Number.POSITIVE_INFINITY }
}

/** Everything from the start of the newest range up to here is applied; 0 for a conversation without messages. */
export function headOf(inbox: Inbox<Numbered>): number {
  return inbox.ranges.at(-1)?.[1] ?? 0
}

/**
 * One entry of a conversation, from wherever it comes: applied when it is the next one, dropped when it is known, held when
 * it came too early. The first entry of an unknown conversation opens a range.
 */
export function received<T extends Numbered>(inbox: Inbox<T>, entry: T, now: number): Applied<T> {
  const { seq } = entry
  if (rangeAt(inbox.ranges, seq)) return { inbox, applied: [] }
  const isNext = inbox.ranges.length === 0 || seq <= headOf(inbox) + 1
  if (isNext) return advanced(inbox, [seq, seq], [entry], now)
  const top = Math.max(inbox.top, seq)
  return {
    inbox: { ...inbox, top, held: withHeld(inbox.held, entry), askAt: Math.min(inbox.askAt, now + GAP_WAIT_MS) },
    applied: [],
  }
}

/** The server says that the conversation goes up to `top`. */
export function reachesTo<T extends Numbered>(inbox: Inbox<T>, top: number, now: number): Inbox<T> {
  return top > inbox.top || (top > headOf(inbox) && inbox.askAt > now)
    ? { ...inbox, top: Math.max(top, inbox.top), askAt: top > headOf(inbox) ? now : inbox.askAt }
    : inbox
}

/**
 * What to ask now, if anything. Whoever asks says so with `asked`, so that it is asked once. `floor`: where a conversation
 * begins of which nothing is here yet.
 */
export function questionOf(inbox: Inbox<Numbered>, now: number, floor = 0): Question | undefined {
  const from = inbox.ranges.length === 0 ? floor : headOf(inbox)
  if (inbox.top <= from || inbox.askAt > now) return undefined
  return inbox.top - from > FAR_BEHIND ? { limit: NEWEST_LIMIT } : { after: from, limit: MAX_HISTORY_LIMIT }
}

export function asked<T extends Numbered>(inbox: Inbox<T>): Inbox<T> {
  return { ...inbox, askAt: Number.POSITIVE_INFINITY }
}

/** The question was refused or the connection was lost. */
export function unanswered<T extends Numbered>(inbox: Inbox<T>, now: number, waitMs = GAP_WAIT_MS): Inbox<T> {
  return inbox.top > headOf(inbox) ? { ...inbox, askAt: now + waitMs } : inbox
}

/** A page of the history: what it covers is applied, and what waited for it. */
export function pageReceived<T extends Numbered>(
  inbox: Inbox<T>,
  question: Question,
  { messages, hasMore }: HistoryPage<T>,
  now: number,
): Applied<T> {
  const isNewest = question.before === undefined
  // Nothing lies above the last page; a higher number that was heard of is a message that is held, or was wrong.
  const known = isNewest && !hasMore ? { ...inbox, top: Math.max(headOf(inbox), inbox.held.at(-1)?.seq ?? 0) } : inbox
  const range = coveredBy(question, messages, hasMore)
  if (!range) return { inbox: unanswered(known, now), applied: [] }
  const fresh = messages.filter(({ seq }) => !rangeAt(inbox.ranges, seq))
  const result = advanced(known, range, fresh, now)
  const isBehind = result.inbox.top > headOf(result.inbox)
  const askAt = isBehind
    ? hasMore && question.after !== undefined
      ? now
      : now + GAP_WAIT_MS
    : Number.POSITIVE_INFINITY
  return isNewest ? { ...result, inbox: { ...result.inbox, askAt } } : result
}

/** Which numbers a page answers for: all between its bound and its far end, and from 1 on when nothing is left below. */
function coveredBy(question: Question, messages: readonly Numbered[], hasMore: boolean): Range | undefined {
  const first = messages[0]?.seq
  const last = messages.at(-1)?.seq
  if (question.after !== undefined) return last === undefined ? undefined : [question.after + 1, last]
  const end = question.before === undefined ? last : question.before - 1
  const start = hasMore ? first : 1
  return end === undefined || start === undefined || end < start ? undefined : [start, end]
}

function advanced<T extends Numbered>(inbox: Inbox<T>, range: Range, entries: readonly T[], now: number): Applied<T> {
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
  const head = ranges.at(-1)?.[1] ?? 0
  const top = Math.max(inbox.top, head)
  const askAt = top > head ? Math.min(inbox.askAt, now + GAP_WAIT_MS) : Number.POSITIVE_INFINITY
  return { inbox: { ranges, held, top, askAt }, applied }
}

function withHeld<T extends Numbered>(held: readonly T[], entry: T): readonly T[] {
  const index = held.findIndex(({ seq }) => seq >= entry.seq)
  if (held[index]?.seq === entry.seq) return held
  // What is forgotten here comes with the history.
  if (held.length >= MAX_HELD) return held
  return index < 0 ? [...held, entry] : [...held.slice(0, index), entry, ...held.slice(index)]
}
