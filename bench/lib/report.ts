/** What a bench leaves behind: tables on the terminal; tables, charts and every raw value as files. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Goal } from './goals.ts'
import type { Settings } from './settings.ts'
import type { Spread } from './stats.ts'
import { type Chart, drawCharts } from './svg.ts'
import { printTable, type Table, tableText } from './table.ts'

export interface Report {
  readonly name: string
  readonly tables: readonly Table[]
  readonly charts: readonly Chart[]
  readonly goals: readonly Goal[]
  /** What one has to know to read the tables. */
  readonly notes: readonly string[]
  /** What is missing because something was not given; a smoke says this too. */
  readonly leftOut?: readonly string[]
  /** Everything measured, run by run, for whoever wants to judge again. */
  readonly raw: unknown
}

export function printReport({ tables, notes, leftOut = [] }: Report): void {
  tables.forEach(printTable)
  for (const note of [...notes, ...leftOut]) process.stdout.write(`\n  note: ${note}\n`)
  process.stdout.write('\n')
}

/** Writes `bench/results/<name>.json`, `.txt` and `.svg` and returns the first; a smoke run leaves no file. */
export function writeReport(report: Report, settings: Settings): string | undefined {
  if (settings.mode === 'smoke') return undefined
  const circumstances = circumstancesOf(settings)
  const file = (ending: string) => join(resultsFolder(settings), `${report.name}.${ending}`)
  writeFileSync(file('json'), `${JSON.stringify({ ...report, ...circumstances }, null, 2)}\n`)
  const notes = [...report.notes, ...(report.leftOut ?? [])].map((note) => `note: ${note}\n`).join('')
  const tables = report.tables.map(tableText).join('\n')
  writeFileSync(file('txt'), `${tables}${notes}\n${JSON.stringify(circumstances, null, 2)}\n`)
  if (report.charts.length > 0) writeFileSync(file('svg'), drawCharts(report.charts))
  return file('json')
}

/** Writes `bench/results/goals.txt`. */
export function writeGoals(table: Table, settings: Settings): void {
  const circumstances = JSON.stringify(circumstancesOf(settings), null, 2)
  writeFileSync(join(resultsFolder(settings), 'goals.txt'), `${tableText(table)}\n${circumstances}\n`)
}

function resultsFolder({ projectRoot }: Settings): string {
  const folder = join(projectRoot, 'bench/results')
  mkdirSync(folder, { recursive: true })
  return folder
}

function circumstancesOf({ environment, projectRoot, postgresDsn, ...run }: Settings): object {
  return {
    at: new Date().toISOString(),
    commit: commitOf(projectRoot),
    machine: machine(),
    settings: { ...run, postgres: postgresDsn === undefined ? 'started for the run' : 'given by a DSN' },
  }
}

/** `median (min – max)`. */
export function range({ median, min, max }: Spread, digits = 0): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`
}

/** `median× [95 % interval]`. */
export function ratio({ median, low, high }: Spread): string {
  return `${median.toFixed(2)}× [${low.toFixed(2)}, ${high.toFixed(2)}]`
}

function machine(): Record<string, string | number> {
  const limit = readFileSync('/proc/self/limits', 'utf8').match(/Max open files\s+(\d+)/)
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    arch: arch(),
    node: process.version,
    openFiles: Number(limit?.[1]),
  }
}

function commitOf(folder: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const changed = git('status', '--porcelain').toString().trim() === '' ? '' : ' with local changes'
    return `${git('rev-parse', 'HEAD').toString().trim()}${changed}`
  } catch (error) {
    return `unknown (${error instanceof Error ? error.message.split('\n')[0] : error})`
  }
}
