import { type FileHandle, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { errorCode } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { lockState } from './directory-lock.ts'
import { describeProcess, isRunning } from './process-state.ts'
import { isRuntimeDir } from './runtime-dir.ts'

const RETIRE_POLL_MS = 50
const RETIRE_FAST_MS = 10_000
const RETIRE_LIMIT_MS = 30_000
const EMPTY_FILE_AGE_MS = 5_000

/** The first lines of `postmaster.pid`: process id, …, and in line 8 the state. */
export async function readLockFile(clusterDir: string): Promise<readonly string[] | undefined> {
  try {
    return (await readFile(lockFile(clusterDir), 'utf8')).split('\n').map((line) => line.trim())
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Command-line settings by which a later start recognises a postmaster: whose it is and of which directory. They ride
 * on the command line because that exists exactly as long as the process does. They come last: where the directory ends can
 * only be told by the end of the line.
 */
export function ownershipArguments(clusterDir: string, ownerToken: string): string[] {
  return ['-c', `embedded.owner=${ownerToken}`, '-c', `embedded.directory=${clusterDir}`]
}

/** A postmaster that uses a directory. */
export interface RunningPostmaster {
  readonly socketDir: string
  /** Whether it accepts connections. */
  readonly isReady: boolean
}

/** The postmaster of a living service, or one that was started by hand; undefined when there is none to be seen. */
export async function findRunning(clusterDir: string): Promise<RunningPostmaster | undefined> {
  const lines = await readLockFile(clusterDir)
  const pid = Number(lines?.[0])
  if (!lines || !(pid > 0)) return undefined
  const owner = await ownerOf(pid, clusterDir)
  if (owner === 'dead' || owner === 'nobody') return undefined
  return { socketDir: lines[4] ?? '', isReady: lines[7] === 'ready' }
}

/**
 * Returns when no postmaster uses the directory. One whose service has died is stopped (its watchdog is about to do
 * so, unless that was killed too); one whose service lives is refused at once. One that cannot be seen, as it runs in
 * another container, is waited for, because its service may be about to end, and in the end refused.
 */
export async function takeOver(clusterDir: string, logger: Logger): Promise<void> {
  const startedMs = Date.now()
  let sent: NodeJS.Signals | undefined
  let stopping: Holder | undefined
  for (;;) {
    const holder = await findHolder(clusterDir)
    if (!holder) {
      // A server that stops gives up its lock file before it ends, and needs no directory any more.
      if (stopping) await removeRuntimeDir(stopping.socketDir)
      return
    }
    stopping = holder
    const waitedMs = Date.now() - startedMs
    if (waitedMs > RETIRE_LIMIT_MS) {
      throw inUse(
        clusterDir,
        holder.pid ? `process ${holder.pid}, which does not stop` : 'one out of sight, as in another container',
      )
    }
    const signal = waitedMs < RETIRE_FAST_MS ? 'SIGINT' : 'SIGQUIT'
    if (signal !== sent) {
      retire(holder, signal, logger)
      sent = signal
    }
    await delay(RETIRE_POLL_MS)
  }
}

interface Holder {
  /** None when it cannot be seen from here. */
  readonly pid: number | undefined
  readonly socketDir: string
}

function retire({ pid }: Holder, signal: NodeJS.Signals, logger: Logger): void {
  if (pid === undefined) {
    logger.warn({}, 'waiting for a PostgreSQL out of sight: in another container, or what is left of a killed one')
    return
  }
  logger.warn({ pid, signal }, 'stopping the PostgreSQL of a service that has died')
  signalIfAlive(pid, signal)
}

/** The postmaster that has to end first, undefined when the way is free; throws when its service is alive. */
async function findHolder(clusterDir: string): Promise<Holder | undefined> {
  let file: FileHandle
  try {
    // All through one handle: PostgreSQL replaces a stale file, so a write can never reach that of a newer server.
    file = await open(lockFile(clusterDir), 'r+')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const lines = (await file.readFile('utf8')).split('\n')
    const pid = Number(lines[0])
    const socketDir = lines[4] ?? ''
    const owner = pid > 0 ? await ownerOf(pid, clusterDir) : 'nobody'
    if (owner === 'dead') return { pid, socketDir }
    if (owner !== 'nobody') throw inUse(clusterDir, owner)
    if ((await lockState(clusterDir)) === 'held') return { pid: undefined, socketDir }
    await disarm(file, lines, clusterDir)
    if (!(await describeProcess(pid))?.command.includes(socketDir)) await removeRuntimeDir(socketDir)
    return undefined
  } finally {
    await file.close()
  }
}

/** The owner of a postmaster process: a sentence part, `dead` for a service that is gone, `nobody` if it is none. */
async function ownerOf(pid: number, clusterDir: string): Promise<string | 'dead' | 'nobody'> {
  const { command = '', program } = (await describeProcess(pid)) ?? {}
  const token = / embedded\.owner=(\S+)/.exec(command)?.[1]
  // After a crash or in a new container the number may belong to anything.
  if (token === undefined) return program === 'postgres' ? `process ${pid}, started by hand` : 'nobody'
  if (!command.endsWith(` embedded.directory=${clusterDir}`)) return 'nobody'
  return (await isRunning(token)) ? `process ${token.split('-', 1)[0]}` : 'dead'
}

/**
 * PostgreSQL takes a stale file for a live server when its number belongs to a zombie or, which in containers with
 * their repeating numbers is likely, to another process of the same user. Our own number, that of its parent, it knows
 * to be no server. The other lines stay: by them it finds backends that outlived a killed postmaster
 * (PostgreSQL src/backend/utils/init/miscinit.c, CreateLockFile).
 */
async function disarm(file: FileHandle, lines: readonly string[], clusterDir: string): Promise<void> {
  if (lines[0] === '') {
    // PostgreSQL refuses an empty file; left by a power cut, it holds nothing to protect.
    if (Date.now() - (await file.stat()).mtimeMs > EMPTY_FILE_AGE_MS) await rm(lockFile(clusterDir), { force: true })
  } else if (signalIfAlive(Number(lines[0]), 0)) {
    await file.truncate()
    await file.write([String(process.pid), ...lines.slice(1)].join('\n'), 0)
  }
}

/** Clears away the socket directory (and private programs) of a service that was killed together with its watchdog. */
async function removeRuntimeDir(socketDir: string): Promise<void> {
  if (isRuntimeDir(socketDir)) await rm(socketDir, { recursive: true, force: true, maxRetries: 3 })
}

/** Sends a signal (0: none, only looks) to a process that may have ended; false when there is none. */
function signalIfAlive(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return false
    if (signal === 0 && errorCode(error) === 'EPERM') return true
    throw error
  }
}

function lockFile(clusterDir: string): string {
  return join(clusterDir, 'postmaster.pid')
}

/** Another service lives on the directory. */
export class DirectoryInUse extends Error {}

function inUse(clusterDir: string, owner: string): DirectoryInUse {
  return new DirectoryInUse(
    `The data directory ${clusterDir} is in use by another running service (${owner}). ` +
      'Stop that one, or give this one a DATA_DIR of its own, or let both use one server through POSTGRES_DSN.',
  )
}
