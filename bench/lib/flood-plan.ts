/** What the coordinator and a process of clients that offer too much say to each other. */
import type { PackedHistogram } from './histogram.ts'
import type { ConversationCount } from './verify.ts'

export interface FloodPlan {
  readonly host: string
  readonly port: number
  readonly pairs: readonly (readonly [string, string])[]
  readonly contentBytes: number
  /** Whether they keep to the limit on sends in flight; those who do not are closed for it, and come back. */
  readonly keepsLimit: boolean
  readonly comeBackMs: number
  /** After a close without further news: what was unanswered is stored by then, or never. */
  readonly settledAfterMs: number
}

/** `rate`: messages per second of this process. Of `rush` the first part is warm-up. */
export type FloodCommand =
  | { readonly type: 'open'; readonly plan: FloodPlan }
  | { readonly type: 'rush'; readonly rate: number; readonly warmupMs: number; readonly measureMs: number }
  | { readonly type: 'finish' }

/** What was counted of one rush, inside its window, and whether everything ever sent has added up. */
export interface FloodResult {
  readonly seconds: number
  /** Due by the schedule, and what of it was not sent: at the limit, with a full socket, or without one. */
  readonly offered: number
  readonly heldBack: number
  readonly acked: number
  readonly refused: number
  /** From the write to the answer. */
  readonly ackAge: PackedHistogram
  readonly refusalAge: PackedHistogram
  /** Of the whole life, by code. */
  readonly refusals: Readonly<Record<string, number>>
  readonly closes: number
  /** Sends that had no answer when their socket was closed and may have been accepted; and how many of them were stored. */
  readonly lost: number
  readonly lostStored: number
  readonly conversations: readonly ConversationCount[]
  readonly faults: readonly string[]
}
