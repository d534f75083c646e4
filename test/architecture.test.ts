import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { readMigrations } from '../src/postgres/migrations.ts'

type Sources = Readonly<Record<string, string>>
type Import = { from: string; target: string }

/** What every room of the page stands on. */
const PAGE_GROUND = ['web/parts', 'web/texts', 'web/worker', 'client', 'protocol']

/**
 * What the files of a room may import beside their own room. A room is a folder of src/; one below it that has a row of its
 * own is a room by itself.
 */
const mayImport: Record<string, readonly string[]> = {
  // What is configured is checked with the parsers of its readers.
  '': ['config', 'lib', 'postgres', 'gateway', 'auth'],
  config: ['accounts', 'auth', 'gateway', 'lib', 'postgres', 'push', 'redis'],
  protocol: [],
  lib: [],
  messages: ['protocol', 'lib'],
  delivery: ['protocol', 'lib', 'messages'],
  presence: ['protocol', 'lib'],
  auth: ['protocol', 'lib'],
  users: ['protocol', 'lib'],
  accounts: ['protocol', 'lib', 'auth', 'users'],
  outbound: ['lib'],
  push: ['protocol', 'lib', 'messages', 'delivery', 'outbound'],
  gateway: ['gateway/wire', 'protocol', 'lib', 'messages', 'delivery', 'presence', 'auth', 'users', 'accounts', 'push'],
  'gateway/wire': ['protocol', 'lib'],
  transport: ['gateway/wire', 'protocol', 'lib', 'gateway', 'delivery'],
  telemetry: ['lib'],
  tracing: ['protocol', 'lib', 'messages', 'delivery'],
  postgres: ['lib', 'embedded-postgres'],
  'embedded-postgres': ['lib'],
  redis: ['lib'],
  cli: ['outbound', 'push', 'auth', 'users', 'accounts', 'messages', 'protocol', 'lib'],
  client: ['protocol'],
  reference: ['protocol'],
  // The page: its rooms stand beside each other on `parts` and `texts`, and `app` puts them together.
  web: ['web/app', 'web/texts', 'web/parts', 'web/worker'],
  'web/app': ['web/account', 'web/conversations', 'web/messages', 'web/composer', ...PAGE_GROUND],
  'web/account': PAGE_GROUND,
  'web/conversations': PAGE_GROUND,
  'web/messages': PAGE_GROUND,
  'web/composer': PAGE_GROUND,
  'web/parts': ['web/texts', 'client', 'protocol'],
  'web/texts': [],
  'web/worker': ['web/parts', 'web/texts'],
}
/** A room with an entrance is used through that file alone. */
const entranceOf: Record<string, string> = { 'embedded-postgres': 'embedded-postgres/embedded-postgres.ts' }
const reservedFor: Record<string, RegExp> = {
  'uWebSockets.js': /^transport\//,
  pg: /^postgres\//,
  ioredis: /^redis\//,
  pino: /^telemetry\//,
  'pino-pretty': /^telemetry\//,
  'prom-client': /^telemetry\//,
  msgpackr: /^gateway\/wire\//,
  zod: /^(gateway\/wire\/|config(\/|\.ts$))/,
  '@node-rs/argon2': /^accounts\/hashing-thread\.ts$/,
  commander: /^cli(\/|\.ts$)/,
  'web-push': /^push\//,
  undici: /^outbound\//,
  '@opentelemetry/api': /^tracing\//,
  '@opentelemetry/core': /^tracing\//,
  '@opentelemetry/exporter-trace-otlp-http': /^tracing\//,
  '@opentelemetry/resources': /^tracing\//,
  '@opentelemetry/sdk-trace-base': /^tracing\//,
}
const PAGE_PACKAGES = ['react', 'react-dom', '@tanstack/react-virtual', 'linkify-it']
// The composition root and the entry name concrete classes; nothing else does.
const isRoot = (file: string) =>
  [
    'account-services.ts',
    'app.ts',
    'authentication.ts',
    'built-files.ts',
    'cli.ts',
    'doctor.ts',
    'handlers.ts',
    'instances.ts',
    'main.ts',
    'other-instances.ts',
    'run.ts',
    'push.ts',
    'shutdown.ts',
    'storage.ts',
    'storage-tools.ts',
    'tracing.ts',
    'workers.ts',
  ].includes(file)
