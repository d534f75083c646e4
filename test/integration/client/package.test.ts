// The package of the client SDK as a stranger gets it: packed, installed where nothing else is, bundled, type-checked.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { publint } from 'publint'
import { build, type OutputChunk } from 'rolldown'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { figure } from '../../support/figures.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const bin = (name: string): string => join(root, 'node_modules/.bin', name)
const NAME = 'messaging-server-client'

interface Analysed {
  readonly analysis: {
    readonly entrypoints: object
    readonly problems: readonly { readonly resolutionKind?: string }[]
  }
}

let home: string
/** The folder that was built, and the one of somebody who has installed its tarball. */
let built: string
let consumer: string
let tarball: string

/** The step of `npm run build`, for another folder. */
async function buildInto(directory: string): Promise<void> {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: { build: string } }
  const step = scripts.build.split('&&').find((command) => command.includes('src/client/'))
  const [program = '', ...args] = step?.trim().split(' ') ?? []
  const { stdout, stderr } = await run(program, [...args, directory], { cwd: root })
  expect(stdout + stderr).toBe('')
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'messaging-package-'))
  built = join(home, 'built')
  consumer = join(home, 'consumer')
  await buildInto(built)
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', home], { cwd: built })
  tarball = join(home, Object.values(JSON.parse(stdout) as Record<string, { filename: string }>)[0]?.filename ?? '')
  mkdirSync(consumer)
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const quiet = ['--no-audit', '--no-fund', '--no-save', '--ignore-scripts']
  await run('npm', ['install', '--offline', ...quiet, tarball], { cwd: consumer })
})
afterAll(() => rm(home, { recursive: true, force: true }))

const installed = (): string => join(consumer, 'node_modules', NAME)

