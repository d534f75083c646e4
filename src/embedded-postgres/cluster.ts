import { execFile } from 'node:child_process'
import { chown, open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode, reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { type Account, giveTo } from './account.ts'
import { type Binaries, CHILD_ENVIRONMENT } from './binaries.ts'
import { removeInterrupted, UnfinishedDirectory } from './unfinished.ts'

const run = promisify(execFile)
const UNFINISHED = 'initdb-'

/** The name of the cluster's directory inside the data directory. */
export const CLUSTER = 'postgres'

/**
 * How PostgreSQL is told its data directory. Its account may be unable to pass the parents of the directory (a clone
 * under /root), and it always changes to the path it was given; through /proc/self/cwd the kernel takes it there
 * without looking at the parents, because the child was already put there while it was still root.
 */
export function directoryArgument(clusterDir: string, account: Account | undefined): string {
  return account && process.platform === 'linux' ? '/proc/self/cwd' : clusterDir
}

/** Makes the cluster unless it exists. An interrupted attempt is never mistaken for a cluster: the last step renames. */
export async function ensureCluster(
  dataDir: string,
  context: { binaries: Binaries; account: Account | undefined; logger: Logger },
): Promise<string> {
  const clusterDir = join(dataDir, CLUSTER)
  await removeUnfinished(dataDir, context.logger)
  if (await existingVersion(clusterDir, context.binaries.majorVersion)) {
    // A cluster restored from a backup by root.
    if (context.account && (await stat(clusterDir)).uid === 0) await giveTo(context.account, clusterDir)
    return clusterDir
  }
  const unfinished = await unfinishedCluster(dataDir)
  try {
    if (context.account) await chown(unfinished.path, context.account.uid, context.account.gid)
    await initialise(unfinished.path, context)
    await moveIntoPlace(unfinished, clusterDir)
  } catch (error) {
    await unfinished.abandon()
    throw error
  }
  await syncPath(dataDir)
  return clusterDir
}

/** Where a cluster is made before it gets its name; what a process that has ended left there is removed by the next start. */
export function unfinishedCluster(dataDir: string): Promise<UnfinishedDirectory> {
  return UnfinishedDirectory.make(dataDir, UNFINISHED)
}

async function existingVersion(clusterDir: string, majorVersion: number): Promise<boolean> {
  let version: string
  try {
    version = (await readFile(join(clusterDir, 'PG_VERSION'), 'utf8')).trim()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw new Error(`${clusterDir} cannot be read by this user: run the service as the user that made it.`, {
      cause: error,
    })
  }
  if (Number(version) === majorVersion) return true
  throw new Error(
    `${clusterDir} was made by PostgreSQL ${version}, this service brings PostgreSQL ${majorVersion}. ` +
      'Dump it with the old version and restore it with the new one, or set POSTGRES_DSN.',
  )
}

async function initialise(
  directory: string,
  { binaries, account, logger }: { binaries: Binaries; account: Account | undefined; logger: Logger },
): Promise<void> {
  logger.info({ directory }, 'making a new PostgreSQL cluster')
  const options = [
    ...['-D', directoryArgument(directory, account), '--username=postgres', '--no-instructions'],
    // The built-in provider: the same UTF-8 order everywhere, and no index changes with the system's libc.
    ...['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    // The socket's directory admits its owner only; TCP stays shut even if somebody starts the cluster by hand.
    ...['--auth-local=trust', '--auth-host=reject'],
  ]
  try {
    await run(binaries.initdb, options, { ...account, cwd: directory, env: CHILD_ENVIRONMENT })
  } catch (error) {
    throw new Error(`PostgreSQL could not make its cluster: ${reasonOf(error)}`)
  }
}

async function moveIntoPlace(unfinished: UnfinishedDirectory, clusterDir: string): Promise<void> {
  try {
    await unfinished.rename(clusterDir)
  } catch (error) {
    const taken = errorCode(error) === 'ENOTEMPTY' || errorCode(error) === 'EEXIST'
    await unfinished.abandon()
    // Another service on the same data directory was faster; only one of the two will get to start it.
    if (taken && (await readdir(clusterDir)).includes('PG_VERSION')) return
    throw new Error(`${clusterDir} is in the way: it is no PostgreSQL cluster. Move it or choose another DATA_DIR.`, {
      cause: error,
    })
  }
}

async function removeUnfinished(dataDir: string, logger: Logger): Promise<void> {
  const { removed } = await removeInterrupted(dataDir, UNFINISHED)
  for (const directory of removed) logger.warn({ directory }, 'removed an interrupted initdb')
}

/** Makes what was written to a directory, such as a rename, or to a file survive a power cut. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
