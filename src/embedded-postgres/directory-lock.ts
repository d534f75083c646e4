// Process numbers and shared memory mean nothing in another container; a lock of the kernel on a directory that both see
// does. Node.js cannot take one, flock(1) of util-linux can.
import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { CHILD_ENVIRONMENT } from './binaries.ts'

const run = promisify(execFile)

/** How a locking command ends when somebody else holds the lock; PostgreSQL itself never ends so. */
export const LOCKED_EXIT_CODE = 75

/**
 * A command that locks its working directory and turns into the program, in the same process. All that it starts holds
 * the lock too, so that it lasts until the last backend has ended, in whatever way.
 */
export function lockingCommand(program: string): readonly [string, ...string[]] {
  return ['flock', '--nonblock', '--conflict-exit-code', String(LOCKED_EXIT_CODE), '--no-fork', '.', program]
}

/** Whether the directory is locked; `unknown` where it cannot be: without flock, or on a file system without locks. */
export async function lockState(directory: string): Promise<'free' | 'held' | 'unknown'> {
  const [flock, ...arguments_] = lockingCommand('true')
  try {
    await run(flock, arguments_, { cwd: directory, env: CHILD_ENVIRONMENT })
    return 'free'
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === LOCKED_EXIT_CODE ? 'held' : 'unknown'
  }
}

export interface DirectoryLock {
  /** Resolves when it is free for others. */
  release(): Promise<void>
}

/** Locks a directory until it is released or this process has ended, in whatever way; else says as `lockState` why not. */
export async function holdLock(directory: string): Promise<DirectoryLock | 'held' | 'unknown'> {
  const [flock, ...arguments_] = lockingCommand('cat')
  const child = spawn(flock, arguments_, {
    cwd: directory,
    env: CHILD_ENVIRONMENT,
    // Out of reach of the terminal's Ctrl-C: it ends with the pipe that only this process holds.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', resolve)
    child.once('error', () => resolve(null))
  })
  child.stdin.on('error', () => child.stdin.destroy())
  // What comes back says that the command has the lock and has turned into the program.
  child.stdin.write('.')
  const code = await Promise.race([
    new Promise<'locked'>((resolve) => child.stdout.once('data', () => resolve('locked'))),
    ended,
  ])
  if (code !== 'locked') return code === LOCKED_EXIT_CODE ? 'held' : 'unknown'
  child.stdout.destroy()
  child.unref()
  return {
    async release() {
      child.ref()
      child.stdin.end()
      await ended
    },
  }
}
