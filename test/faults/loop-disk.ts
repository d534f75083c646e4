// A file system in a file, whose power can be cut: whatever it was not told to flush by then is gone.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Missing, requireProgram, requireRoot } from './missing.ts'

const run = promisify(execFile)

export type FileSystem = 'ext4' | 'xfs'

const SIZE_BYTES = 2 * 2 ** 30
const UNMOUNT_ATTEMPTS = 100
const UNMOUNT_GAP_MS = 50
/** Neither journal nor data are written by themselves for long, so that what nobody flushed is really not there. */
const OPTIONS: Readonly<Record<FileSystem, string>> = { ext4: 'loop,commit=300', xfs: 'loop' }

export async function requireLoopDisks(): Promise<void> {
  requireRoot('a power cut')
  if (!existsSync('/dev/loop-control')) throw new Missing('a power cut needs loop devices')
  await requireProgram('xfs_io', '-V', 'Debian: xfsprogs')
  await requireProgram('mkfs.ext4', '-V', 'Debian: e2fsprogs')
  await requireProgram('mkfs.xfs', '-V', 'Debian: xfsprogs')
}

export class LoopDisk {
  /** Where it is mounted. */
  readonly path: string
  readonly #directory: string
  readonly #image: string
  readonly #fileSystem: FileSystem

  private constructor(directory: string, fileSystem: FileSystem) {
    this.#directory = directory
    this.#image = join(directory, 'image')
    this.path = join(directory, 'mounted')
    this.#fileSystem = fileSystem
  }

  static async create(fileSystem: FileSystem): Promise<LoopDisk> {
    const disk = new LoopDisk(await mkdtemp(join(tmpdir(), 'messaging-faults-disk-')), fileSystem)
    // PostgreSQL runs as somebody else and has to pass.
    await run('chmod', ['755', disk.#directory])
    await mkdir(disk.path)
    await writeFile(disk.#image, '')
    await truncate(disk.#image, SIZE_BYTES)
    await run(`mkfs.${fileSystem}`, ['-q', disk.#image])
    await disk.mount()
    return disk
  }

  /** Replays the file system's journal, as at a start after a power cut. */
  async mount(): Promise<void> {
    await run('mount', ['-t', this.#fileSystem, '-o', OPTIONS[this.#fileSystem], this.#image, this.path])
  }

  /** From here on nothing is written any more, the journal included; what runs on it gets EIO. */
  async cutPower(): Promise<void> {
    // XFS_IOC_GOINGDOWN without a flush of the log, which ext4 knows as EXT4_IOC_SHUTDOWN; see xfs_io(8).
    await run('xfs_io', ['-x', '-c', 'shutdown', this.path])
  }

  async flush(): Promise<void> {
    await run('sync', ['-f', this.path])
  }

  /** Killed processes let go of it a little later. */
  async unmount(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await run('umount', [this.path])
        return
      } catch (error) {
        if (attempt === UNMOUNT_ATTEMPTS) throw error
        await delay(UNMOUNT_GAP_MS)
      }
    }
  }

  async remove(): Promise<void> {
    await run('umount', ['-l', this.path]).catch(() => undefined) // it may not be mounted
    await rm(this.#directory, { recursive: true, force: true })
  }
}
