// The files of a cluster, out to a backup and back.
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorCode } from '../lib/errors.ts'
import { accountFor, giveTo } from './account.ts'
import { CLUSTER, syncPath, unfinishedCluster } from './cluster.ts'
import { holdLock } from './directory-lock.ts'
import { removeInterrupted, UnfinishedDirectory } from './unfinished.ts'

/** One file of a backup. */
export interface BackupFile {
  /** Inside the cluster. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

export interface BackupManifest {
  /** Of this file. */
  readonly format: 1
  /** Version of the service that made it. */
  readonly version: string
  /** Version of PostgreSQL. */
  readonly postgres: string
  /** When it was begun; what it holds is newer, up to its end. */
  readonly began_at: string
  readonly files: readonly BackupFile[]
}

const MANIFEST = 'manifest.json'
const BACKUP_CLUSTER = 'postgres'
/** What tells it from others follows. */
const UNFINISHED = '.unfinished-'
const CHUNK_BYTES = 2 ** 20
const SYNCED_AT_ONCE = 8

/** Whose contents a backup leaves out, and what it leaves out anywhere (PostgreSQL 18, 25.3.4.4). The log is copied by itself. */
const EMPTIED = [
  ...['pg_wal', 'pg_replslot', 'pg_dynshmem', 'pg_notify', 'pg_serial', 'pg_snapshots', 'pg_stat_tmp', 'pg_subtrans'],
]
const LEFT_OUT = /^(postmaster\.(pid|opts)|pgsql_tmp.*|pg_internal\.init.*|backup_label.*|tablespace_map.*|.*\.signal)$/

/**
 * Recovery from an archive, of which there is nothing beside the files of the log that came with the backup. Without `hot_standby`
 * the server takes no connection, and so does not look ready, before recovery has come to its end.
 */
const RECOVERY = "restore_command = 'false'\nhot_standby = off\n"

/** A backup that is being written. Nothing stands under its name before `finish`. */
export class BackupWriter {
  readonly #clusterDir: string
  readonly #target: string
  readonly #directory: UnfinishedDirectory
  readonly #files: BackupFile[] = []

  private constructor(clusterDir: string, target: string, directory: UnfinishedDirectory) {
    this.#clusterDir = clusterDir
    this.#target = target
    this.#directory = directory
  }

  /** Rejects when there is something under the name already, or another living process writes it. */
  static async begin(dataDir: string, target: string): Promise<BackupWriter> {
    if (await exists(target)) throw new Error(`${target} is there already: name a directory that is not.`)
    const [parent, beginning] = [dirname(target), basename(target) + UNFINISHED]
    const [living] = (await removeInterrupted(parent, beginning)).kept
    if (living !== undefined) {
      throw new Error(`${target} is being written, into ${living}. Remove that only if no other backup runs anywhere.`)
    }
    await mkdir(parent, { recursive: true, mode: 0o700 })
    const directory = await UnfinishedDirectory.make(parent, beginning)
    await mkdir(join(directory.path, BACKUP_CLUSTER), { mode: 0o700 })
    return new BackupWriter(join(dataDir, CLUSTER), target, directory)
  }

  /** Copies everything but the log, while the server may write: what is torn is mended from the log. */
  async copyData(): Promise<void> {
    await this.#copyDirectory('')
  }

