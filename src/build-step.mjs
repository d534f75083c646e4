// What the builds of the SDK and of the page share: each runs only when something that it depends on has changed.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** All files below a directory, as full paths. */
export function filesBelow(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Writes the forms of a file that are served to those who take them, beside it. */
export function compress(path) {
  const content = readFileSync(path)
  writeFileSync(`${path}.br`, brotliCompressSync(content))
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
}

/**
 * Fills `target` by `build`, which gets a fresh directory, unless it was built from the same `sources` (files and directories,
 * relative to the root) by the same `packages`.
 */
export async function buildOnce({ target, sources, packages, build }) {
  const stamp = join(target, '.sources')
  const present = fingerprint(sources, packages)
  const isBuilt = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === present
  if (isBuilt()) return
  // Complete before it is seen: a service that starts meanwhile must not read half a file.
  const fresh = join(dirname(target), `.${basename(target)}-${process.pid}`)
  try {
    await build(fresh)
    writeFileSync(join(fresh, '.sources'), present)
    // Several may build at once, as when two instances are started together: the first one's is as good.
    if (!isBuilt()) replace(target, fresh, isBuilt)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

function replace(target, fresh, isBuilt) {
  try {
    rmSync(target, { recursive: true, force: true })
    renameSync(fresh, target)
  } catch (error) {
    if (!isBuilt()) throw error
  }
}

/** Stands for everything that the result depends on. */
function fingerprint(sources, packages) {
  const hash = createHash('sha256')
  const add = (path) => hash.update(relative(root, path)).update(readFileSync(path))
  for (const source of sources.map((name) => join(root, name)))
    if (statSync(source).isDirectory()) filesBelow(source).forEach(add)
    else add(source)
  for (const name of packages) add(join(root, 'node_modules', name, 'package.json'))
  add(fileURLToPath(import.meta.url))
  return hash.digest('hex')
}
