import { ASKED, type Cluster, defineScript, type Redis } from './client.ts'
import { bySlot, type Place, type Shards } from './shards.ts'
import type { Topology } from './topology.ts'

/** Publishes to channels, and tells who hears it. */
export interface Publisher {
  /** Channel and payload by turns, in as few calls as can be. Rejects when any of them was not published. */
  publishAll(pairs: readonly string[]): Promise<void>
  publish(channel: string, payload: string): Promise<void>
  /** How many connections are subscribed to each of these. */
  subscribers(channels: readonly string[]): Promise<number[]>
}

/** ARGV: channel and payload by turns. Redis runs the call without an interleaved command. */
const PUBLISH_ALL = `for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`

/** Through one server. */
export class ServerPublisher implements Publisher {
  readonly #commands: Redis
  readonly #publishAll: ReturnType<typeof defineScript>

  constructor(commands: Redis) {
    this.#commands = commands
    this.#publishAll = defineScript(commands, 'publishAll', PUBLISH_ALL)
  }

  async publishAll(pairs: readonly string[]): Promise<void> {
    await this.#publishAll(...pairs)
  }

  async publish(channel: string, payload: string): Promise<void> {
    await this.#commands.publish(channel, payload)
  }

  async subscribers(channels: readonly string[]): Promise<number[]> {
    return countsIn(await this.#commands.call('PUBSUB', 'NUMSUB', ...channels))
  }
}

/** Of an answer that names channel and count by turns. */
export function countsIn(answer: unknown): number[] {
  const texts: unknown[] = Array.isArray(answer) ? answer : []
  return texts.filter((_, index) => index % 2 === 1).map(Number)
}

/** KEYS: a channel of the shard. ARGV: channel and payload by turns, all of that shard. */
const PUBLISH_SHARD = `for i = 1, #ARGV, 2 do redis.call('SPUBLISH', ARGV[i], ARGV[i + 1]) end`
/** KEYS: a channel of the shard. ARGV: channels of that shard. */
const COUNT_SHARD = `return redis.call('PUBSUB', 'SHARDNUMSUB', unpack(ARGV))`

/** Of calls that are all over: also of those that follow one that failed that has to be known. */
function throwFirst(outcomes: readonly PromiseSettledResult<unknown>[]): void {
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

interface Placed extends Place {
  readonly payload: string
}

/** Through the nodes of a cluster, each shard through its own. */
export class ClusterPublisher implements Publisher {
  readonly #commands: Cluster
  readonly #shards: Shards
  readonly #topology: Pick<Topology, 'nodeOf'>
  readonly #publishShard: ReturnType<typeof defineScript>
  readonly #countShard: ReturnType<typeof defineScript>
  /** By slot, how often a command was sent to where it is moving. */
  readonly #asked = new Map<number, number>()

  constructor(commands: Cluster, shards: Shards, topology: Pick<Topology, 'nodeOf'>) {
    commands.on(ASKED, (slot: number) => {
      this.#asked.set(slot, (this.#asked.get(slot) ?? 0) + 1)
    })
    this.#commands = commands
    this.#shards = shards
    this.#topology = topology
    this.#publishShard = defineScript(commands, 'publishShard', PUBLISH_SHARD, 1)
    this.#countShard = defineScript(commands, 'countShard', COUNT_SHARD, 1)
  }

  async publishAll(pairs: readonly string[]): Promise<void> {
    const placed = pairs.flatMap((name, index) =>
      index % 2 === 0 ? [{ ...this.#shards.placeOf(name), payload: pairs[index + 1] ?? '' }] : [],
    )
    const shards = bySlot(placed, ({ slot }) => slot)
    throwFirst(await Promise.allSettled(shards.map((shard) => this.#publishTogether(shard))))
  }

  /** All of one shard. */
  async #publishTogether(all: readonly Placed[]): Promise<void> {
    const [{ channel, slot } = { channel: '', slot: 0 }] = all
    const before = this.#asked.get(slot)
    const call = this.#publishShard(channel, ...all.flatMap((one) => [one.channel, one.payload]))
    const outcomes = await Promise.allSettled([call])
    // While a slot is half moved a script goes to its new node already, and subscribers are still at the old one, as is SPUBLISH.
    if (this.#asked.get(slot) === before) throwFirst(outcomes)
    else throwFirst(await Promise.allSettled(all.map((one) => this.#commands.spublish(one.channel, one.payload))))
  }

  publish(channel: string, payload: string): Promise<void> {
    return this.publishAll([channel, payload])
  }

  async subscribers(names: readonly string[]): Promise<number[]> {
    const places = names.map((name) => this.#shards.placeOf(name))
    const counts = new Map<string, number>()
    await Promise.all(
      bySlot(places, ({ slot }) => slot).map(async (shard) => {
        const channels = shard.map(({ channel }) => channel)
        const found = await this.#count(shard[0]?.slot ?? 0, channels)
        for (const [index, channel] of channels.entries()) counts.set(channel, found[index] ?? 0)
      }),
    )
    return places.map(({ channel }) => counts.get(channel) ?? 0)
  }

  /** Of channels of one slot. */
  async #count(slot: number, channels: readonly string[]): Promise<number[]> {
    const before = this.#asked.get(slot)
    const found = countsIn(await this.#countShard(channels[0] ?? '', ...channels))
    if (this.#asked.get(slot) === before) return found
    // The script went to where the slot is moving; subscribers go there when it has moved.
    const node = this.#topology.nodeOf(slot)
    const owner = this.#commands.nodes('master').find(({ options }) => `${options.host}:${options.port}` === node)
    const stay = owner ? countsIn(await owner.call('PUBSUB', 'SHARDNUMSUB', ...channels)) : []
    return found.map((count, index) => Math.max(count, stay[index] ?? 0))
  }
}