  /** Copies files of the log; one that is missing is an error. */
  async copyLog(names: readonly string[]): Promise<void> {
    for (const name of names) {
      if (!(await this.#copyFile(join('pg_wal', name)))) throw new Error(`the log has no file ${name} any more`)
    }
  }

  /** Names of files of the log that say how a timeline came about. */
  async timelineHistories(): Promise<string[]> {
    return (await readdir(join(this.#clusterDir, 'pg_wal'))).filter((name) => name.endsWith('.history'))
  }

  async write(path: string, text: string): Promise<void> {
    const bytes = Buffer.from(text)
    await writeSynced(this.#to(path), bytes)
    this.#note(path, bytes.length, createHash('sha256').update(bytes).digest('hex'))
  }

  /** Writes what the backup is made of, and gives it its name. */
  async finish(about: Omit<BackupManifest, 'files' | 'format'>): Promise<BackupManifest> {
    const manifest: BackupManifest = { format: 1, ...about, files: this.#files }
    await syncTree(join(this.#directory.path, BACKUP_CLUSTER))
    await writeSynced(join(this.#directory.path, MANIFEST), Buffer.from(JSON.stringify(manifest)))
    await this.#directory.rename(this.#target)
    await syncPath(dirname(this.#target))
    return manifest
  }

  async abandon(): Promise<void> {
    await this.#directory.abandon()
  }

  async #copyDirectory(path: string): Promise<void> {
    for (const entry of await readdir(join(this.#clusterDir, path), { withFileTypes: true })) {
      const inner = join(path, entry.name)
      if (LEFT_OUT.test(entry.name)) continue
      if (entry.isFile()) await this.#copyFile(inner)
      else if (EMPTIED.includes(inner)) await mkdir(this.#to(inner), { mode: 0o700 })
      else if (entry.isDirectory()) {
        await mkdir(this.#to(inner), { mode: 0o700 })
        await this.#copyDirectory(inner)
      } else if (entry.isSymbolicLink()) {
        throw new Error(
          `${join(this.#clusterDir, inner)} lies elsewhere; such a cluster is not backed up by this command.`,
        )
      }
    }
  }

  /** False when the server has removed it meanwhile. */
  async #copyFile(path: string): Promise<boolean> {
    const source = await open(join(this.#clusterDir, path), 'r').catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    })
    if (!source) return false
    // That there is nothing to write into is another matter, and fails.
    const { bytes, sha256 } = await copyInto(this.#to(path), source)
    this.#note(path, bytes, sha256)
    return true
  }

  #to(path: string): string {
    return join(this.#directory.path, BACKUP_CLUSTER, path)
  }

  #note(path: string, bytes: number, sha256: string): void {
    this.#files.push({ path, bytes, sha256 })
  }
}

/**
 * Lays a backup into a data directory that holds no cluster, and marks it so that the first start recovers it on a timeline of
 * its own, by which the service knows that history may have changed. Rejects when a file is not as it was, or when there is a
 * cluster already; then nothing is left there.
 */
export async function layBackup(backup: string, dataDir: string): Promise<BackupManifest> {
  const manifest = await readManifest(backup)
  const clusterDir = join(dataDir, CLUSTER)
  if (await exists(clusterDir)) {
    throw new Error(`${clusterDir} is there already. Stop the service, and move it away or choose another DATA_DIR.`)
  }
  await mkdir(dataDir, { recursive: true })
  const unfinished = await unfinishedCluster(dataDir)
  const { path } = unfinished
  try {
    await copyBack(join(backup, BACKUP_CLUSTER), path, manifest)
    await writeSynced(join(path, 'postgresql.auto.conf'), Buffer.from(RECOVERY), 'a')
    await writeSynced(join(path, 'recovery.signal'), Buffer.alloc(0))
    await syncTree(path)
    await giveTo(await accountFor(clusterDir), path)
    await unfinished.rename(clusterDir)
    await syncPath(dataDir)
  } catch (error) {
    await unfinished.abandon()
    throw error
  }
  return manifest
}

/** Takes back what `layBackup` laid, because it could not be started; unless that is because a service has begun to use it. */
export async function removeLaidBackup(dataDir: string): Promise<void> {
  const clusterDir = join(dataDir, CLUSTER)
  const lock = await holdLock(clusterDir)
  if (lock === 'held') return
  await rm(clusterDir, { recursive: true, force: true })
  if (lock !== 'unknown') await lock.release()
}

async function readManifest(backup: string): Promise<BackupManifest> {
  const text = await readFile(join(backup, MANIFEST), 'utf8').catch((error: unknown) => {
    throw new Error(`${backup} is no backup: it has no ${MANIFEST}.`, { cause: error })
  })
  const manifest: BackupManifest = JSON.parse(text)
  if (manifest.format !== 1) throw new Error(`${backup} is of a format that this version does not know.`)
  return manifest
}

async function copyBack(from: string, to: string, { files }: BackupManifest): Promise<void> {
  // Directories without a file are part of a cluster, too.
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const path = join(entry.parentPath, entry.name).slice(from.length + 1)
    await mkdir(join(to, path), { recursive: true, mode: 0o700 })
  }
  for (const { path, bytes, sha256 } of files) {
    const copied = await copyFile(join(from, path), join(to, path))
    if (copied.sha256 === sha256 && copied.bytes === bytes) continue
    throw new Error(`${join(from, path)} is not as it was when the backup was made.`)
  }
}

interface Copied {
  readonly bytes: number
  readonly sha256: string
}

async function copyFile(from: string, to: string): Promise<Copied> {
  return copyInto(to, await open(from, 'r'))
}

/** Closes the source. */
async function copyInto(path: string, source: FileHandle): Promise<Copied> {
  try {
    const target = await open(path, 'w', 0o600)
    try {
      return await pump(source, target)
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/**
 * Makes everything in a directory survive a power cut. After all is written, and several at a time: the kernel has written most of
 * it by itself then, and what is left of one is written with that of others.
 */
async function syncTree(directory: string): Promise<void> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const paths = [directory, ...entries.map((entry) => join(entry.parentPath, entry.name))]
  const syncNext = async (): Promise<void> => {
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) await syncPath(path)
  }
  await Promise.all(Array.from({ length: SYNCED_AT_ONCE }, syncNext))
}

async function pump(source: FileHandle, target: FileHandle): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(CHUNK_BYTES)
  for (let bytes = 0; ; ) {
    const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, bytes)
    if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') }
    const part = buffer.subarray(0, bytesRead)
    hash.update(part)
    await target.writeFile(part)
    bytes += bytesRead
  }
}

async function writeSynced(path: string, bytes: Buffer, flags = 'w'): Promise<void> {
  const handle = await open(path, flags, 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (errorCode(error) === 'ENOENT') return false
      throw error
    },
  )
}
