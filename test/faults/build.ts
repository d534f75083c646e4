// The service compiled into a directory of its own, where its text may be changed without touching anybody else's.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { bundlePrograms } from '../support/bundle.ts'

const run = promisify(execFile)

/** The directory that holds package.json and src, from wherever this file was compiled to. */
export const ROOT = findRoot(dirname(fileURLToPath(import.meta.url)))

function findRoot(directory: string): string {
  return existsSync(join(directory, 'src', 'main.ts')) ? directory : findRoot(dirname(directory))
}

/** One exact replacement in one compiled file. */
export interface Patch {
  readonly file: string
  readonly search: string
  readonly replace: string
}

export interface Build {
  readonly mainFile: string
  /** The same with some text replaced; throws when a place is gone or is not the only one. */
  patched(patches: readonly Patch[]): Promise<Build>
  remove(): Promise<void>
}

export async function compileService(): Promise<Build> {
  const directory = await emptyProject()
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const options = ['--noCheck', '--incremental', 'false', '--outDir', join(directory, 'dist')]
  await run(tsc, ['-p', join(ROOT, 'src'), ...options])
  return buildIn(directory)
}

/**
 * What `npm run build` has made of the service alone: for a run that comes right after a build. Bundled, as are those that are
 * patched of it: most of the CPU time of a start is to load hundreds of files.
 */
export async function builtService(): Promise<Build> {
  const directory = await emptyProject()
  const [source, others] = [join(ROOT, 'dist'), ['client', 'web', 'docs', 'bench-build', 'faults-build']]
  const isOfService = (path: string): boolean => !others.includes(relative(source, path))
  await cp(source, join(directory, 'dist'), { recursive: true, filter: isOfService })
  return bundledIn(directory)
}

async function emptyProject(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-faults-build-'))
  await copyFile(join(ROOT, 'package.json'), join(directory, 'package.json'))
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'))
  await symlink(join(ROOT, 'sql'), join(directory, 'sql'))
  return directory
}

function buildIn(directory: string): Build {
  return {
    mainFile: join(directory, 'dist', 'main.js'),
    patched: async (patches) => buildIn(await patchedCopy(directory, patches)),
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

async function bundledIn(directory: string): Promise<Build> {
  const to = join(directory, 'bundle')
  await bundlePrograms(join(directory, 'dist'), to)
  return {
    mainFile: join(to, 'dist', 'main.js'),
    patched: async (patches) => bundledIn(await patchedCopy(directory, patches)),
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

async function patchedCopy(directory: string, patches: readonly Patch[]): Promise<string> {
  const copy = await emptyProject()
  await cp(join(directory, 'dist'), join(copy, 'dist'), { recursive: true })
  for (const patch of patches) await apply(copy, patch)
  return copy
}

async function apply(directory: string, patch: Patch): Promise<void> {
  const path = join(directory, 'dist', patch.file)
  await writeFile(path, patchedText(await readFile(path, 'utf8'), patch))
}

/** Throws when the place is gone or is not the only one. */
export function patchedText(text: string, { file, search, replace }: Patch): string {
  const places = text.split(search).length - 1
  if (places !== 1) throw new Error(`${file} holds ${places} times, not once:\n${search}\nmake the patch anew`)
  return text.replace(search, () => replace)
}
