import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

export interface CompiledSources {
  /** URL of a compiled file, such as `postgres/embedded.js`. */
  url(file: string): string
  remove(): Promise<void>
}

/** Compiles `src/` into a temporary directory, for tests that need it in a process of its own that they can kill. */
export async function compileSources(): Promise<CompiledSources> {
  const directory = await mkdtemp(join(tmpdir(), 'messaging-compiled-'))
  await copyFile(join(root, 'package.json'), join(directory, 'package.json'))
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  await symlink(join(root, 'sql'), join(directory, 'sql'))
  const outDir = join(directory, 'dist')
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  // Types are checked by a step of their own.
  await run(tsc, ['-p', join(root, 'src'), '--noCheck', '--outDir', outDir, '--incremental', 'false'])
  return {
    url: (file) => pathToFileURL(join(outDir, file)).href,
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}
