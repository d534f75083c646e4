/** What the coordinator and its generator processes say to each other. */
import type { ConversationCount, Numbering } from './verify.ts'
import type { Encoding, WireName } from './wire.ts'

/** One load: who talks to whom, how hard, and how long. */
export interface LoadPlan {
  readonly encoding: Encoding
  /** Sockets in all. Neighbours talk to each other; a single one sends to a receiver without a socket. */
  readonly connections: number
  /** Messages each connection keeps unacknowledged in a closed loop. */
  readonly inFlight: number
  /** Open loop: messages per second in all, at exponential intervals; 0 is the closed loop. */
  readonly ratePerSecond: number
  readonly contentBytes: number
  readonly warmupMs: number
  readonly measureMs: number
  readonly generators: number
  readonly ackEvery: number
}

/** The part of a plan that one generator process carries out. */
export interface GeneratorPlan {
  readonly host: string
  /** Where the first and where the second person of each pair connect. */
  readonly ports: readonly [number, number]
  readonly wire: WireName
  readonly numbering: Numbering
  readonly pairs: readonly (readonly [string, string])[]
  /** Only the first of each pair has a socket. */
  readonly solo: boolean
  readonly inFlight: number
  readonly ratePerSecond: number
  readonly contentBytes: number
  readonly ackEvery: number
  readonly seed: number
}

export type GeneratorCommand =
  | { readonly type: 'connect'; readonly plan: GeneratorPlan }
  | { readonly type: 'start' }
  | { readonly type: 'begin' }
  | { readonly type: 'end' }
  | { readonly type: 'finish' }

export type GeneratorEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'finished'; readonly result: GeneratorResult }

/** Histogram counts as they travel. */
export interface HistogramCounts {
  readonly counts: Float64Array
  readonly maxMs: number
}

/** What one generator counted between `begin` and `end`, and whether the whole run added up. */
export interface GeneratorResult {
  readonly acked: number
  readonly seconds: number
  readonly cpuUs: number
  /** Share of the window in which the generator's event loop was busy; near 1 it is the bottleneck. */
  readonly utilisation: number
  readonly ack: HistogramCounts
  readonly deliver: HistogramCounts
  readonly lag: HistogramCounts
  readonly conversations: readonly ConversationCount[]
  readonly faults: readonly string[]
}