describe('the package', () => {
  test('installs in an empty folder, offline, and brings nothing else along', () => {
    expect(readdirSync(join(consumer, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([NAME])
    const files = readdirSync(installed(), { recursive: true, encoding: 'utf8' })
    expect(files).toEqual(
      expect.arrayContaining(['index.js', 'react.js', 'vue.js', 'accounts.js', 'testing.js', 'README.md', 'LICENSE']),
    )
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([])
    const { dependencies, type, sideEffects } = JSON.parse(readFileSync(join(installed(), 'package.json'), 'utf8'))
    expect([dependencies, type, sideEffects]).toEqual([undefined, 'module', false])
    // Hooks cannot run in a server component; frameworks that have those look for this line.
    expect(readFileSync(join(installed(), 'react.js'), 'utf8')).toMatch(/^['"]use client['"]/)
  })

  test('runs in plain Node, with the fake server that it brings', async () => {
    const program = example(/messaging-server-client\/testing/)
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: consumer })
    expect(stdout.trim()).toBe('1')
  })

  test('is clean for publint', async () => {
    const { messages } = await publint({ pkgDir: installed(), strict: true, pack: false })
    expect(messages).toEqual([])
  })

  test('has types that attw finds right, for bundlers and for the ES modules of Node', async () => {
    const { stdout } = await run(bin('attw'), [tarball, '--profile', 'esm-only', '--format', 'json'])
    const { analysis } = JSON.parse(stdout) as Analysed
    expect(Object.keys(analysis.entrypoints)).toEqual([
      '.',
      './react',
      './vue',
      './accounts',
      './testing',
      './package.json',
    ])
    // A package of ES modules alone has nothing for Node 10's way, nor for `require` in types.
    const meant = analysis.problems.filter(({ resolutionKind }) => !/^node10$|-cjs$/.test(resolutionKind ?? ''))
    expect(meant).toEqual([])
  })
})

/** Code blocks of the README, with the language they are marked with. */
function examples(): readonly { readonly language: string; readonly code: string }[] {
  const text = readFileSync(join(root, 'src/client/README.md'), 'utf8')
  return [...text.matchAll(/^```(tsx?)\n(.*?)^```$/gms)].map(([, language = '', code = '']) => ({ language, code }))
}

function example(matching: RegExp): string {
  const found = examples().find(({ code }) => matching.test(code))
  if (!found) throw new Error(`the README has no example with ${matching}`)
  return found.code
}

describe('the examples of the README', () => {
  beforeAll(() => {
    for (const name of ['react', 'vue', 'ws', '@types', '@vue', 'csstype'])
      if (!existsSync(join(consumer, 'node_modules', name)))
        symlinkSync(join(root, 'node_modules', name), join(consumer, 'node_modules', name))
    for (const [index, { language, code }] of examples().entries())
      writeFileSync(join(consumer, `example-${index}.${language}`), code)
  })

  test.concurrent.each([
    ['bundler', 'esnext'],
    ['node16', 'node16'],
  ])('compile with moduleResolution %s, strictly', async (moduleResolution, module) => {
    const compilerOptions = {
      ...{ module, moduleResolution, target: 'es2022', strict: true, noEmit: true, jsx: 'react-jsx' },
      // Of React, Vue and Node, which would take most of the time; another test checks those of the package.
      skipLibCheck: true,
      ...{
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        lib: ['es2023', 'dom', 'esnext.disposable'],
      },
      types: ['node'],
    }
    const project = join(consumer, `tsconfig.${moduleResolution}.json`)
    writeFileSync(project, JSON.stringify({ compilerOptions, include: ['example-*'] }))
    const { stdout } = await run(bin('tsc'), ['-p', project, '--listFiles']).catch(
      (failed: { stdout: string }) => failed,
    )
    expect(stdout.match(/^.*error TS.*$/gm)).toBeNull()
    expect(stdout.match(/example-\d+\.tsx?$/gm)).toHaveLength(examples().length)
  })

  test('need no more than TypeScript has by itself, with every declaration of the package checked', async () => {
    const compilerOptions = {
      ...{ module: 'esnext', moduleResolution: 'bundler', target: 'es2022', strict: true, noEmit: true, types: [] },
      // Those of TypeScript itself.
      skipDefaultLibCheck: true,
    }
    const pages = examples().flatMap(({ code }, index) => (/react'|vue'|'ws'/.test(code) ? [] : `example-${index}.ts`))
    expect(pages.length).toBeGreaterThan(1)
    const project = join(consumer, 'tsconfig.page.json')
    writeFileSync(project, JSON.stringify({ compilerOptions, files: pages }))
    const { stdout } = await run(bin('tsc'), ['-p', project]).catch((failed: { stdout: string }) => failed)
    expect(stdout).toBe('')
  })

  test.each([
    ['a page', /document\.title/, 10],
    ['a bot', /from 'ws'/, 10],
    ['React', /client\/react'/, 20],
    ['Vue', /client\/vue'/, 12],
  ])('for %s stays short', (_what, matching, limit) => {
    expect(
      example(matching)
        .split('\n')
        .filter((line) => line.trim() !== '').length,
    ).toBeLessThanOrEqual(limit)
  })

  test('name every option of createClient', () => {
    const [, body = ''] =
      /interface ClientOptions \{(.*?)^\}/ms.exec(readFileSync(join(root, 'src/client/types.ts'), 'utf8')) ?? []
    const options = [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name]) => name)
    expect(options).toContain('url')
    const readme = readFileSync(join(root, 'src/client/README.md'), 'utf8')
    const named = [...readme.matchAll(/^\| ((`\w+`(, )?)+) \|/gm)].flatMap(([, cell = '']) => cell.match(/\w+/g) ?? [])
    expect(named.sort()).toEqual(options.sort())
  })
})

/** What a bundler makes of a program that has installed the package. */
async function bundled(code: string): Promise<OutputChunk> {
  const input = join(consumer, 'entry.js')
  writeFileSync(input, code)
  const external = ['react', 'vue']
  const { output } = await build({ input, external, platform: 'browser', write: false, output: { minify: true } })
  return output[0]
}

describe('the size', () => {
  /** Gzip, in bytes. These are what it takes today, above the 14 and 11 KB that were aimed at: whoever adds to them decides it here. */
  const LIMITS: readonly (readonly [what: string, code: string, limit: number])[] = [
    ['a client with IndexedDB', `export { createClient } from '${NAME}'`, 22_750],
    ['a client with memory alone', `export { createClientWith, memoryStorage } from '${NAME}'`, 21_290],
    ['the React hooks', `export * from '${NAME}/react'`, 2048],
    ['the Vue composables', `export * from '${NAME}/vue'`, 2048],
    ['the accounts', `export * from '${NAME}/accounts'`, 3300],
  ]

  test.each(LIMITS)(
    'of %s stays within its limit, with nothing of others and nothing of Node',
    async (what, code, limit) => {
      const { code: text, imports, moduleIds } = await bundled(code)
      const bytes = gzipSync(text, { level: 9 }).length
      figure(`${what}: ${bytes} bytes gzip of ${limit}`)
      expect(bytes).toBeLessThanOrEqual(limit)
      expect(bytes).toBeGreaterThan(300)
      expect(imports.filter((name) => name !== 'react' && name !== 'vue')).toEqual([])
      expect(moduleIds.filter((id) => !id.startsWith(consumer))).toEqual([])
      expect(text).not.toMatch(/\bfrom\s*["']node:|\brequire\(|ZodError/)
      expect(/deleteDatabase/.test(text)).toBe(what.includes('IndexedDB'))
    },
  )

  test('of the file that the service serves is that of the package, with the same exports', async () => {
    const names = (file: string): Promise<string> =>
      run(process.execPath, [
        '--input-type=module',
        '-e',
        `console.log(Object.keys(await import('${file}')).sort())`,
      ]).then(({ stdout }) => stdout)
    const file = join(built, 'bundle/client.js')
    expect(await names(file)).toBe(await names(join(built, 'index.js')))
    expect(await names(file)).toContain('createClient')
    const packed = await readFile(`${file}.gz`)
    figure(`client.js: ${packed.length} bytes gzip, ${(await readFile(`${file}.br`)).length} bytes brotli`)
    expect(packed.length).toBeLessThanOrEqual(22_850)
    expect(existsSync(join(installed(), 'bundle'))).toBe(false)
  })
})

test('a second build of the same sources does nothing', async () => {
  const manifest = join(built, 'package.json')
  writeFileSync(manifest, '{}')
  await buildInto(built)
  expect(await readFile(manifest, 'utf8')).toBe('{}')
})

test('builds at the same time leave one whole package, in place of an older one', async () => {
  const folder = join(home, 'shared')
  mkdirSync(folder)
  writeFileSync(join(folder, 'older.js'), '')
  await Promise.all([1, 2].map(() => buildInto(folder)))
  const files = (directory: string): string[] => readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()
  expect(files(folder)).toEqual(files(built))
  expect(readdirSync(home).filter((name) => name.startsWith('.client-'))).toEqual([])
})
