import type { Place } from './job.ts'
import type { Slotted } from './slots.ts'

/** How long after its commit a message is looked at again; milliseconds. */
export interface PushDelays {
  /** Where nobody is connected: long enough for a burst to become one notification. */
  readonly nobodyMs: number
  /** Where somebody is connected and has not acknowledged it. */
  readonly undeliveredMs: number
  /** Where it was acknowledged and nobody looks. */
  readonly unreadMs: number
}

export type Stage = 'nobody' | 'undelivered' | 'unread'

/** What one person may have to be told of one conversation: at most one entry, however many messages. */
export interface Entry extends Place, Slotted {
  /** The first message that is waited for, and when it was committed. */
  first: number
  firstMs: number
  newest: number
  newestMs: number
  /** The first message that is not known to be read, and since when. Receipts of later ones do not begin this wait anew. */
  unread: number
  unreadMs: number
  stage: Stage
  /** All of it was acknowledged. */
  isDelivered: boolean
  isGone: boolean
}

export function newEntry({ userId, conversation }: Place, seq: number, nowMs: number): Entry {
  const times = { first: seq, firstMs: nowMs, newest: seq, newestMs: nowMs, unread: seq, unreadMs: nowMs }
  return { userId, conversation, ...times, stage: 'nobody', isDelivered: false, slot: 0, isGone: false }
}

/** When it is to be looked at. */
export function dueMs({ stage, firstMs, unreadMs }: Entry, delays: PushDelays): number {
  if (stage === 'unread') return unreadMs + delays.unreadMs
  return firstMs + (stage === 'nobody' ? delays.nobodyMs : delays.undeliveredMs)
}

/**
 * What came before `seq` has arrived. The time of `seq` is not kept; that of the newest is no earlier, so it may be told late but
 * never early. The entry keeps its slot, and is put into a later one when that has come.
 */
export function waitFrom(entry: Entry, seq: number): void {
  entry.first = seq
  entry.firstMs = entry.newestMs
}

/** What is left was not read for no longer than the newest. */
export function noteRead(entry: Entry, read: number): void {
  if (read < entry.unread) return
  entry.unread = read + 1
  entry.unreadMs = entry.newestMs
}
