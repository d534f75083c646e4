// A Redis Cluster of three primaries, each with a replica or none, as plain processes.
import { eventually } from './cluster-instance.ts'
import { RedisServer } from './redis.ts'

const SLOTS = 16_384
const PRIMARIES = 3

export interface RedisClusterOptions {
  /** Each primary has one that takes its place. */
  readonly hasReplicas: boolean
  /** How long a node is missed before it is replaced. */
  readonly nodeTimeoutMs: number
}

export class RedisCluster {
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
  get env(): { readonly REDIS_ADDR: string; readonly REDIS_CLUSTER: string } {
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

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
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

function settings(nodeTimeoutMs: number): string[] {
  const cluster = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(nodeTimeoutMs)]
  // A replica that was linked a moment ago may follow, and a part of the cluster works by itself.
  return [...cluster, '--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0']
}
