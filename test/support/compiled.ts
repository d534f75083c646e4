import { execFile } from 'node:child_process'
import { copyFile, cp, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { Plugin } from 'rolldown'
import { inject } from 'vitest'
import { bundlePrograms } from './bundle.ts'
import { PATIENT_WRITER, type Patch } from './patient-writer.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The directory of the run's compiled sources. Shared: nothing may be written there. */
    compiledSources: string
  }
}

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * What is started of the compiled sources, by the folder in which it lies: the bundled programs · those of a service whose writer
 * is patient · the compiled files, which are loaded one by one.
 */
export type CompiledPart = 'bundle' | 'patient' | '.'

export interface CompiledSources {
  readonly directory: string
  remove(): Promise<void>
}

/** Compiles `src/` into a temporary directory, for tests that need it in a process of its own that they can kill. */
export async function compileSources(): Promise<CompiledSources> {
  const directory = await emptyProject()
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  // Types are checked by a step of their own.
  const options = ['--noCheck', '--outDir', join(directory, 'dist'), '--incremental', 'false']
  await run(tsc, ['-p', join(root, 'src'), ...options])
  const dist = join(directory, 'dist')
  await Promise.all([
    bundlePrograms(dist, join(directory, 'bundle')),
    bundlePrograms(dist, join(directory, 'patient'), PATIENT_WRITER.map(patching)),
  ])
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) }
}

async function emptyProject(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-compiled-'))
  await copyFile(join(root, 'package.json'), join(directory, 'package.json'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  await symlink(join(root, 'sql'), join(directory, 'sql'))
  return directory
}

/** Replaces some text of one compiled file; throws when the place is gone or is not the only one. */
function patching({ file, search, replace }: Patch): Plugin {
  let places = 0
  return {
    name: `patch of ${file}`,
    transform: {
      filter: { id: new RegExp(`/dist/${file}$`), code: search },
      handler(code) {
        places += code.split(search).length - 1
        return code.replace(search, () => replace)
      },
    },
    buildEnd(error) {
      if (!error && places !== 1) throw new Error(`${file} has '${search}' ${places} times, not once`)
    },
  }
}

/** Path of a program, which is not to be changed; a bundled one starts soon. */
export function programFile(name: 'main.js' | 'cli.js', part: CompiledPart = 'bundle'): string {
  return join(inject('compiledSources'), part, 'dist', name)
}

/** URL of a file of the run's compiled sources, such as `embedded-postgres/server.js`. */
export function compiledUrl(file: string): string {
  return pathToFileURL(join(inject('compiledSources'), 'dist', file)).href
}

/** Programs once more, for a test that puts files beside them. */
export async function copyCompiled(part: CompiledPart): Promise<CompiledSources> {
  const directory = await emptyProject()
  for (const name of ['dist', 'package.json'])
    await cp(join(inject('compiledSources'), part, name), join(directory, part, name), { recursive: true })
  return { directory: join(directory, part), remove: () => rm(directory, { recursive: true, force: true }) }
}
