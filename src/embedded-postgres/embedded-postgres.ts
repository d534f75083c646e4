// The entrance to this folder: a real PostgreSQL of the service's own, for which nothing has to be installed.
import { readFile, realpath } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errorCode } from '../lib/errors.ts'
import { CLUSTER } from './cluster.ts'
import { DirectoryInUse, findRunning } from './lock-file.ts'
import { dsnOf } from './runtime-dir.ts'
import type { EmbeddedPostgresOptions } from './server.ts'
import { Supervisor } from './supervisor.ts'

export { type BackupManifest, BackupWriter, layBackup, removeLaidBackup } from './backup-files.ts'

/** A PostgreSQL that belongs to this process. */
export interface EmbeddedPostgres {
  /** Connects over a private unix socket as superuser; stays the same when PostgreSQL is started again. */
  readonly dsn: string
  /** Ends all sessions, writes a checkpoint and resolves when PostgreSQL is gone. */
  stop(): Promise<void>
}

/**
 * Starts PostgreSQL on the data directory, starts it again when it ends unasked, and ends it with this process. Resolves when it
 * accepts connections. Rejects when another service uses the directory, or when it does not start there.
 */
export function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return Supervisor.start(options)
}

/** Whether a data directory holds a cluster, be it one that this user may not read. */
export async function hasCluster(dataDir: string): Promise<boolean> {
  const version = readFile(join(await clusterIn(dataDir), 'PG_VERSION'))
  return version.then(
    () => true,
    (error: unknown) => !['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? ''),
  )
}

export interface ReachOptions extends EmbeddedPostgresOptions {
  /** Makes a PostgreSQL where there is none, as the first start of a service does, and says so at warn. */
  readonly mayBegin?: boolean
}

const READY_LIMIT_MS = 30_000
const READY_POLL_MS = 50

/**
 * For one command beside the service: connects to the PostgreSQL of the service that runs on the data directory, or starts one
 * when none does, under the same lock; no service can start there until `stop`. `stop` leaves the service's own alone. Rejects
 * when there is nothing yet, unless it may begin, and when the service's PostgreSQL does not become ready within half a minute.
 */
export async function reachEmbeddedPostgres(options: ReachOptions): Promise<EmbeddedPostgres> {
  if (!(await hasCluster(options.dataDir))) {
    if (!options.mayBegin) throw new Error(nothingIn(options.dataDir))
    // A person may be in another directory than the service, or lack its variables.
    options.logger.warn(
      { data_dir: resolve(options.dataDir) },
      'no PostgreSQL of the service was here; a new one is made',
    )
  }
  const startedMs = Date.now()
  for (;;) {
    const running = await findRunning(await clusterIn(options.dataDir))
    if (running?.isReady) return { dsn: dsnOf(running.socketDir), stop: () => Promise.resolve() }
    try {
      if (!running) return await startEmbeddedPostgres(options)
    } catch (error) {
      // A service that started in this moment; its server is the one to use.
      if (!(error instanceof DirectoryInUse)) throw error
    }
    if (Date.now() - startedMs > READY_LIMIT_MS) {
      throw new Error(`The PostgreSQL of the service on ${options.dataDir} does not accept connections`)
    }
    await delay(READY_POLL_MS)
  }
}

/** A person may be in another directory, or lack the variables of the service. */
function nothingIn(dataDir: string): string {
  return (
    `${resolve(dataDir)} holds no PostgreSQL of this service. Give the command the DATA_DIR or POSTGRES_DSN of the service, ` +
    'or start the service once.'
  )
}

/** As the server names it to itself. */
async function clusterIn(dataDir: string): Promise<string> {
  return join(await realpath(dataDir).catch(() => dataDir), CLUSTER)
}
