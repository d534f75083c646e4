import type { HostClass } from './hosts.ts'

/** Counts what push does. */
export interface PushObserver {
  /** Jobs that were made, or got something more to tell. */
  pushesDue(count: number): void
  /** Messages that became part of a notification that was to be sent anyway. */
  pushesCollapsed(count: number): void
  /** Notifications that were no longer needed when they were to be sent. */
  pushesCancelled(count: number): void
  /** One push was answered, or was not; `fate`: sent, gone, too_large, busy, failed, refused or bad. */
  pushAnswered(hostClass: HostClass, fate: string): void
  /** From the message to the answer of the push service. */
  pushLag(seconds: number): void
  /** Notifications that were given up, because they are too old or nobody takes them. */
  pushesGivenUp(count: number): void
  /** One look for what a killed instance forgot. */
  pushSwept(found: number, durationMs: number): void
}
