// What `npm run deploy` has played, by the name and version of each program.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Reporter, TestModule, TestResult } from 'vitest/node'

const FILE = fileURLToPath(new URL('../../dist/deploy-report.txt', import.meta.url))
// Here nothing is left out but what says why: what is skipped was not played.
const MARKS = { passed: 'ok      ', failed: 'FAILED  ', skipped: 'FAILED  not played: ', pending: 'FAILED  ' } as const

/** Programs that take part in plays, and how each says its version. */
const PROGRAMS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  nginx: ['nginx', '-v'],
  HAProxy: ['haproxy', '-v'],
  Caddy: ['caddy', 'version'],
  Redis: ['redis-server', '--version'],
  Valkey: [
    fileURLToPath(new URL('../../node_modules/.cache/messaging-debian13-valkey-server', import.meta.url)),
    '--version',
  ],
  PgBouncer: ['pgbouncer', '--version'],
  promtool: ['promtool', '--version'],
  systemd: ['systemd-analyze', '--version'],
}

/** Name and version of everything that is played with; `missing` where a program is not there. */
export function versions(): string[] {
  const root = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const [own] = Object.values<string>(root.optionalDependencies)
  const others = Object.entries(PROGRAMS).map(([name, [program, argument = '']]) => {
    // nginx says it on standard error.
    const { stdout = '', stderr = '' } = spawnSync(program, [argument], { encoding: 'utf8' })
    return `${name} ${/\d+(\.\d+)*/.exec(stdout + stderr)?.[0] ?? 'missing'}`
  })
  return [`Node ${process.version}`, `PostgreSQL ${own}`, ...others]
}

/** What is told of one play. */
export function lineOf(play: string, result: TestResult): string {
  const why = result.state === 'skipped' ? result.note : undefined
  return why === undefined ? `${MARKS[result.state]}${play}` : `skipped  ${play}: ${why}`
}

/** Writes one line for each play to `dist/deploy-report.txt`, and prints it. */
export class DeployReport implements Reporter {
  readonly #leftOut: readonly string[]

  /** `leftOut`: plays for which there is no program, and why. */
  constructor(leftOut: readonly string[] = []) {
    this.#leftOut = leftOut
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = modules.flatMap((module) => {
      const file = relative(fileURLToPath(new URL('../..', import.meta.url)), module.moduleId)
      const broken = module.errors().map(({ message }) => `FAILED  ${file}: ${message}`)
      const plays = [...module.children.allTests()].map((play) =>
        lineOf(`${module.project.name}: ${play.fullName}`, play.result()),
      )
      return [...broken, ...plays]
    })
    lines.push(...this.#leftOut.map((what) => `skipped  ${what}`))
    mkdirSync(dirname(FILE), { recursive: true })
    if (lines.some((line) => line.startsWith('FAILED'))) process.exitCode = 1
    writeFileSync(FILE, `${new Date().toISOString()}\n${versions().join(', ')}\n${lines.join('\n')}\n`)
    process.stdout.write(`\n${lines.join('\n')}\n(${FILE})\n`)
  }
}
