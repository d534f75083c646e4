import type { UserId } from '../protocol/message.ts'
import { refusedDelayMs } from './retry.ts'

/** Older than this, a message is not sent without asking: its moment may have passed. */
export const HELD_AFTER_MS = 24 * 3600_000
/** Closes with a code that blames a frame, before the message that was written first is set aside. */
const MAX_BLAMED = 2
/**
 * Closes without a code, each right after this message was written. A weak network does that too: after the first two it is
 * written alone, to a connection that has held for a while, so that each further one speaks against nothing else.
 */
const MAX_SUSPECTED = 5
const ALONE_FROM = 2
export const SUSPECT_WITHIN_MS = 1000
/** With these a server says that it could not read a frame. */
export const BLAMING_CODES: readonly number[] = [1003, 1007, 1008, 1009]

/**
 * `saving`: not yet in the storage. `queued`: waits for its turn. `sending`: written to the present connection.
 * `failed`: refused for good. `held`: too old to be sent without asking.
 */
export type EntryState = 'saving' | 'queued' | 'sending' | 'failed' | 'held'

/** One message whose outcome is not known. Its id stays the same over all attempts, so that it is stored once. */
export interface Entry {
  readonly id: string
  readonly with: UserId
  readonly content: string
  /** Order of typing, over all conversations. */
  readonly n: number
  /** When it was typed, in milliseconds of the wall clock. */
  readonly at: number
  readonly state: EntryState
  /** The tab that sends it. */
  readonly owner: string
  /** The tab that it was taken over from. */
  readonly from?: string
  /** Whether any attempt has reached a socket: it may be stored. */
  readonly wasWritten: boolean
  /** Whether the storage says so. It does before any attempt: after a crash nobody may take the message for unsent. */
  readonly isNoted: boolean
  /** Of another tab that goes on with it, where this one would have sent it as well. */
  readonly isYielded?: boolean | undefined
  /** Why it failed or is held. */
  readonly code?: string
  readonly message?: string | undefined
  readonly tries: number
  readonly blamed: number
  readonly suspected: number
  readonly writtenAt: number
  readonly retryAt: number
}

/**
 * Whether it is certain that it was not stored: then its text may be written again, as another message. What another tab sends
 * may be on its way before that tab has said so.
 */
export const isUnstored = ({ wasWritten, state, code, owner }: Entry, tab: string): boolean =>
  wasWritten ? state === 'failed' && code !== 'rejected_by_transport' : owner === tab || isAside(state)

/** Whether it may be what ends connections. */
export const isSuspect = ({ suspected }: Entry): boolean => suspected >= ALONE_FROM

/** Whether it waits for the person: nobody sends it by itself. */
export const isAside = (state: EntryState): state is 'failed' | 'held' => state === 'failed' || state === 'held'

/** The state of what a tab has left that is gone: whatever that tab was about to do with it, nobody does any more. */
export const stateLeft = ({ state }: Entry): EntryState => (isAside(state) ? state : 'queued')

/** What waits in one conversation, in the order of typing. */
export type Queue = readonly Entry[]

export type QueueEvent =
  | { readonly type: 'retry'; readonly id: string }
  | { readonly type: 'saved'; readonly id: string; readonly isNoted?: boolean }
  | { readonly type: 'written'; readonly id: string; readonly now: number }
  | {
      readonly type: 'refused'
      readonly id: string
      readonly now: number
      readonly random: number
      readonly code: string
      readonly message?: string
      readonly isTemporary: boolean
      readonly retryAfterMs?: number | undefined
    }
  /** `oldest`: what was written first of all that had no answer, of any conversation. */
  | { readonly type: 'lost'; readonly code: number; readonly now: number; readonly oldest?: string | undefined }
  | { readonly type: 'aged'; readonly wallMs: number }

const NOTHING_TRIED = { tries: 0, blamed: 0, suspected: 0, writtenAt: 0, retryAt: 0 }

