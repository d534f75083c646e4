// A primary of Redis, its replica, and sentinels that make the replica the primary when they miss the first one.

import type { Certificate } from './certificate.ts'
import { eventually } from './cluster-instance.ts'
import { RedisServer } from './redis.ts'
import type { RedisSetUp } from './redis-set-up.ts'

const NAME = 'mymaster'
/** Without waiting for more replicas, and for the next ping. */
const REPLICATION = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1']

export interface SentinelOptions {
  readonly sentinels: number
  /** How long the primary is missed before it is replaced. */
  readonly downAfterMs: number
  readonly tls?: Certificate
}

export class RedisWithSentinels implements RedisSetUp {
  readonly servers: readonly [RedisServer, RedisServer]
  readonly sentinels: readonly RedisServer[]
  readonly #scheme: string

  private constructor(servers: readonly [RedisServer, RedisServer], sentinels: readonly RedisServer[], scheme: string) {
    this.servers = servers
    this.sentinels = sentinels
    this.#scheme = scheme
  }

  static async start({ sentinels: count, downAfterMs, tls }: SentinelOptions): Promise<RedisWithSentinels> {
    const kind = tls ? { tls } : {}
    const replication = [...REPLICATION, ...(tls ? ['--tls-replication', 'yes'] : [])]
    const first = await RedisServer.start(replication, kind)
    const second = await RedisServer.start([...replication, '--replicaof', '127.0.0.1', String(first.port)], kind)
    const settings = [
      `sentinel monitor ${NAME} 127.0.0.1 ${first.port} ${Math.floor(count / 2) + 1}`,
      `sentinel down-after-milliseconds ${NAME} ${downAfterMs}`,
      `sentinel failover-timeout ${NAME} ${downAfterMs * 4}`,
      ...(tls ? ['tls-replication yes'] : []),
    ]
    const sentinel = `${settings.join('\n')}\n`
    const sentinels = await Promise.all(
      Array.from({ length: count }, () => RedisServer.start([], { ...kind, sentinel })),
    )
    const all = new RedisWithSentinels([first, second], sentinels, tls ? 'rediss' : 'redis')
    await all.#complete()
    return all
  }

  /** As the service is told. */
  get env() {
    return { REDIS_ADDR: `${this.#scheme}://${NAME}`, REDIS_SENTINELS: this.sentinels.map(({ url }) => url).join(',') }
  }

  /** The server that the sentinels call the primary. */
  async named(): Promise<RedisServer> {
    const answer = await this.#ask('get-master-addr-by-name')
    const server = this.servers.find(({ port }) => String(port) === (answer as string[])[1])
    if (!server) throw new Error('there is no primary')
    return server
  }

  /** It, when it agrees. */
  async primary(): Promise<RedisServer> {
    const server = await this.named()
    const [role] = (await server.run('ROLE')) as string[]
    if (role !== 'master') throw new Error('the primary has not heard of it yet')
    return server
  }

  /** Makes the other one the primary, without anything being wrong. */
  async failOver(): Promise<void> {
    await this.#ask('failover')
  }

  /** At the server that the sentinels call the primary. */
  async run(command: string, ...args: (string | number)[]): Promise<unknown> {
    return (await this.named()).run(command, ...args)
  }
  async all(command: string, ...args: (string | number)[]): Promise<unknown[]> {
    return [await this.run(command, ...args)]
  }

  /** The sentinels stay. */
  async kill(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()))
  }
  async killPart(): Promise<void> {
    await (await this.named()).kill()
  }
  async startAgain(): Promise<void> {
    await Promise.all(this.servers.filter((server) => !server.isRunning).map((server) => server.startAgain()))
  }
  freeze(): void {
    for (const server of this.servers) server.freeze()
  }
  thaw(): void {
    for (const server of this.servers) server.thaw()
  }
  async stop(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.stop()))
  }

  async #ask(what: string): Promise<unknown> {
    return this.sentinels[0]?.run('SENTINEL', what, NAME)
  }

  /** The replica has what the primary has, and every sentinel knows everybody. */
  async #complete(): Promise<void> {
    await eventually(async () => {
      const info = String(await this.servers[1].run('INFO', 'replication'))
      if (!info.includes('master_link_status:up')) return false
      const known = await Promise.all(this.sentinels.map((sentinel) => sentinel.run('INFO', 'sentinel')))
      if (!known.every((text) => String(text).includes(`slaves=1,sentinels=${this.sentinels.length}`))) return false
      // Until a sentinel has asked the replica itself, it takes it for one that must not be promoted.
      const asked = await Promise.all(this.sentinels.map((sentinel) => sentinel.run('SENTINEL', 'replicas', NAME)))
      return asked.every((replicas) => /"master-link-status"[,:]"ok"/.test(JSON.stringify(replicas)))
    }, 'sentinels that know each other')
  }
}
