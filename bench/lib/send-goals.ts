/** What `send` has measured, and what of it is wanted. */
import type { Goal } from './goals.ts'
import type { Outcome } from './load.ts'
import type { Cell } from './send-cells.ts'
import { serviceSubject, serviceWithPush, serviceWithTokens } from './service.ts'
import { ratiosOf, type Spread, spreadOf } from './stats.ts'
import type { Encoding } from './wire.ts'

/** One run of a server, or of the limit, which has no latency. */
export type Run = Pick<Outcome, 'messagesPerSecond' | 'cpuUsPerMessage'> & Partial<Outcome>
export type Runs = ReadonlyMap<string, readonly Run[]>

export const rates = (list: readonly Run[]): number[] => list.map((run) => run.messagesPerSecond)
export const costs = (list: readonly Run[], role: string): number[] =>
  list.map((run) => run.cpuUsPerMessage[role] ?? Number.NaN)

export const costTitle = (encoding: Encoding): string => `service CPU per message, 100 × 16, ${encoding}`

type Factors = Readonly<Record<string, number>>

const ofPeers = { 'centrifugo-redis': 1.8, 'centrifugo-postgres': 20, tinode: 20 }
/** Factors by which the service is to send more messages a second than a peer, in JSON with 100 connections. */
const inPairsWanted: Readonly<Record<number, Factors>> = {
  16: {
    'ws-relay': 1,
    'socketio-relay': 1.6,
    'ws-insert': 8,
    'socketio-insert': 12,
    'centrifugo-history': 0.9,
    ...ofPeers,
  },
  1: { 'ws-insert': 4 },
}
const sparseWanted: Factors = { 'ws-relay': 1, 'socketio-relay': 1.5, 'centrifugo-history': 1, ...ofPeers }

/** Goals are about 100 connections. */
export function goalsOf(cell: Cell, runs: Runs): Goal[] {
  const ours = runs.get(serviceSubject.name)
  if (ours === undefined || cell.connections !== 100) return []
  // The others are about a load that acknowledges nothing.
  if (cell.ackEvery !== undefined) return variantGoals(cell, ours, runs)
  return [...factorGoals(cell, ours, runs), ...variantGoals(cell, ours, runs), ...costGoals(cell, ours)]
}

function factorGoals({ encoding, inFlight, peersEach }: Cell, ours: readonly Run[], runs: Runs): Goal[] {
  if (encoding !== 'json') return []
  const wanted = peersEach === undefined ? inPairsWanted[inFlight] : sparseWanted
  return Object.entries(wanted ?? {}).flatMap(([peer, atLeast]): Goal[] => {
    const theirs = runs.get(peer)
    if (theirs === undefined) return []
    const title = `msg/s ÷ ${peer}, 100 × ${inFlight}${peersEach === undefined ? '' : ` to ${peersEach}`}, json`
    return [{ bench: 'send', title, wanted: { atLeast }, unit: '×', measured: ratiosOf(rates(ours), rates(theirs)) }]
  })
}

/** Ours with something more to do, beside ours without. Push is on for everybody or off. */
const variantsOf = ({ ackEvery }: Cell): Readonly<Record<string, string>> => ({
  [serviceWithTokens]: 'AUTH=jwt ÷ none',
  [serviceWithPush]:
    ackEvery === undefined ? 'push to people who acknowledge nothing ÷ off' : 'push, acknowledged ÷ off',
})

function variantGoals(cell: Cell, ours: readonly Run[], runs: Runs): Goal[] {
  const { encoding, inFlight } = cell
  return Object.entries(variantsOf(cell)).flatMap(([name, compared]): Goal[] => {
    const variant = runs.get(name)
    if (variant === undefined) return []
    const title = `msg/s, ${compared}, 100 × ${inFlight}, ${encoding}`
    const measured = ratiosOf(rates(variant), rates(ours))
    return [{ bench: 'send', title, wanted: { atLeast: 0.98 }, unit: '×', measured }]
  })
}

function costGoals({ encoding, inFlight, peersEach }: Cell, ours: readonly Run[]): Goal[] {
  if (inFlight !== 16) return []
  const goal = { bench: 'send', unit: 'µs' }
  const service = costs(ours, 'service')
  if (peersEach === undefined)
    return [{ ...goal, title: costTitle(encoding), wanted: { atMost: 8 }, measured: spreadOf(service) }]
  const postgres = costs(ours, 'postgres')
  const both = service.map((us, round) => us + (postgres[round] ?? Number.NaN))
  const title = (of: string): string => `${of} CPU per message, 100 × 16 to ${peersEach}, ${encoding}`
  return [
    { ...goal, title: title('service'), wanted: { atMost: 9 }, measured: spreadOf(service) },
    { ...goal, title: title('service and PostgreSQL'), wanted: { atMost: 23 }, measured: spreadOf(both) },
  ]
}

export function encodingGoal(json: Spread, msgpack: Spread): Goal {
  const measured = ratiosOf(msgpack.values, json.values)
  return {
    bench: 'send',
    title: 'service CPU, MessagePack ÷ JSON, 100 × 16',
    wanted: { atMost: 1 },
    unit: '×',
    measured,
  }
}
