// A Redis Cluster of three primaries, each with a replica or none, as plain processes.
import { slotOf } from '../../src/redis/shards.ts'
import { eventually } from './cluster-instance.ts'
import { RedisServer } from './redis.ts'
import type { RedisSetUp } from './redis-set-up.ts'

const SLOTS = 16_384
const PRIMARIES = 3
/** What is asked of every server; all else is about keys of presence. */
const OF_SERVERS: ReadonlySet<string> = new Set(['ACL', 'CLIENT', 'CONFIG', 'FLUSHALL', 'INFO', 'PING'])

export interface RedisClusterOptions {
  /** Each primary has one that takes its place. */
  readonly hasReplicas: boolean
  /** How long a node is missed before it is replaced. */
  readonly nodeTimeoutMs: number
}

export class RedisCluster implements RedisSetUp {
  readonly nodes: readonly RedisServer[]

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
  }

  static async start({ hasReplicas, nodeTimeoutMs }: RedisClusterOptions): Promise<RedisCluster> {
    const count = PRIMARIES * (hasReplicas ? 2 : 1)
    const nodes: RedisServer[] = []
    // One after the other: each looks for a port of its own, and for one of the bus.
    for (let index = 0; index < count; index += 1) nodes.push(await RedisServer.start(settings(nodeTimeoutMs)))
    const cluster = new RedisCluster(nodes)
    await cluster.#form(hasReplicas)
    return cluster
  }

  /** As the service is told. */
  get env() {
    const [first, ...others] = this.nodes.map(({ port }) => `127.0.0.1:${port}`)
    return { REDIS_ADDR: first ?? '', REDIS_CLUSTER: others.join(',') }
  }

  /** The primary of this slot, by what the first of those asked knows that answers. */
  async primaryOf(slot: number, asked = this.nodes): Promise<RedisServer> {
    for (const node of asked) {
      const ranges = await node.run('CLUSTER', 'SLOTS').catch(() => [])
      for (const [first, last, [, port]] of ranges as [number, number, [string, number]][]) {
        const found = this.nodes.find((one) => one.port === port)
        if (slot >= first && slot <= last && found) return found
      }
    }
    throw new Error(`nobody has the slot ${slot}`)
  }

  async run(command: string, ...args: (string | number)[]): Promise<unknown> {
    if (OF_SERVERS.has(command)) return (await this.all(command, ...args))[0]
    const [key = '', ...others] = args
    const primary = await this.primaryOf(slotOf(PRESENCE))
    return primary.run(command, inPlace(String(key)), ...others)
  }

  /** Of the primaries as they were at the start. */
  all(command: string, ...args: (string | number)[]): Promise<unknown[]> {
    return Promise.all(this.nodes.slice(0, PRIMARIES).map((node) => node.run(command, ...args)))
  }

  async kill(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
  }
  async killPart(): Promise<void> {
    await (await this.primaryOf(slotOf(PRESENCE))).kill()
  }
  async startAgain(): Promise<void> {
    await Promise.all(this.nodes.filter((node) => !node.isRunning).map((node) => node.startAgain()))
  }
  freeze(): void {
    for (const node of this.nodes) node.freeze()
  }
  thaw(): void {
    for (const node of this.nodes) node.thaw()
  }
  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }

  /**
   * Moves a slot to another primary as `redis-cli --cluster reshard` does; `meanwhile` while it is half moved: before the first key has
   * gone, after half of them, and after the last. Like it, fails when a key is on both nodes.
   */
  async reshard(slot: number, meanwhile: () => Promise<void>): Promise<void> {
    const from = await this.primaryOf(slot)
    const to = await this.primaryOf((slot + SLOTS / PRIMARIES) % SLOTS)
    const [fromId, toId] = [String(await from.run('CLUSTER', 'MYID')), String(await to.run('CLUSTER', 'MYID'))]
    await to.run('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.run('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    await meanwhile()
    const inSlot = async (): Promise<string[]> =>
      ((await from.run('CLUSTER', 'GETKEYSINSLOT', slot, 1_000)) as string[]).sort()
    const migrate = async (keys: readonly string[]): Promise<void> => {
      for (const key of keys) await from.run('MIGRATE', '127.0.0.1', to.port, key, 0, 5_000)
    }
    const keys = await inSlot()
    await migrate(keys.slice(0, Math.ceil(keys.length / 2)))
    if (keys.length > 1) await meanwhile()
    for (let left = await inSlot(); left.length > 0; left = await inSlot()) await migrate(left)
    await meanwhile()
    // The new owner first, so that the slot is never without one.
    for (const node of [to, from]) await node.run('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
  }

  async #form(hasReplicas: boolean): Promise<void> {
    const primaries = this.nodes.slice(0, PRIMARIES)
    const share = SLOTS / PRIMARIES
    await Promise.all(
      primaries.map((node, index) =>
        node.run('CLUSTER', 'ADDSLOTSRANGE', Math.ceil(index * share), Math.ceil((index + 1) * share) - 1),
      ),
    )
    await Promise.all(this.nodes.map((node, index) => node.run('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)))
    const [first, ...others] = this.nodes
    for (const { port } of others) await first?.run('CLUSTER', 'MEET', '127.0.0.1', port)
    const know = (count: number): Promise<void> =>
      eventually(() => this.#all(new RegExp(`cluster_known_nodes:${count}\\b`)), 'nodes that know each other')
    await know(this.nodes.length)
    if (hasReplicas) await this.#replicate()
    await eventually(() => this.#all(/cluster_state:ok/), 'a cluster that works')
  }

  async #replicate(): Promise<void> {
    for (const [index, replica] of this.nodes.slice(PRIMARIES).entries()) {
      const id = String(await this.nodes[index]?.run('CLUSTER', 'MYID'))
      await eventually(() => replica.run('CLUSTER', 'REPLICATE', id).then(Boolean), 'a replica')
    }
    const isLinked = async (replica: RedisServer): Promise<boolean> =>
      String(await replica.run('INFO', 'replication')).includes('master_link_status:up')
    const areLinked = async (): Promise<boolean> =>
      (await Promise.all(this.nodes.slice(PRIMARIES).map(isLinked))).every(Boolean)
    await eventually(areLinked, 'replicas that have everything')
  }

  async #all(wanted: RegExp): Promise<boolean> {
    const texts = await Promise.all(this.nodes.map((node) => node.run('CLUSTER', 'INFO')))
    return texts.every((text) => wanted.test(String(text)))
  }
}

const PRESENCE = 'presence'

/** As the service names a key of presence here; what was read here has that name. */
function inPlace(key: string): string {
  return key.includes('{') ? key : key.replace(':', `:{${PRESENCE}}:`)
}

function settings(nodeTimeoutMs: number): string[] {
  const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)]
  // A replica that was linked a moment ago may follow, and a part of the cluster works by itself.
  return [...cluster, '--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0']
}
