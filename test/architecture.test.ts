import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

type Sources = Readonly<Record<string, string>>
type Import = { from: string; target: string; isType: boolean }

/** What the files of a folder may import beside their own folder; `type` allows only `import type`. */
const mayImport: Record<string, readonly string[]> = {
  // config.ts, which checks what it is given with the parsers of its readers.
  '': ['lib', 'postgres'],
  protocol: [],
  lib: [],
  messages: ['protocol', 'lib'],
  delivery: ['protocol', 'lib', 'messages'],
  presence: ['protocol', 'lib'],
  auth: ['protocol', 'lib'],
  users: ['protocol', 'lib'],
  gateway: ['protocol', 'lib', 'messages', 'delivery', 'presence', 'auth', 'users'],
  transport: ['protocol', 'lib', 'gateway', 'delivery'],
  telemetry: ['lib'],
  postgres: ['lib'],
  redis: ['lib'],
}
const reservedFor: Record<string, RegExp> = {
  'uWebSockets.js': /^transport\//,
  pg: /^postgres\//,
  ioredis: /^redis\//,
  pino: /^telemetry\//,
  'prom-client': /^telemetry\//,
  msgpackr: /^protocol\//,
  zod: /^(protocol\/|config\.ts$)/,
}
// The composition root and the entry name concrete classes; nothing else does.
const isRoot = (file: string) => ['app.ts', 'instances.ts', 'main.ts', 'run.ts', 'workers.ts'].includes(file)
const adapterOf = (file: string) => /\.(postgres|redis|memory|local)\.ts$/.exec(file)?.[1]
const folderOf = (file: string) => (file.includes('/') ? file.slice(0, file.indexOf('/')) : '')

const importPattern = /\b(import|export)(\s+type\b)?(?:\s+[\w*{][^'"`;=()]*?\bfrom)?\s*\(?\s*['"]([^'"\n]+)['"]/g

function importsOf(from: string, source: string): Import[] {
  return [...source.matchAll(importPattern)].map(([, , type, name = '']) => ({
    from,
    // A relative path keeps a mark when it leads to no file, so that it is not taken for a package.
    target: name.startsWith('.') ? posix.join(posix.dirname(from), name) : `package ${name}`,
    isType: type !== undefined,
  }))
}

function isAllowed({ from, target, isType }: Import, sources: Sources): boolean {
  if (target.startsWith('package ')) return isPackageAllowed(from, target.slice('package '.length))
  if (!(target in sources)) return false
  if (isRoot(from)) return true
  const folder = folderOf(from)
  const wanted = folderOf(target)
  const technology = adapterOf(from)
  // An adapter may consist of several files; nobody else in the folder knows them.
  if (adapterOf(target)) return wanted === folder && adapterOf(target) === technology
  const allowed = [folder, ...(mayImport[folder] ?? []), ...(technology ? [technology] : [])]
  return wanted !== '' && (allowed.includes(wanted) || (isType && allowed.includes(`type ${wanted}`)))
}

function isPackageAllowed(from: string, target: string): boolean {
  if (target === 'node:process') return false // it would be a second way to the environment
  const name = target.split('/', target.startsWith('@') ? 2 : 1).join('/')
  if (folderOf(from) === 'protocol' && !['zod', 'msgpackr'].includes(name)) return false
  return reservedFor[name]?.test(from) ?? true
}

function findCycle(imports: readonly Import[], start: string): string | undefined {
  const seen = new Set<string>()
  const walk = (file: string): string[] | undefined => {
    for (const { target } of imports.filter(({ from }) => from === file)) {
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

/** One line for each broken rule of the layout; keys of `sources` are paths relative to src/. */
function violations(sources: Sources): string[] {
  const files = Object.keys(sources)
  const imports = files.flatMap((file) => importsOf(file, sources[file] ?? ''))
  const folders = [...new Set(files.map(folderOf))].filter((folder) => folder !== '')
  return [
    ...folders.filter((folder) => !(folder in mayImport)).map((folder) => `${folder}/ has no row in the import table`),
    ...imports
      .filter((one) => !isAllowed(one, sources))
      .map(({ from, target }) => `${from} must not import ${target.replace('package ', '')}`),
    ...files.flatMap((file) => findCycle(imports, file) ?? []).map((cycle) => `import cycle ${cycle}`),
    ...files
      .filter((file) => file !== 'config.ts' && /\bprocess\s*\.\s*env\b/.test(sources[file] ?? ''))
      .map((file) => `${file} must not read process.env`),
    ...files.filter((file) => (sources[file] ?? '').split('\n').length > 401).map((file) => `${file} is too long`),
  ]
}

describe('layout of src/', () => {
  test('imports point down, technology stays at its edge, files stay short', () => {
    const src = fileURLToPath(new URL('../src/', import.meta.url))
    const paths = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
    expect(paths).not.toHaveLength(0)
    expect(violations(Object.fromEntries(paths.map((path) => [path, readFileSync(src + path, 'utf8')])))).toEqual([])
  })

  test.each<[string, Sources]>([
    ['protocol/a.ts must not import node:fs', { 'protocol/a.ts': `import fs from 'node:fs'` }],
    ['lib/a.ts must not import zod', { 'lib/a.ts': `import {\n  z,\n} from 'zod'` }],
    ['lib/a.ts must not import protocol/b.ts', { 'lib/a.ts': `export * from '../protocol/b.ts'`, 'protocol/b.ts': '' }],
    ['lib/a.ts must not import pg', { 'lib/a.ts': `const pg = await import('pg')` }],
    ['lib/a.ts must not import pg/lib/x.js', { 'lib/a.ts': `import 'pg/lib/x.js'` }],
    ['lib/a.ts must not import config.ts', { 'lib/a.ts': `import { x } from '../config.ts'`, 'config.ts': '' }],
    ['lib/a.ts must not import lib/gone.ts', { 'lib/a.ts': `import { x } from './gone.ts'` }],
    ['lib/a.ts must not import lib/b.local.ts', { 'lib/a.ts': `import './b.local.ts'`, 'lib/b.local.ts': '' }],
    [
      'lib/a.redis.ts must not import lib/b.local.ts',
      { 'lib/a.redis.ts': `import './b.local.ts'`, 'lib/b.local.ts': '' },
    ],
    ['lib/a.ts must not read process.env', { 'lib/a.ts': 'const home = process.env.HOME' }],
    ['lib/a.ts is too long', { 'lib/a.ts': '\n'.repeat(401) }],
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
    }
    expect(violations(sources)).toEqual([])
  })
})
