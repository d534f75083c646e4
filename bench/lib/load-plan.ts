/** What the coordinator and its generator processes say to each other. */
import type { PackedHistogram } from './histogram.ts'
import type { Accounts } from './tinode-wire.ts'
import type { ConversationCount, Numbering } from './verify.ts'
import type { Encoding } from './wire.ts'
import type { WireName } from './wires.ts'

/** One load: who talks to whom, how hard, and how long. */
export interface LoadPlan {
  readonly encoding: Encoding
  /** Sockets in all, each another person's; a single one sends to a receiver without a socket. */
  readonly connections: number
  /** How many others each of them writes to, in turn: with 1 neighbours talk to each other, in pairs. */
  readonly peersEach: number
  /** Whether all have written to all of their peers, and the answers have come, before the clock of the load starts. */
  readonly opensFirst: boolean
  /** Messages each connection keeps unacknowledged in a closed loop. */
  readonly inFlight: number
  /** Messages that a connection writes at once at most. Answers that came in one chunk make room for as many. */
  readonly burst: number
  /** Open loop: messages per second in all, at exponential intervals; 0 is the closed loop. */
  readonly ratePerSecond: number
  readonly contentBytes: number
  readonly warmupMs: number
  readonly measureMs: number
  readonly generators: number
  readonly ackEvery: number
}

/** A closed loop among people in pairs, in JSON: what most benches begin with. */
export const usualLoad = {
  encoding: 'json',
  peersEach: 1,
  opensFirst: false,
  inFlight: 16,
  burst: 64,
  ratePerSecond: 0,
  contentBytes: 100,
  ackEvery: 0,
} as const

/** The part of a plan that one generator process carries out. */
export interface GeneratorPlan {
  readonly host: string
  /** Where people with an even number connect, and where the others. */
  readonly ports: readonly [number, number]
  readonly wire: WireName
  /** Whom the server knows, where it calls people by names of its own. */
  readonly accounts: Accounts | undefined
  readonly numbering: Numbering
  /** Numbers of those whom this process plays: all people of a conversation, so that one clock reads both. */
  readonly people: readonly number[]
  readonly userPrefix: string
  readonly connections: number
  readonly peersEach: number
  readonly inFlight: number
  readonly burst: number
  readonly ratePerSecond: number
  readonly contentBytes: number
  readonly ackEvery: number
  readonly seed: number
}

export type GeneratorCommand =
  | { readonly type: 'connect'; readonly plan: GeneratorPlan }
  | { readonly type: 'open' }
  | { readonly type: 'start' }
  | { readonly type: 'begin' }
  | { readonly type: 'end' }
  | { readonly type: 'finish' }

export type GeneratorEvent =
  | { readonly type: 'connected' }
  | { readonly type: 'opened' }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'finished'; readonly result: GeneratorResult }

/** What one generator counted between `begin` and `end`, and whether the whole run added up. */
export interface GeneratorResult {
  readonly acked: number
  readonly seconds: number
  readonly cpuUs: number
  /** Share of the window in which the generator's event loop was busy; near 1 it is the bottleneck. */
  readonly utilisation: number
  readonly ack: PackedHistogram
  readonly deliver: PackedHistogram
  readonly lag: PackedHistogram
  readonly conversations: readonly ConversationCount[]
  readonly faults: readonly string[]
}

/** As long as a UUID, as most user ids are. */
const userIdLength = 36

export function userIdOf(userPrefix: string, person: number): string {
  return userPrefix + String(person).padStart(userIdLength - userPrefix.length, '0')
}

/**
 * Whom this person writes to, in turn: the neighbour in the pair, or the nearest of a ring on both sides. People next to each
 * other in the order are never the two of one conversation, so that all that is in flight is of other conversations.
 */
export function peersOf(
  person: number,
  { connections, peersEach }: Pick<LoadPlan, 'connections' | 'peersEach'>,
): number[] {
  if (peersEach === 1) return [person ^ 1]
  const half = Math.ceil(peersEach / 2)
  const steps = Array.from({ length: half }, (_, index) => index + 1)
  const round = new Set([...steps, ...steps.map((step) => connections - step).reverse()])
  return [...round].map((step) => (person + step) % connections)
}
