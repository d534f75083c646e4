import { execFile } from 'node:child_process'
import { copyFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the run's compiled sources. Shared: nothing may be written there. */
    compiledSources: string
  }
}

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

export interface CompiledSources {
  readonly directory: string
  remove(): Promise<void>
}

/** Compiles `src/` into a temporary directory, for tests that need it in a process of its own that they can kill. */
export async function compileSources(): Promise<CompiledSources> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-compiled-'))
  await copyFile(join(root, 'package.json'), join(directory, 'package.json'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  await symlink(join(root, 'sql'), join(directory, 'sql'))
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  // Types are checked by a step of their own.
  const options = ['--noCheck', '--outDir', join(directory, 'dist'), '--incremental', 'false']
  await run(tsc, ['-p', join(root, 'src'), ...options])
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/** URL of a file of the run's compiled sources, such as `embedded-postgres/server.js`. */
export function compiledUrl(file: string, directory = inject('compiledSources')): string {
  return pathToFileURL(join(directory, 'dist', file)).href
}

/** The compiled sources once more, for a test that puts files beside them. */
export async function copyCompiled(): Promise<CompiledSources> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-compiled-'))
  await cp(inject('compiledSources'), directory, { recursive: true, verbatimSymlinks: true })
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}
