import { existsSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CONFIG_VARIABLES } from '../../src/config.ts'
import { COMMAND_TYPES } from '../../src/gateway/command-table.ts'
import { ROUTE_METHODS } from '../../src/gateway/route-table.ts'
import {
  CONFIG_GROUPS,
  codesTables,
  configTables,
  document,
  documentSection,
  essentialTable,
} from '../support/readme.ts'

const PROTOCOL = 'src/protocol/README.md'

test.each([
  ['README.md', 'essential', essentialTable()],
  ['src/config/README.md', 'config', configTables()],
  [PROTOCOL, 'codes', codesTables()],
])('%s says in its section %s what the code says', (path, name, expected) => {
  expect(documentSection(path, name), `write this between the markers:\n\n${expected}\n\n`).toBe(expected)
})

describe('the contract', () => {
  const rows = document(PROTOCOL)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|')[1] ?? '')

  test.each(COMMAND_TYPES)('lists the command %s', (type) => {
    expect(rows.filter((row) => new RegExp(`\\x60${type}\\b.*\\{`).test(row))).toHaveLength(1)
  })

  test.each(ROUTE_METHODS.filter(({ path }) => path.startsWith('/api/')))(
    'lists the route $path',
    ({ path, methods }) => {
      for (const method of methods) expect(rows.some((row) => row.includes(`${method} ${path}`))).toBe(true)
    },
  )
})

test('every variable is in one group', () => {
  expect(Object.values(CONFIG_GROUPS).flat().sort()).toEqual(CONFIG_VARIABLES.map(({ name }) => name).sort())
})

describe('the documents', () => {
  const root = new URL('../../', import.meta.url)
  const rooms = readdirSync(new URL('src/', root)).map((name) => `src/${name}/`)
  const files = ['', 'bench/', 'test/faults/', 'src/', ...rooms]
    .flatMap((folder) => ['README.md', 'DECISIONS.md', 'CHANGELOG.md'].map((name) => folder + name))
    .filter((file) => existsSync(new URL(file, root)))

  test('are short where a newcomer begins', () => {
    expect(document('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(160)
  })

  test.each(files)('%s links to files that are there', (file) => {
    const links = [...document(file).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link = '']) => link)
    const local = links.filter((link) => !/^[a-z]+:/.test(link)).map((link) => posix.join(posix.dirname(file), link))
    expect(local.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
  })
})
