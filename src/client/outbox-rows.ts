import { MAX_FRAME_BYTES } from '../protocol/limits.ts'
import { contentFault, isLonger } from '../protocol/text.ts'
import { ChatError } from './errors.ts'
import { type Entry, isAside, stateLeft } from './outbox.ts'
import type { Change, KeptEntry } from './storage.ts'
import type { Outcome, SendStatus } from './types.ts'
import { encodeCommand, fits } from './wire.ts'

export function statusOf({ state, wasWritten }: Entry): SendStatus {
  if (isAside(state)) return state
  return wasWritten ? 'sending' : 'queued'
}

/** Why a message cannot be sent at all. */
export function faultOf({ id, with: to, content }: Entry, maxContentBytes: number): string | undefined {
  const fault = contentFault(content, maxContentBytes)
  if (fault) return fault
  // Text can be allowed and its frame too long: control characters take six bytes each in JSON.
  const frame = encodeCommand({ type: 'send', receiver_id: to, content, id, ref: id })
  return isLonger(frame, MAX_FRAME_BYTES) ? 'payload_too_large' : undefined
}

export const put = (entry: Entry): Change => ({ put: 'outbox', row: { ...entry, wasWritten: entry.isNoted, v: 2 } })

export function failure(id: string, code: string, message?: string): Extract<Outcome, { outcome: 'failed' }> {
  return { outcome: 'failed', id, code, message: message ?? new ChatError({ code }).message }
}

export const cancelled = (id: string, kept: boolean): Outcome => ({ outcome: 'cancelled', id, kept })

/** A row of the first version does not tell whether it was written. */
export function entryOf({ v, ...entry }: KeptEntry): Entry {
  const wasWritten = v !== 2 || entry.wasWritten !== false
  return { ...entry, state: stateLeft(entry), wasWritten, isNoted: wasWritten, writtenAt: 0, retryAt: 0 }
}

/** Rows of another program, or of a disk that is failing, are no reason not to start. */
export const isEntry = (row: unknown): boolean => fits(row, 'id with content n at')
