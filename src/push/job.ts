import type { Conversation } from '../messages/conversation.ts'
import type { UserId } from '../protocol/message.ts'
import type { Unread } from './payload.ts'
import type { Subscription } from './subscription.ts'

/** Somebody's conversation, of which something may have to be told. */
export interface Place {
  readonly userId: UserId
  readonly conversation: Conversation
}

/** How far a person is in a conversation. */
export interface Standing {
  readonly conversationId: number
  readonly delivered: number
  readonly read: number
  /** The newest message of the other person above `read`; 0 when there is none. */
  readonly newest: number
}

/** What makes a job void: that the message was delivered, or only that it was read. */
export type Until = 'delivered' | 'read'

/** A job to be made. */
export interface Wanted {
  readonly userId: UserId
  readonly standing: Standing
  readonly until: Until
  /** Since how long there is something to tell, seconds. */
  readonly ageSeconds: number
}

/** A subscription of somebody who is to be told something now. */
export interface Target extends Subscription {
  /** Seconds for which its host wants to be left alone, as the instances told each other. */
  readonly closedSeconds: number
  /** Seconds until its user may be told something again; 0: now. */
  readonly spentSeconds: number
  /** Pushes that only take a notification away which it may still have today. */
  readonly clearsLeft: number
}

/** A job that this instance holds for a while. */
export interface HeldJob {
  readonly userId: UserId
  readonly conversationId: number
  /** Names this hold of it: what is reported under another one does not count. */
  readonly leaseOwner: string
  readonly kind: 'notify' | 'clear'
  /** False: it was delivered, read or forgotten meanwhile. */
  readonly isNeeded: boolean
  /** There is something that was not read. */
  readonly isUnread: boolean
  /** A notification of it may be on a screen. */
  readonly wasPushed: boolean
  readonly unread: Unread
  /** What it was made for when it was taken; what is wanted meanwhile is newer. */
  readonly wantedSeq: number
  /**
   * Up to which message everybody has been told once its targets are: the newest one, but those that have it already heard of no
   * more than what it was made for.
   */
  readonly toldSeq: number
  readonly attempts: number
  /** Since how long there is something to tell, seconds. */
  readonly ageSeconds: number
  /** Without those that have it already. */
  readonly targets: readonly Target[]
  /** Those that have it already. */
  readonly sentTo: readonly string[]
}

/** What became of a job. */
export type JobEnd =
  /**
   * Told to everybody who was to be told, or given up: nothing is to be done up to its `toldSeq`. `isPushed`: somebody was told
   * now, and not by an attempt before.
   */
  | { readonly end: 'done'; readonly isPushed: boolean }
  /** No notification of it is to be on a screen, and none is. */
  | { readonly end: 'void' }
  /** Called off. What is on a screen stays there until it is read. */
  | { readonly end: 'kept' }
  /** Some have it, others are to be tried again. `isPushed`: somebody was told now. `isFailure`: it counts as an attempt. */
  | {
      readonly end: 'again'
      readonly isPushed: boolean
      readonly afterSeconds: number
      readonly isFailure: boolean
      readonly sentTo: readonly string[]
    }

export interface EndedJob {
  readonly job: HeldJob
  readonly end: JobEnd
}

/**
 * Jobs, durable: one for each person and conversation. Messages that come while it waits become part of it. Any instance may
 * send any job; which one does is told by a lease. Every call rejects when the database refuses or is away.
 */
export interface JobStore {
  /** In the order asked; undefined where there is no such conversation. */
  standings(places: readonly Place[]): Promise<(Standing | undefined)[]>
  /**
   * Makes jobs, or adds to those that wait, for people with a subscription. A notification that was shown is not repeated before a
   * pause that grows with each; one that was told already is not told again. Resolves with how many changed.
   */
  want(wanted: readonly Wanted[]): Promise<number>
  /** Takes up to so many jobs that are due, which no other instance can take while the lease lasts. */
  claim(limit: number): Promise<HeldJob[]>
  /** Those whose hold has ended meanwhile do not count. */
  settle(ended: readonly EndedJob[]): Promise<void>
  /** These conversations were read: notifications of them are to go. */
  read(places: readonly Place[]): Promise<void>
  /** Leave this push service alone for so long, all of you. */
  closeHost(host: string, seconds: number): Promise<void>
}
