/** What the coordinator and a crowd process say to each other. A crowd is many sockets that mostly listen. */
import type { WireName } from './wires.ts'

/** Sockets to open beside those that are open already. */
export interface CrowdPlan {
  readonly host: string
  readonly port: number
  readonly wire: WireName
  /** Users are named `<userPrefix><number>`, from `first` on in steps of `step`; `sameUser`: all are `<userPrefix>`. */
  readonly userPrefix: string
  readonly first: number
  readonly step: number
  readonly sameUser: boolean
  readonly count: number
  /** Sockets that may be on their way to readiness at the same time. */
  readonly atOnce: number
  /** What makes a socket ready. */
  readonly readyAt: 'welcome' | 'synced'
}

/** One more socket that sends, always keeping `window` of its messages on their way to somebody. */
export interface PublishPlan {
  readonly userId: string
  /** A whole text frame's payload. */
  readonly payload: string
  readonly window: number
  /** Whether frames carry a `seq` that can be checked. */
  readonly hasSeq: boolean
}

export type CrowdCommand =
  | { readonly type: 'open'; readonly plan: CrowdPlan }
  | { readonly type: 'say'; readonly payload: string }
  | { readonly type: 'await'; readonly arrivals: number }
  | { readonly type: 'publish'; readonly plan: PublishPlan }
  | { readonly type: 'begin' }
  | { readonly type: 'end' }
  | { readonly type: 'finish' }
  | { readonly type: 'check'; readonly messagesEach: number; readonly inOrder: boolean }
  | { readonly type: 'expect-end' }
  | { readonly type: 'close' }

export interface CrowdResult {
  /** `open`: milliseconds from the command until each socket was ready, in order. */
  readonly readyMs: Float64Array
  /** Arrivals of messages and presence, in all, or between `begin` and `end`. */
  readonly arrivals: number
  readonly seconds: number
  readonly cpuUs: number
}
