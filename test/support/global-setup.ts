import type { TestProject } from 'vitest/node'
import { startCluster } from './databases.ts'

/** Starts what the integration tests share; the returned function is the tear-down. A crash is cleaned up by the watchdog. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startCluster()
  project.provide('postgresDsn', cluster.dsn)
  return cluster.stop
}
