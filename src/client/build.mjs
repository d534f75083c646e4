// Builds the client SDK: the npm package in dist/client, and in dist/client/bundle the one module that the service serves.
// Usage: node src/client/build.mjs [directory]
import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { buildOnce, compress, root } from '../build-step.mjs'

const run = promisify(execFile)
const source = join(root, 'src/client')
const target = resolve(process.argv[2] ?? join(root, 'dist/client'))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** What `messaging-server-client/<name>` is made of; an entry that has no source yet is left out. */
const entries = Object.entries({
  index: 'index.ts',
  react: 'react.ts',
  vue: 'vue.ts',
  accounts: 'accounts.ts',
  testing: 'testing/index.ts',
}).filter(([, file]) => existsSync(join(source, file)))

/** Declarations, in folders as the sources are. */
async function declarations(directory) {
  const options = ['--noEmit', 'false', '--emitDeclarationOnly', '--declaration', '--noCheck']
  const places = ['--rootDir', join(root, 'src'), '--outDir', join(directory, 'types')]
  await run(join(root, 'node_modules/.bin/tsc'), ['-p', source, ...options, ...places])
}

async function modules(directory) {
  const { build } = await import('rolldown')
  // 'use client' is of its file alone, and stays at its head.
  const onLog = (level, log, report) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && report(level, log)
  const common = { platform: 'browser', treeshake: { moduleSideEffects: false }, logLevel: 'warn', onLog }
  await build({
    ...common,
    input: Object.fromEntries(entries.map(([name, file]) => [name, join(source, file)])),
    external: ['react', 'vue'],
    output: {
      ...{ dir: directory, format: 'esm', entryFileNames: '[name].js', chunkFileNames: 'shared/[name].js' },
      // By itself, so that whoever keeps nothing bundles nothing of it.
      codeSplitting: { groups: [{ name: 'indexeddb-storage', test: /[\\/]indexeddb-storage\.ts$/ }] },
    },
  })
  const bundle = join(directory, 'bundle/client.js')
  const input = join(source, 'index.ts')
  // What tells a bundler that a call may be left out is of no use to a browser.
  const comments = { annotation: false }
  const output = { file: bundle, format: 'esm', minify: true, comments, postBanner: licenseNote }
  await build({ ...common, input, output })
  compress(bundle)
}

const packageName = 'messaging-server-client'
const licenseNote = `/*! ${packageName} ${manifest.version} | ${manifest.license} */`

function packageJson() {
  const exported = entries.map(([name, file]) => [
    name === 'index' ? '.' : `./${name}`,
    { types: `./types/client/${file.replace(/\.ts$/, '.d.ts')}`, default: `./${name}.js` },
  ])
  const { version, license } = manifest
  return {
    ...{ name: packageName, version, license, type: 'module', sideEffects: false },
    description: 'Client of messaging-server: nothing that is typed is lost, doubled or sent out of order.',
    exports: { ...Object.fromEntries(exported), './package.json': './package.json' },
    files: ['*.js', 'shared', 'types', 'LICENSE*', 'README.md'],
    engines: { node: '>=20' },
    peerDependencies: { react: '>=18', vue: '>=3.3' },
    peerDependenciesMeta: { react: { optional: true }, vue: { optional: true } },
  }
}

async function buildInto(directory) {
  mkdirSync(directory, { recursive: true })
  await Promise.all([declarations(directory), modules(directory)])
  writeFileSync(join(directory, 'package.json'), `${JSON.stringify(packageJson(), undefined, 2)}\n`)
  cpSync(join(source, 'README.md'), join(directory, 'README.md'))
  cpSync(join(root, 'LICENSE'), join(directory, 'LICENSE'))
}

await buildOnce({
  target,
  sources: ['src/client', 'src/protocol', 'package.json', 'tsconfig.json', 'LICENSE'],
  packages: ['rolldown', 'typescript'],
  build: buildInto,
})
