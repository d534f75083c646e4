// Builds the chat page into dist/web: hashed assets with their encoded forms, and what the service has to know of them.
// Usage: node src/web/build.mjs [directory]
import { createHash } from 'node:crypto'
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join, relative, resolve } from 'node:path'
import { buildOnce, compress, filesBelow, root } from '../build-step.mjs'

const target = resolve(process.argv[2] ?? join(root, 'dist/web'))
/** Of those that understand `light-dark()` and `field-sizing` or do without it. */
const BROWSERS = ['chrome123', 'safari17.5', 'firefox128']

/** What every part of the page stands on, and the texts that all languages are made beside. */
const GROUND =
  /node_modules|src[\\/](protocol|web[\\/]texts[\\/]en|client[\\/](?!accounts|administration|push-|refresh-))/

await buildOnce({
  target,
  sources: ['src/web', 'src/client', 'src/protocol', 'package.json', 'tsconfig.json'],
  packages: ['vite', 'rolldown', 'react', 'react-dom', '@tanstack/react-virtual', 'linkify-it'],
  build: buildInto,
})

async function buildInto(directory) {
  // What React is made for follows this, whatever the shell says.
  process.env.NODE_ENV = 'production'
  const { build } = await import('vite')
  await build({
    configFile: false,
    root: join(root, 'src/web'),
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic' } },
    build: {
      ...{ outDir: directory, target: BROWSERS, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
      ...{ reportCompressedSize: false, emptyOutDir: true },
      rolldownOptions: {
        // 'use client' in the hooks of the SDK is for frameworks that render on servers.
        onLog: (level, log, report) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && report(level, log),
        // What the page stands on is a file of its own: it stays in caches when the page alone changes.
        output: { codeSplitting: { groups: [{ name: 'ground', test: GROUND }] } },
      },
    },
  })
  await buildWorker(directory)
  for (const path of filesBelow(directory)) if (/\.(js|css|html|svg|webmanifest)$/.test(path)) compress(path)
  keepPreviousAssets(directory)
}

/** The service worker, with what it keeps of this build; languages of tests are not for keeping. */
async function buildWorker(directory) {
  const { build } = await import('rolldown')
  const path = (file) => `/${relative(directory, file).replaceAll('\\', '/')}`
  const kept = filesBelow(directory).filter((file) => !/paths\.json$|index\.html$|pseudo-[^/]*$/.test(file))
  const hash = createHash('sha256')
  for (const file of [join(directory, 'index.html'), ...kept]) hash.update(path(file)).update(readFileSync(file))
  await build({
    input: join(root, 'src/web/worker/sw.ts'),
    logLevel: 'warn',
    transform: {
      define: {
        BUILD: JSON.stringify(hash.digest('hex').slice(0, 16)),
        FILES: JSON.stringify(['/', ...kept.map(path)]),
        PAGES: readFileSync(join(directory, 'paths.json'), 'utf8'),
      },
    },
    output: { file: join(directory, 'sw.js'), format: 'iife', minify: true },
  })
}

/** A tab that was opened before the last build goes on with the files that it was made of. */
function keepPreviousAssets(directory) {
  const listed = (place) => join(place, '.assets')
  const own = filesBelow(join(directory, 'assets')).map((path) => basename(path))
  writeFileSync(listed(directory), own.join('\n'))
  if (!existsSync(listed(target))) return
  for (const name of readFileSync(listed(target), 'utf8').split('\n'))
    if (!own.includes(name)) cpSync(join(target, 'assets', name), join(directory, 'assets', name))
}
