import { chown, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type Account, canPass } from './account.ts'

/** Socket number only: no TCP port is ever opened. */
export const SOCKET_PORT = 5432

// sun_path holds 108 bytes on Linux and 104 on macOS, with the final NUL.
export const MAX_SOCKET_PATH_BYTES = 103

const PREFIX = 'messaging-pg-'

/**
 * Makes the directory that holds the socket while PostgreSQL runs: mode 0700, owned by PostgreSQL's account, on a path
 * short enough for a socket and open to that account. Its mode is the only lock, hence it is made anew each time.
 */
export async function makeRuntimeDir(account: Account | undefined): Promise<string> {
  for (const parent of [tmpdir(), '/tmp', '/var/tmp']) {
    if (!(await isUsable(parent, account))) continue
    const directory = await mkdtemp(join(parent, PREFIX))
    if (account) await chown(directory, account.uid, account.gid)
    return directory
  }
  throw new Error('No temporary directory for the PostgreSQL socket: set TMPDIR to a short path open to all users.')
}

/** Connects as superuser over the socket in a directory. */
export function dsnOf(socketDir: string): string {
  return `postgres:///postgres?user=postgres&host=${encodeURIComponent(socketDir)}&port=${SOCKET_PORT}`
}

/** Whether a path is one that `makeRuntimeDir` makes. */
export function isRuntimeDir(path: string): boolean {
  return path.startsWith('/') && basename(path).startsWith(PREFIX)
}

async function isUsable(parent: string, account: Account | undefined): Promise<boolean> {
  const longest = join(parent, `${PREFIX}XXXXXX`, `.s.PGSQL.${SOCKET_PORT}`)
  // A comma or a quote would end the path in unix_socket_directories.
  if (Buffer.byteLength(longest) > MAX_SOCKET_PATH_BYTES || /[",\s]/.test(parent)) return false
  return canPass(account, parent).catch(() => false)
}
