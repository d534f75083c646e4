import type { TestProject } from 'vitest/node'
import { startCluster } from './databases.ts'
import { RedisServer } from './redis.ts'

/** Starts what the integration tests share; the returned function is the tear-down. A crash is cleaned up by the watchdogs. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = await RedisServer.start()
  const cluster = await startCluster().catch(async (error) => {
    await redis.stop()
    throw error
  })
  project.provide('postgresDsn', cluster.dsn)
  project.provide('redisUrl', redis.url)
  return async () => {
    await redis.stop()
    await cluster.stop()
  }
}
