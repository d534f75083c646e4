/** Which loads `send` runs, and against whom. */
import { centrifugoSubjects } from './centrifugo.ts'
import { serviceWithPush } from './service.ts'
import type { Settings } from './settings.ts'
import { tinodeName } from './tinode.ts'
import type { Encoding } from './wire.ts'

const nodePeers = ['ws-relay', 'uws-relay', 'socketio-relay', 'ws-insert', 'socketio-insert']
const everyone = ['service', ...nodePeers, ...centrifugoSubjects, tinodeName, 'copy']
const relays = ['service', 'ws-relay', 'uws-relay']
/** As our own client does (src/client/acks.ts). */
const clientAckEvery = 32
/** Rounds of the cells that no goal is about. */
const fewRounds = 3

/** One load of `send`, and whom it compares. */
export interface Cell {
  readonly encoding: Encoding
  readonly connections: number
  readonly inFlight: number
  /** How many others each person writes to in turn, so that nearly all of a batch is of other conversations; else people are in pairs. */
  readonly peersEach?: number
  /** Whether the conversations are begun within the time that is measured; else before, where there are several for each person. */
  readonly measuresOpening?: boolean
  /** After how many messages a receiver acknowledges what it got; never, or as often as is asked for, when undefined. */
  readonly ackEvery?: number
  readonly subjects: readonly string[]
  /** At most; all that are asked for when undefined. */
  readonly rounds?: number
}

const cells: readonly Cell[] = [
  { encoding: 'json', connections: 100, inFlight: 16, subjects: everyone },
  { encoding: 'json', connections: 100, inFlight: 16, peersEach: 99, subjects: everyone },
  { encoding: 'json', connections: 1000, inFlight: 16, peersEach: 100, subjects: relays, rounds: fewRounds },
  {
    ...{ encoding: 'json', connections: 1000, inFlight: 16, peersEach: 100, measuresOpening: true },
    ...{ subjects: relays, rounds: fewRounds },
  },
  {
    encoding: 'json',
    connections: 100,
    inFlight: 16,
    ackEvery: clientAckEvery,
    subjects: ['service', serviceWithPush],
  },
  { encoding: 'json', connections: 100, inFlight: 1, subjects: [...relays, 'ws-insert', 'copy'] },
  { encoding: 'json', connections: 1000, inFlight: 16, subjects: relays, rounds: fewRounds },
  { encoding: 'json', connections: 1000, inFlight: 1, subjects: relays, rounds: fewRounds },
  { encoding: 'msgpack', connections: 100, inFlight: 16, subjects: relays },
  { encoding: 'msgpack', connections: 100, inFlight: 1, subjects: relays, rounds: fewRounds },
]
const smokeCells: readonly Cell[] = [
  { encoding: 'json', connections: 20, inFlight: 16, subjects: everyone },
  { encoding: 'json', connections: 20, inFlight: 16, peersEach: 19, subjects: ['service', 'uws-relay'] },
  { encoding: 'msgpack', connections: 20, inFlight: 1, subjects: ['service', 'ws-relay'] },
]

export function wantedCells({ mode, cells: names }: Settings): readonly Cell[] {
  const all = mode === 'smoke' ? smokeCells : cells
  if (names === undefined) return all
  const byName = new Map(all.map((cell) => [cellName(cell), cell]))
  return names.map((name) => {
    const cell = byName.get(name)
    if (cell === undefined) throw new Error(`send has no cell '${name}', but ${[...byName.keys()].join(', ')}`)
    return cell
  })
}

function cellName({ encoding, connections, inFlight, peersEach, measuresOpening, ackEvery }: Cell): string {
  const shape = peersEach === undefined ? '' : `-to${peersEach}`
  const extra = `${measuresOpening ? '-opening' : ''}${ackEvery === undefined ? '' : '-acked'}`
  return `${encoding}-${connections}x${inFlight}${shape}${extra}`
}

/** In words, before the encoding; nothing for pairs that acknowledge nothing. */
export function shapeOf({ peersEach, measuresOpening, ackEvery }: Cell): string {
  if (ackEvery !== undefined) return `acknowledged every ${ackEvery}, `
  if (peersEach === undefined) return ''
  return `each to ${peersEach} others in turn${measuresOpening ? ', conversations begun meanwhile' : ''}, `
}
