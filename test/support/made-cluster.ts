// A cluster of PostgreSQL made once and copied: to make one takes a second of CPU time. All copies are one cluster to whoever asks for
// its identifier.
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { accountFor } from '../../src/embedded-postgres/account.ts'
import { locateNativeDir, prepareBinaries } from '../../src/embedded-postgres/binaries.ts'
import { CLUSTER, ensureCluster } from '../../src/embedded-postgres/cluster.ts'
import { makeRuntimeDir } from '../../src/embedded-postgres/runtime-dir.ts'
import { silentLogger } from './silent-logger.ts'

const run = promisify(execFile)

/** Makes a cluster in a data directory, and starts nothing on it. */
export async function makeCluster(dataDir: string): Promise<void> {
  const account = await accountFor(join(dataDir, CLUSTER))
  const runtimeDir = await makeRuntimeDir(account)
  try {
    const binaries = await prepareBinaries(locateNativeDir(), { runtimeDir, account, logger: silentLogger })
    await ensureCluster(dataDir, { binaries, account, logger: silentLogger })
  } finally {
    await rm(runtimeDir, { recursive: true, force: true })
  }
}

/** Puts a copy of a cluster on which nothing runs into another data directory, with its owner and its modes. */
export async function copyCluster(fromDataDir: string, toDataDir: string): Promise<void> {
  await run('cp', ['-a', join(fromDataDir, CLUSTER), join(toDataDir, CLUSTER)])
}
