import { mkdtemp, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_SOCKET_PATH_BYTES, SOCKET_PORT } from './runtime-dir.ts'

/** A path that stays the same while servers, each with a socket directory of its own, come and go. */
export interface SocketLink {
  readonly path: string
  /** What is there because of it and goes with it: the link alone, or the directory that was made to hold it. */
  readonly litter: string
}

/** Where a link in the data directory lies. */
export function linkIn(dataDir: string): string {
  return join(dataDir, 'postgres.socket')
}

/** In the data directory, unless the path of the socket would be too long for the system or hold what no DSN may. */
export async function placeLink(dataDir: string): Promise<SocketLink> {
  const path = linkIn(dataDir)
  const isShort = Buffer.byteLength(join(path, `.s.PGSQL.${SOCKET_PORT}`)) <= MAX_SOCKET_PATH_BYTES
  // A comma in the host of a DSN would separate several.
  if (isShort && !path.includes(',')) return { path, litter: path }
  const directory = await mkdtemp(join(tmpdir(), 'messaging-db-'))
  return { path: join(directory, 's'), litter: directory }
}

/** Makes the link lead to a socket directory. A rename replaces a link in one step, so there is no moment without one. */
export async function pointTo({ path }: SocketLink, socketDir: string): Promise<void> {
  await rm(`${path}.new`, { force: true })
  await symlink(socketDir, `${path}.new`)
  await rename(`${path}.new`, path)
}

export async function removeLink({ litter }: SocketLink): Promise<void> {
  await rm(litter, { recursive: true, force: true })
}

/** The directory of the socket that a DSN leads to. */
export function socketDirOf(dsn: string): string {
  return new URL(dsn).searchParams.get('host') ?? ''
}

export function withSocketDir(dsn: string, directory: string): string {
  const url = new URL(dsn)
  url.searchParams.set('host', directory)
  return url.href
}
