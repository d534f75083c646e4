// Redis as one of the ways in which people have it, behind one face: what any of them must stand is written once.

/** One server; a cluster of three primaries; a primary and a replica that sentinels watch. */
export const REDIS_KINDS = ['single', 'cluster', 'sentinels'] as const
export type SetUpKind = (typeof REDIS_KINDS)[number]

/** All of its servers are killed, frozen and started together: what takes the place of a lost one is played elsewhere. */
export interface RedisSetUp {
  /** As the service is told. */
  readonly env: Readonly<Record<string, string>>
  /** Of the only server: a proxy can stand before it. */
  readonly port?: number
  kill(): Promise<void>
  startAgain(): Promise<void>
  freeze(): void
  thaw(): void
  stop(): Promise<void>
  /**
   * A command about keys goes where presence has its keys, which are named as one server has them; any other goes to every server that
   * takes writes, and the first one's answer counts.
   */
  run(command: string, ...args: (string | number)[]): Promise<unknown>
  /** The answers of every server that takes writes. */
  all(command: string, ...args: (string | number)[]): Promise<unknown[]>
}

/** Long enough that no server is replaced in a play that breaks all of them. */
const NEVER_REPLACED_MS = 60_000

/** Starts Redis of this kind, empty. */
export async function startRedisAs(kind: SetUpKind): Promise<RedisSetUp> {
  if (kind === 'cluster') {
    const { RedisCluster } = await import('./redis-cluster.ts')
    return RedisCluster.start({ hasReplicas: false, nodeTimeoutMs: NEVER_REPLACED_MS })
  }
  if (kind === 'sentinels') {
    const { RedisWithSentinels } = await import('./redis-sentinel.ts')
    return RedisWithSentinels.start({ sentinels: 1, downAfterMs: NEVER_REPLACED_MS })
  }
  const { RedisServer } = await import('./redis.ts')
  return RedisServer.start()
}
