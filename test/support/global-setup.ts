import { rm } from 'node:fs/promises'
import type { TestProject } from 'vitest/node'
import { compileSources } from './compiled.ts'
import { startCluster } from './databases.ts'
import { FIGURES_FILE } from './figures.ts'
import { startRedisAs } from './start-redis.ts'

/** Starts what the integration tests share; the returned function is the tear-down. A crash is cleaned up by the watchdogs. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await rm(FIGURES_FILE, { force: true })
  const [compiling, starting, making] = [
    compileSources(),
    startRedisAs(project.getProvidedContext().redisKind ?? 'single'),
    startCluster(),
  ]
  const tearDown = async (): Promise<void> => {
    await Promise.allSettled([
      compiling.then((sources) => sources.remove()),
      starting.then((redis) => redis.stop()),
      making.then((cluster) => cluster.stop()),
    ])
  }
  try {
    project.provide('compiledSources', (await compiling).directory)
    const { env } = await starting
    project.provide('redisEnv', env)
    project.provide('redisUrl', env['REDIS_ADDR'] ?? '')
    project.provide('postgresDsn', (await making).dsn)
    project.provide('madeCluster', (await making).madeCluster)
  } catch (error) {
    await tearDown()
    throw error
  }
  return tearDown
}