export function queued(id: string, to: UserId, content: string, order: Pick<Entry, 'n' | 'at' | 'owner'>): Entry {
  return { id, with: to, content, ...order, state: 'saving', wasWritten: false, isNoted: false, ...NOTHING_TRIED }
}

/** The next message that may be written now: at most `window` of a conversation are on their way, in the order of typing. */
export function nextToWrite(queue: Queue, owner: string, window: number, now: number): Entry | undefined {
  let room = window
  for (const entry of queue) {
    const isOwn = entry.owner === owner
    // One that this tab has yielded is on its way elsewhere: what was typed behind it must not overtake it.
    if (isAside(entry.state) || !(isOwn || entry.isYielded)) continue
    if (room <= 0 || entry.state === 'saving') return undefined
    if (isOwn && entry.state === 'queued' && entry.retryAt <= now) return entry
    // One that waits takes room as well: only who asked for speed in place of order has it overtaken.
    room -= 1
  }
  return undefined
}

/** When the next wait after a refusal ends; Infinity when none is under way. */
export function nextRetryAt(queue: Queue, owner: string, now: number): number {
  const waiting = queue.filter((entry) => entry.owner === owner && entry.state === 'queued' && entry.retryAt > now)
  return Math.min(...waiting.map(({ retryAt }) => retryAt))
}

export function queueAfter(queue: Queue, event: QueueEvent): Queue {
  if (event.type === 'lost' || event.type === 'aged') {
    const next = queue.map((entry) => (event.type === 'lost' ? lost(entry, event) : aged(entry, event.wallMs)))
    return next.some((entry, index) => entry !== queue[index]) ? next : queue
  }
  const index = queue.findIndex(({ id }) => id === event.id)
  const entry = queue[index]
  return entry ? queue.with(index, changed(entry, event)) : queue
}

function changed(entry: Entry, event: Exclude<QueueEvent, { type: 'lost' | 'aged' }>): Entry {
  switch (event.type) {
    case 'saved':
      return entry.state === 'saving' ? { ...entry, state: 'queued', isNoted: event.isNoted ?? entry.isNoted } : entry
    case 'written':
      return { ...entry, state: 'sending', wasWritten: true, writtenAt: event.now }
    case 'retry': {
      const { code: _code, message: _message, ...rest } = entry
      return isAside(entry.state) ? { ...rest, state: 'queued', ...NOTHING_TRIED } : entry
    }
    case 'refused': {
      const { code, message, isTemporary, now, random, retryAfterMs } = event
      if (!isTemporary) return { ...entry, state: 'failed', code, message }
      const waitMs = refusedDelayMs(entry.tries, random, retryAfterMs)
      // It has reached the server, so it was no link that it broke.
      return { ...entry, state: 'queued', tries: entry.tries + 1, blamed: 0, suspected: 0, retryAt: now + waitMs }
    }
  }
}

/** Without an answer the outcome is unknown: the same id goes again on the next connection. */
function lost(entry: Entry, { code, now, oldest }: Extract<QueueEvent, { type: 'lost' }>): Entry {
  if (entry.state !== 'sending') return entry
  const blamed = entry.blamed + (entry.id === oldest && BLAMING_CODES.includes(code) ? 1 : 0)
  const wasAtOnce = code === 1006 && now - entry.writtenAt <= SUSPECT_WITHIN_MS
  const suspected = wasAtOnce ? entry.suspected + 1 : 0
  if (blamed < MAX_BLAMED && suspected < MAX_SUSPECTED) return { ...entry, state: 'queued', blamed, suspected }
  return { ...entry, state: 'failed', code: 'rejected_by_transport', blamed, suspected }
}

function aged(entry: Entry, wallMs: number): Entry {
  return entry.state === 'queued' && wallMs - entry.at > HELD_AFTER_MS
    ? { ...entry, state: 'held', code: 'held' }
    : entry
}
