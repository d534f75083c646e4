// Starts Redis as one of the ways in which people have it.
import { valkeyOfDebian13 } from './debian13.ts'
import { RedisServer } from './redis.ts'
import { RedisCluster } from './redis-cluster.ts'
import { RedisWithSentinels } from './redis-sentinel.ts'
import type { RedisSetUp, SetUpKind } from './redis-set-up.ts'

/** Long enough that no server is replaced in a play that breaks all of them. */
const NEVER_REPLACED_MS = 60_000

const STARTERS: Readonly<Record<SetUpKind, () => Promise<RedisSetUp>>> = {
  single: () => RedisServer.start(),
  cluster: () => RedisCluster.start({ hasReplicas: false, nodeTimeoutMs: NEVER_REPLACED_MS }),
  sentinels: () => RedisWithSentinels.start({ sentinels: 1, downAfterMs: NEVER_REPLACED_MS }),
  valkey: async () => RedisServer.start([], { program: await valkeyOfDebian13() }),
}

/** Empty. */
export const startRedisAs = (kind: SetUpKind): Promise<RedisSetUp> => STARTERS[kind]()
