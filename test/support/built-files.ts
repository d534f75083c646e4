import { execFile } from 'node:child_process'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** Puts the built SDK or page beside compiled files. It is built once for all that need it, until something of it changes. */
export async function placeBuilt(part: 'client' | 'web', dist: string): Promise<void> {
  await run(process.execPath, [join(root, 'src', part, 'build.mjs')])
  await cp(join(root, 'dist', part), join(dist, part), { recursive: true })
}
