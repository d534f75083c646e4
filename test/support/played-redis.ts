// The Redis of a test that any Redis has to pass: one server in `npm test`, and each other kind in `npm run deploy`.
import { inject } from 'vitest'
import type { RedisSetUp, SetUpKind } from './redis-set-up.ts'
import { startRedisAs } from './start-redis.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Undefined: one server. */
    redisKind: SetUpKind | undefined
  }
}

export const redisKind = (): SetUpKind => inject('redisKind') ?? 'single'

/** One of the test's own, to break. */
export const startRedis = (): Promise<RedisSetUp> => startRedisAs(redisKind())
