// What the age of a queued send means: for how long it is tried again, and when it is given up.
import { backoffMs } from '../lib/backoff.ts'
import type { QueuedSend } from './send-queue.ts'

const RETRY = { firstMs: 10, maxMs: 500 }
/** How often a commit that takes too long is given up again. */
const MIN_EXPIRY_MS = 100
/** The part of its time in which a send is tried again; what is left is for the last attempt. */
const RETRIED_SHARE = 0.75

type Aged = Pick<QueuedSend, 'queuedAtMs'>

/**
 * Whether a send can wait for another attempt. One whose time is nearly over would end that attempt before it gets anywhere,
 * and with sends of every age in the batch also the attempt after it.
 */
export function isWorthTrying({ queuedAtMs }: Aged, nowMs: number, maxAgeMs: number): boolean {
  return queuedAtMs > nowMs - maxAgeMs * RETRIED_SHARE
}

/** Milliseconds until this send has waited too long; never so few that giving up would keep the service busy. */
export function expiryDelayMs({ queuedAtMs }: Aged, nowMs: number, maxAgeMs: number): number {
  return Math.max(MIN_EXPIRY_MS, queuedAtMs + maxAgeMs - nowMs)
}

/** Milliseconds to the next attempt, after so many failed ones. */
export function retryDelayMs(attempt: number): number {
  return Math.max(1, backoffMs(attempt, RETRY))
}
