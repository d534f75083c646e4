/** What the coordinator and a process of clients that do not hold back say to each other. */
import type { HistogramCounts } from './load-plan.ts'
import type { ConversationCount } from './verify.ts'

export interface FloodPlan {
  readonly host: string
  readonly port: number
  readonly pairs: readonly (readonly [string, string])[]
  readonly contentBytes: number
}

/** `rate`: messages per second of this process. Of `rush` the first part is warm-up. */
export type FloodCommand =
  | { readonly type: 'open'; readonly plan: FloodPlan }
  | { readonly type: 'rush'; readonly rate: number; readonly warmupMs: number; readonly measureMs: number }
  | { readonly type: 'finish' }

/** What was counted of one rush, inside its window, and whether everything ever sent has added up. */
export interface FloodResult {
  readonly seconds: number
  /** Due by the schedule, and really written: a client whose socket is full drops what is due. */
  readonly offered: number
  readonly written: number
  readonly acked: number
  readonly refused: number
  /** From the write to the answer. */
  readonly ackAge: HistogramCounts
  readonly refusalAge: HistogramCounts
  /** Of the whole life, by code. */
  readonly codes: Readonly<Record<string, number>>
  readonly conversations: readonly ConversationCount[]
  readonly faults: readonly string[]
}

export type FloodEvent =
  | { readonly type: 'done'; readonly number: number; readonly result: FloodResult }
  | { readonly type: 'failed'; readonly number: number; readonly reason: string }