const adapterOf = (file: string) => /\.(postgres|redis|memory|local|cluster)\.ts$/.exec(file)?.[1]

/** The innermost room that the file lies in; a folder of src/ without a row counts as one. */
function roomOf(file: string): string {
  const folders = file.split('/').slice(0, -1)
  for (let depth = folders.length; depth > 1; depth -= 1) {
    const room = folders.slice(0, depth).join('/')
    if (room in mayImport) return room
  }
  return folders[0] ?? ''
}

const importPattern = /\b(import|export)(?:\s+type\b)?(?:\s+[\w*{][^'"`;=()]*?\bfrom)?\s*\(?\s*['"]([^'"\n]+)['"]/g

function importsOf(from: string, source: string): Import[] {
  return [...source.matchAll(importPattern)].map(([, , name = '']) => ({
    from,
    // A relative path keeps a mark when it leads to no file, so that it is not taken for a package.
    target: name.startsWith('.') ? posix.join(posix.dirname(from), name) : `package ${name}`,
  }))
}

function isAllowed({ from, target }: Import, sources: Sources): boolean {
  if (target.startsWith('package ')) return isPackageAllowed(from, target.slice('package '.length))
  if (!(target in sources)) return false
  const room = roomOf(from)
  const wanted = roomOf(target)
  if (room !== wanted && target !== (entranceOf[wanted] ?? target)) return false
  if (isRoot(from)) return true
  const technology = adapterOf(from)
  // An adapter may consist of several files; nobody else in the room knows them.
  if (adapterOf(target)) return wanted === room && adapterOf(target) === technology
  const allowed = [room, ...(mayImport[room] ?? []), ...(technology ? [technology] : [])]
  return wanted !== '' && allowed.includes(wanted)
}

function isPackageAllowed(from: string, target: string): boolean {
  if (target === 'node:process') return false // it would be a second way to the environment
  const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/')
  // Browsers import it; not even Node is there.
  if (roomOf(from) === 'protocol') return false
  if (roomOf(from).startsWith('web')) return PAGE_PACKAGES.includes(name)
  if (roomOf(from) === 'client') return from === `client/${name}.ts`
  return reservedFor[name]?.test(from) ?? true
}

const staticPattern = /\b(?:import|export)(?!\s+type\b)(?:\s+[\w*{][^'"`;=()]*?\bfrom)?\s*['"]([^'"\n]+)['"]/g

/** The packages that are loaded together with a file, before anything asks for them. */
function loadedWith(file: string, sources: Sources): ReadonlySet<string> {
  const packages = new Set<string>()
  const files = new Set([file])
  for (const one of files) {
    for (const [, name = ''] of (sources[one] ?? '').matchAll(staticPattern)) {
      if (name.startsWith('.')) files.add(posix.join(posix.dirname(one), name))
      else packages.add(name)
    }
  }
  return packages
}

/** For each file what it imports. */
type Imports = ReadonlyMap<string, readonly string[]>

function byFile(imports: readonly Import[]): Imports {
  const targets = new Map<string, string[]>()
  for (const { from, target } of imports) targets.set(from, [...(targets.get(from) ?? []), target])
  return targets
}

function findCycle(imports: Imports, start: string): string | undefined {
  const seen = new Set<string>()
  const walk = (file: string): string[] | undefined => {
    for (const target of imports.get(file) ?? []) {
      if (target === start) return [file, start]
      if (seen.has(target)) continue
      seen.add(target)
      const rest = walk(target)
      if (rest) return [file, ...rest]
    }
    return undefined
  }
  return walk(start)?.join(' → ')
}

const MAX_LINES = 300

function linesOf(source: string): number {
  return source.replace(/\n$/, '').split('\n').length
}

/** One line for each broken rule of the layout; keys of `sources` are paths relative to src/. */
function violations(sources: Sources): string[] {
  const files = Object.keys(sources)
  const imports = files.flatMap((file) => importsOf(file, sources[file] ?? ''))
  const graph = byFile(imports)
  const rooms = [...new Set(files.map(roomOf))].filter((room) => room !== '')
  return [
    ...rooms.filter((room) => !(room in mayImport)).map((room) => `${room}/ has no row in the import table`),
    ...imports
      .filter((one) => !isAllowed(one, sources))
      .map(({ from, target }) => `${from} must not import ${target.replace('package ', '')}`),
    ...files.flatMap((file) => findCycle(graph, file) ?? []).map((cycle) => `import cycle ${cycle}`),
    ...files
      .filter((file) => file !== 'config.ts' && /\bprocess\s*\.\s*env\b/.test(sources[file] ?? ''))
      .map((file) => `${file} must not read process.env`),
    ...files.filter((file) => linesOf(sources[file] ?? '') > MAX_LINES).map((file) => `${file} is too long`),
  ]
}

describe('layout of src/', () => {
  test('imports point down, technology stays at its edge, files stay short', () => {
    const src = fileURLToPath(new URL('../src/', import.meta.url))
    const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => /\.(tsx?|css)$/.test(path))
    expect(paths).not.toHaveLength(0)
    expect(violations(Object.fromEntries(paths.map((path) => [path, readFileSync(src + path, 'utf8')])))).toEqual([])
  })

  test('what not everybody uses is loaded by those who use it', () => {
    const src = fileURLToPath(new URL('../src/', import.meta.url))
    const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
    const sources = Object.fromEntries(paths.map((path) => [path, readFileSync(src + path, 'utf8')]))
    const forSome = /^(ioredis|undici|web-push|@opentelemetry\/.*)$/
    for (const file of ['app.ts', 'cli.ts']) {
      const packages = [...loadedWith(file, sources)]
      expect(packages).toContain('pg')
      expect(packages.filter((name) => forSome.test(name))).toEqual([])
    }
    expect([...loadedWith('other-instances.ts', sources)]).toContain('ioredis')
  })

  test('neither the benches nor the tests import in a circle', () => {
    const root = fileURLToPath(new URL('../', import.meta.url))
    const paths = ['bench', 'test'].flatMap((folder) =>
      readdirSync(root + folder, { recursive: true, encoding: 'utf8' }).map((path) => `${folder}/${path}`),
    )
    const sources = paths.filter((path) => /\.(ts|mjs)$/.test(path))
    expect(sources.length).toBeGreaterThan(100)
    const imports = byFile(sources.flatMap((path) => importsOf(path, readFileSync(root + path, 'utf8'))))
    expect(sources.flatMap((path) => findCycle(imports, path) ?? [])).toEqual([])
  })

  test.each<[string, Sources]>([
    ['protocol/a.ts must not import node:fs', { 'protocol/a.ts': `import fs from 'node:fs'` }],
    ['protocol/a.ts must not import zod', { 'protocol/a.ts': `import * as z from 'zod'` }],
    ['gateway/a.ts must not import zod', { 'gateway/a.ts': `import * as z from 'zod'` }],
    ['lib/a.ts must not import zod', { 'lib/a.ts': `import {\n  z,\n} from 'zod'` }],
    ['lib/a.ts must not import protocol/b.ts', { 'lib/a.ts': `export * from '../protocol/b.ts'`, 'protocol/b.ts': '' }],
    ['client/a.ts must not import node:fs', { 'client/a.ts': `import fs from 'node:fs'` }],
    ['client/a.ts must not import zod', { 'client/a.ts': `import { z } from 'zod'` }],
    ['client/a.ts must not import react', { 'client/a.ts': `import { memo } from 'react'` }],
    ['client/vue.ts must not import react', { 'client/vue.ts': `import { memo } from 'react'` }],
    ['web/parts/a.tsx must not import zod', { 'web/parts/a.tsx': `import { z } from 'zod'` }],
    [
      'web/messages/a.tsx must not import messages/b.ts',
      { 'web/messages/a.tsx': `import type { B } from '../../messages/b.ts'`, 'messages/b.ts': '' },
    ],
    ['lib/a.ts must not import pg', { 'lib/a.ts': `const pg = await import('pg')` }],
    ['lib/a.ts must not import pg/lib/x.js', { 'lib/a.ts': `import 'pg/lib/x.js'` }],
    ['lib/a.ts must not import config.ts', { 'lib/a.ts': `import { x } from '../config.ts'`, 'config.ts': '' }],
    ['lib/a.ts must not import lib/gone.ts', { 'lib/a.ts': `import { x } from './gone.ts'` }],
    [
      'delivery/a.ts must not import delivery/b.cluster.ts',
      { 'delivery/a.ts': `import './b.cluster.ts'`, 'delivery/b.cluster.ts': '' },
    ],
    [
      'gateway/wire/a.ts must not import gateway/b.ts',
      { 'gateway/wire/a.ts': `import type { B } from '../b.ts'`, 'gateway/b.ts': '' },
    ],
    [
      'delivery/a.ts must not import gateway/wire/b.ts',
      { 'delivery/a.ts': `import { B } from '../gateway/wire/b.ts'`, 'gateway/wire/b.ts': '' },
    ],
    ['lib/a.ts must not import lib/b.local.ts', { 'lib/a.ts': `import './b.local.ts'`, 'lib/b.local.ts': '' }],
    [
      'lib/a.redis.ts must not import lib/b.local.ts',
      { 'lib/a.redis.ts': `import './b.local.ts'`, 'lib/b.local.ts': '' },
    ],
    [
      'app.ts must not import embedded-postgres/b.ts',
      { 'app.ts': `import './embedded-postgres/b.ts'`, 'embedded-postgres/b.ts': '' },
    ],
    ['lib/a.ts must not read process.env', { 'lib/a.ts': 'const home = process.env.HOME' }],
    ['lib/a.ts is too long', { 'lib/a.ts': '\n'.repeat(301) }],
    ['misc/ has no row in the import table', { 'misc/a.ts': '' }],
    [
      'messages/a.ts must not import postgres/b.ts',
      { 'messages/a.ts': `import '../postgres/b.ts'`, 'postgres/b.ts': '' },
    ],
    [
      'presence/a.ts must not import messages/b.ts',
      { 'presence/a.ts': `import { type B } from '../messages/b.ts'`, 'messages/b.ts': '' },
    ],
  ])('reports that %s', (violation, sources) => {
    expect(violations(sources)).toEqual([violation])
  })

  test('reports an import cycle once per file in it', () => {
    const sources = { 'lib/a.ts': `import './b.ts'`, 'lib/b.ts': `import type { A } from './a.ts'` }
    expect(violations(sources)).toEqual([
      'import cycle lib/a.ts → lib/b.ts → lib/a.ts',
      'import cycle lib/b.ts → lib/a.ts → lib/b.ts',
    ])
  })

  test('allows what the table allows', () => {
    const sources = {
      'app.ts': `import { P } from './messages/store.postgres.ts'\nimport type { Config } from './config.ts'`,
      'config.ts': `import { z } from 'zod'\nconst env = process.env`,
      'messages/store.postgres.ts': `import { p } from '../postgres/pool.ts'\nimport type { S } from './store.ts'`,
      'messages/statements.postgres.ts': `export const insert = ''`,
      'messages/reads.postgres.ts': `import { insert } from './statements.postgres.ts'`,
      'messages/store.ts': `import { readFile } from 'node:fs/promises'`,
      'postgres/pool.ts': `import pg from 'pg'`,
      'delivery/a.ts': `import type { S } from '../messages/store.ts'`,
      'gateway/a.ts': `import { c } from './wire/deep/c.ts'`,
      'gateway/wire/deep/c.ts': `import { pack } from 'msgpackr'\nimport type { M } from '../../../protocol/m.ts'`,
      'protocol/m.ts': '',
    }
    expect(violations(sources)).toEqual([])
  })
})

test('migrations have the numbers from 1 on, each once', async () => {
  const versions = (await readMigrations(new URL('../sql/', import.meta.url))).map(({ version }) => version)
  expect(versions).toEqual(versions.map((_, index) => index + 1))
  expect(versions.length).toBeGreaterThan(5)
})
