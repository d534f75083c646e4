import type { Clock } from '../lib/clock.ts'
import type { Cluster } from './client.ts'

const LOOK_INTERVAL_MS = 1_000
/** The first to answer is believed: one that is frozen holds nobody up. */
const ASKED_AT_ONCE = 3

interface Range {
  readonly first: number
  readonly last: number
  /** host:port of the primary. */
  readonly node: string
}

/** Which node of a cluster has which slots, looked at again and again. */
export class Topology {
  readonly #commands: Cluster
  readonly #clock: Clock
  readonly #listeners: (() => void)[] = []
  #ranges: readonly Range[] = []
  #looks = 0
  #isLooking = false
  #isClosed = false
  #cancelLook: (() => void) | undefined

  constructor(commands: Cluster, clock: Clock) {
    this.#commands = commands
    this.#clock = clock
    commands.on('ready', () => void this.look())
    this.#arm()
  }

  nodeOf(slot: number): string | undefined {
    return this.#ranges.find(({ first, last }) => slot >= first && slot <= last)?.node
  }

  /** Calls back when slots have other nodes than before. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  async look(): Promise<void> {
    if (this.#isLooking || this.#isClosed) return
    this.#isLooking = true
    try {
      const ranges = rangesIn(await Promise.any(this.#asked().map((node) => node.cluster('SLOTS'))))
      if (!this.#isClosed && JSON.stringify(ranges) !== JSON.stringify(this.#ranges)) this.#changed(ranges)
    } catch {
      // Nobody answers, which the client tells; the next look may find more.
    } finally {
      this.#isLooking = false
    }
  }

  close(): void {
    this.#isClosed = true
    this.#cancelLook?.()
  }

  /** Others each time. */
  #asked() {
    const nodes = this.#commands.nodes('all')
    this.#looks += 1
    return Array.from({ length: Math.min(nodes.length, ASKED_AT_ONCE) }, (_, index) => {
      return nodes[(this.#looks + index) % nodes.length] as (typeof nodes)[number]
    })
  }

  #changed(ranges: readonly Range[]): void {
    const wasKnown = this.#ranges.length > 0
    this.#ranges = ranges
    // The client would learn of it by the next command that goes to the wrong node.
    if (wasKnown) this.#commands.refreshSlotsCache()
    for (const listener of this.#listeners) listener()
  }

  #arm(): void {
    this.#cancelLook = this.#clock.after(LOOK_INTERVAL_MS, () => {
      void this.look()
      if (!this.#isClosed) this.#arm()
    })
  }
}

/** Of the answer to CLUSTER SLOTS: first and last slot, then address and port of the primary and of its replicas. */
function rangesIn(answer: unknown): Range[] {
  const rows: unknown[] = Array.isArray(answer) ? answer : []
  const ranges = rows.flatMap((row): Range[] => {
    const [first, last, primary]: unknown[] = Array.isArray(row) ? row : []
    const [host, port]: unknown[] = Array.isArray(primary) ? primary : []
    return host ? [{ first: Number(first), last: Number(last), node: `${host}:${port}` }] : []
  })
  return ranges.sort((one, other) => one.first - other.first)
}
