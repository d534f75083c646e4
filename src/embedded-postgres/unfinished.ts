// Directories that are filled under a name of their own before they get the one that makes them count.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readlink, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type DirectoryLock, holdLock } from './directory-lock.ts'
import { isRunning, processToken } from './process-state.ts'

/** One that this process fills. Its lock says so in every container that sees the directory, and goes with the process. */
export class UnfinishedDirectory {
  readonly path: string
  readonly #lock: DirectoryLock | undefined

  private constructor(path: string, lock: DirectoryLock | undefined) {
    this.path = path
    this.#lock = lock
  }

  /** Makes an empty one; all of a kind have the same beginning. */
  static async make(parent: string, beginning: string): Promise<UnfinishedDirectory> {
    const path = join(parent, `${beginning}${await processToken(process.pid)}-${await namespace()}-${newRandom()}`)
    await mkdir(path, { mode: 0o700 })
    const lock = await holdLock(path)
    if (lock === 'held') throw new Error(`${path} was taken for a leftover by another process.`)
    return new UnfinishedDirectory(path, lock === 'unknown' ? undefined : lock)
  }

  /** Gives it its name. Its lock is given up then, whatever comes of it. */
  async rename(to: string): Promise<void> {
    try {
      await rename(this.path, to)
    } finally {
      await this.#lock?.release()
    }
  }

  /** Removes what has not got its name. */
  async abandon(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
    await this.#lock?.release()
  }
}

interface Leftovers {
  readonly removed: readonly string[]
  /** Of a living process, or of one of which nothing can be told. */
  readonly kept: readonly string[]
}

/** Removes directories of this kind whose process has ended. */
export async function removeInterrupted(parent: string, beginning: string): Promise<Leftovers> {
  const names = await readdir(parent).catch(() => [])
  const removed: string[] = []
  const kept: string[] = []
  for (const name of names.filter((one) => one.startsWith(beginning))) {
    const path = join(parent, name)
    const isGone = await removeIfDead(path, name.slice(beginning.length))
    ;(isGone ? removed : kept).push(path)
  }
  return { removed, kept }
}

/** By its lock; where there are no locks, by its process, which is in sight of the same namespace alone. */
async function removeIfDead(path: string, name: string): Promise<boolean> {
  if (await isRunning(name)) return false
  const lock = await holdLock(path)
  if (lock === 'held') return false
  if (lock === 'unknown' && name.split('-')[2] !== (await namespace())) return false
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 5 })
  } finally {
    if (lock !== 'unknown') await lock.release()
  }
  return true
}

function newRandom(): string {
  return randomBytes(8).toString('hex')
}

/** In which numbers of processes mean something: pid_namespaces(7). Elsewhere there is one. */
async function namespace(): Promise<string> {
  const link = await readlink('/proc/self/ns/pid').catch(() => '')
  return /\d+/.exec(link)?.[0] ?? '0'
}
