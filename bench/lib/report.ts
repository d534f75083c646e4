/** What a bench leaves behind: one table on the terminal, one JSON file with every raw value. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Settings } from './settings.ts'
import type { Spread } from './stats.ts'

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export interface Report {
  readonly name: string
  readonly tables: readonly Table[]
  /** Everything measured, run by run, for whoever wants to judge again. */
  readonly raw: unknown
}

export function printTable({ title, columns, rows }: Table): void {
  const lines = [columns, ...rows]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)))
  const layOut = (line: readonly string[]) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
  process.stdout.write(`\n${title}\n`)
  for (const line of lines) process.stdout.write(`  ${layOut(line).join('  ')}\n`)
}

/** Writes `bench/results/<name>.json` and returns its path; a smoke run leaves no file. */
export function writeReport(report: Report, settings: Settings): string | undefined {
  if (settings.mode === 'smoke') return undefined
  const folder = join(settings.projectRoot, 'bench/results')
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${report.name}.json`)
  const { environment, projectRoot, postgresDsn, ...run } = settings
  const content = {
    ...report,
    at: new Date().toISOString(),
    commit: commitOf(projectRoot),
    machine: machine(),
    settings: { ...run, postgres: postgresDsn === undefined ? 'started by the service' : 'given by a DSN' },
  }
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`)
  return file
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
