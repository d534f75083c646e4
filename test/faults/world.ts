// Everything that can be broken: PostgreSQL, Redis, instances and their links, processes of clients.
import { setTimeout as delay } from 'node:timers/promises'
import type { RedisSetUp, SetUpKind } from '../support/redis-set-up.ts'
import { startRedisAs } from '../support/start-redis.ts'
import type { Build } from './build.ts'
import type { ClientProcess } from './client-process.ts'
import { Cluster } from './cluster.ts'
import { Instance } from './instance.ts'

export interface WorldOptions {
  readonly build: Build
  readonly instances: number
  readonly cluster?: Cluster
  readonly redis?: RedisSetUp
  /** Of the one that it makes without that; one server without. */
  readonly redisKind?: SetUpKind
  /** Instances are linked to PostgreSQL and Redis without the proxies that could break the links. */
  readonly isDirect?: boolean
  readonly env?: Readonly<Record<string, string>>
  /** By how much the limits of its plays are stretched; 1 without. */
  readonly stretch?: number
}

const HEALTHY_LIMIT_MS = 90_000
const POLL_MS = 100
let databases = 0

export class World {
  readonly cluster: Cluster
  readonly redis: RedisSetUp
  readonly instances: readonly Instance[]
  readonly database: string
  readonly stretch: number
  readonly #owns: { readonly cluster: boolean; readonly redis: boolean }
  clients: readonly ClientProcess[] = []
  redisKills = 0

  private constructor(
    servers: { cluster: Cluster; redis: RedisSetUp },
    owns: { cluster: boolean; redis: boolean },
    instances: readonly Instance[],
    database: string,
    stretch: number,
  ) {
    this.cluster = servers.cluster
    this.redis = servers.redis
    this.#owns = owns
    this.instances = instances
    this.database = database
    this.stretch = stretch
  }

  static async create({
    build,
    instances: count,
    isDirect = false,
    env,
    stretch = 1,
    ...given
  }: WorldOptions): Promise<World> {
    const cluster = given.cluster ?? (await Cluster.start())
    const redis = given.redis ?? (await startRedisAs(given.redisKind ?? 'single'))
    databases += 1
    const database = `faults_${databases}`
    await cluster.run(`create database ${database}`)
    const shared = { mainFile: build.mainFile, cluster, redis, database, isDirect, prefix: `${database}:` }
    const instances = await Promise.all(
      Array.from({ length: count }, () => Instance.create({ ...shared, ...(env && { env }) })),
    )
    const owns = { cluster: !given.cluster, redis: !given.redis }
    const world = new World({ cluster, redis }, owns, instances, database, stretch)
    await Promise.all(instances.map((instance) => instance.startAgain()))
    return world
  }

  get ports(): number[] {
    return this.instances.map(({ port }) => port)
  }

  instance(index: number): Instance {
    const instance = this.instances[index]
    if (!instance) throw new Error(`there is no instance ${index}`)
    return instance
  }

  async crashRedis(): Promise<void> {
    this.redisKills += 1
    await this.redis.kill()
  }

  /** Ends every fault, starts whatever is down, and waits until every instance can store. */
  async heal(): Promise<void> {
    for (const instance of this.instances) instance.heal()
    this.redis.thaw()
    await this.cluster.thawAll()
    await this.cluster.startAgain()
    await this.redis.run('PING').catch(async () => {
      await this.redis.kill()
      await this.redis.startAgain()
    })
    await this.redis.run('CONFIG', 'SET', 'maxmemory', 0)
    await this.redis.run('ACL', 'SETUSER', 'default', '+@all')
    await this.redis.run('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60')
    await Promise.all(this.instances.map((instance) => instance.startAgain()))
    for (const client of this.clients) {
      client.thaw()
      client.start()
    }
    await until('every instance to be ready', HEALTHY_LIMIT_MS, async () => {
      const ready = await Promise.all(this.instances.map((instance) => instance.isReady()))
      return ready.every(Boolean)
    })
  }

  /** What instances did that nobody asked for. */
  surprises(): string[] {
    return this.instances.flatMap(({ surprises }) => surprises)
  }

  async close(): Promise<void> {
    for (const client of this.clients) {
      client.thaw()
      await client.kill()
    }
    await Promise.all(this.instances.map((instance) => instance.close()))
    if (this.#owns.redis) await this.redis.stop()
    if (this.#owns.cluster) await this.cluster.remove()
    else await this.cluster.run(`drop database if exists ${this.database} with (force)`)
  }
}

/** Resolves with how long it took; throws when it takes too long. */
export async function until(what: string, limitMs: number, holds: () => Promise<boolean> | boolean): Promise<number> {
  const startedMs = performance.now()
  for (;;) {
    if (await holds()) return performance.now() - startedMs
    if (performance.now() - startedMs > limitMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`)
    await delay(POLL_MS)
  }
}
