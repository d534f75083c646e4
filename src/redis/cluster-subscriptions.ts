import type { Shards } from './shards.ts'
import type { ChannelSubscriptions, Subscriptions } from './subscriptions.ts'
import type { Topology } from './topology.ts'

type MessageHandler = (rest: string, payload: string) => void

export interface ClusterSubscriptionsOptions {
  readonly topology: Pick<Topology, 'nodeOf' | 'onChange'>
  readonly shards: Shards
  /** A connection to the node (host:port) for subscribing. */
  open(node: string): Subscriptions
}

/**
 * The channels that an instance is subscribed to in a cluster: a connection to each node that has one of the slots in use. When slots go to
 * another node their channels are asked for there, and what may have been lost meanwhile is a gap.
 */
export class ClusterSubscriptions implements ChannelSubscriptions {
  readonly #options: ClusterSubscriptionsOptions
  readonly #wanted = new Set<string>()
  readonly #nodes = new Map<string, Subscriptions>()
  /** As the channels are asked for. */
  #nodeOf = new Map<number, string>()
  readonly #handlers: { prefix: string; handler: MessageHandler }[] = []
  readonly #gapListeners: (() => void)[] = []
  /** Moves that are under way. */
  #moving = 0
  #isClosed = false

  constructor(options: ClusterSubscriptionsOptions) {
    this.#options = options
    options.topology.onChange(() => void this.#move())
  }

  get isConnected(): boolean {
    const isWhole = this.#nodeOf.size === new Set(this.#options.shards.slots).size
    return isWhole && this.#moving === 0 && [...this.#nodes.values()].every(({ isConnected }) => isConnected)
  }

  onMessage(prefix: string, handler: MessageHandler): void {
    this.#handlers.push({ prefix, handler })
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener)
  }

  async add(name: string): Promise<void> {
    this.#wanted.add(name)
    const { channel, slot } = this.#options.shards.placeOf(name)
    await this.#at(slot)?.add(channel)
  }

  remove(name: string): void {
    this.#wanted.delete(name)
    const { channel, slot } = this.#options.shards.placeOf(name)
    this.#at(slot)?.remove(channel)
  }

  close(): void {
    this.#isClosed = true
    for (const subscriptions of this.#nodes.values()) subscriptions.close()
  }

  #at(slot: number): Subscriptions | undefined {
    return this.#nodes.get(this.#nodeOf.get(slot) ?? '')
  }

  /** Asks for everything where it is now. */
  async #move(): Promise<void> {
    if (this.#isClosed) return
    const { topology, shards } = this.#options
    const before = this.#nodeOf
    const now = shards.slots.flatMap((slot) => {
      const node = topology.nodeOf(slot)
      return node === undefined ? [] : ([[slot, node]] as const)
    })
    this.#nodeOf = new Map(now)
    this.#moving += 1
    this.#connectTo(new Set(this.#nodeOf.values()))
    const places = [...this.#wanted].map((name) => shards.placeOf(name))
    const moved = places.filter(({ slot }) => before.get(slot) !== this.#nodeOf.get(slot))
    for (const { channel, slot } of moved) this.#nodes.get(before.get(slot) ?? '')?.remove(channel)
    await Promise.all(moved.map(({ channel, slot }) => this.#at(slot)?.add(channel)))
    this.#moving -= 1
    if (this.#moving === 0 && !this.#isClosed) this.#tellGap()
  }

  #connectTo(nodes: ReadonlySet<string>): void {
    for (const [node, subscriptions] of this.#nodes) {
      if (nodes.has(node)) continue
      subscriptions.close()
      this.#nodes.delete(node)
    }
    for (const node of nodes) if (!this.#nodes.has(node)) this.#nodes.set(node, this.#open(node))
  }

  #open(node: string): Subscriptions {
    const subscriptions = this.#options.open(node)
    subscriptions.onMessage('', (channel, payload) => this.#dispatch(channel, payload))
    subscriptions.onGap(() => this.#tellGap())
    return subscriptions
  }

  #dispatch(channel: string, payload: string): void {
    const name = this.#options.shards.nameOf(channel)
    for (const { prefix, handler } of this.#handlers) {
      if (name.startsWith(prefix)) return handler(name.slice(prefix.length), payload)
    }
  }

  #tellGap(): void {
    for (const listener of this.#gapListeners) listener()
  }
}
