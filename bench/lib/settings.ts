/** Command line and environment of a bench run: the only place in bench/ that reads them. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { usualLoad } from './load-plan.ts'

export interface Settings {
  readonly mode: 'full' | 'quick' | 'smoke'
  readonly names: readonly string[]
  readonly pairs: number
  readonly warmupMs: number
  readonly measureMs: number
  /** Which servers `send` compares in every cell, the first with each other; the same name twice measures the noise (A/A). */
  readonly subjects: readonly string[] | undefined
  /** Which cells `send` measures, as `json-100x16`; all when undefined. */
  readonly cells: readonly string[] | undefined
  /** Centrifugo's program, for its subjects of `send`; they are left out without it. */
  readonly centrifugo: string | undefined
  /** Tinode's program, for its subject of `send`; it is left out without it. */
  readonly tinode: string | undefined
  readonly generators: number
  /** Messages that a connection of `send` writes at once at most. */
  readonly burst: number
  /** Messages between two `ack` commands of a receiver; 0 until the service knows `ack`. */
  readonly ackEvery: number
  /** PostgreSQL server to use in place of one that is started for the run. */
  readonly postgresDsn: string | undefined
  readonly projectRoot: string
  readonly environment: Readonly<Record<string, string | undefined>>
}

const modes = {
  full: { pairs: 5, warmupMs: 1000, measureMs: 3000 },
  quick: { pairs: 3, warmupMs: 700, measureMs: 1500 },
  smoke: { pairs: 1, warmupMs: 150, measureMs: 350 },
} as const

export function readSettings(args: readonly string[], environment: Settings['environment']): Settings {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      smoke: { type: 'boolean', default: false },
      pairs: { type: 'string' },
      subjects: { type: 'string' },
      cells: { type: 'string' },
      centrifugo: { type: 'string' },
      tinode: { type: 'string' },
      generators: { type: 'string' },
      burst: { type: 'string' },
      'ack-every': { type: 'string' },
    },
  })
  const mode = values.smoke ? 'smoke' : values.quick ? 'quick' : 'full'
  const defaults = modes[mode]
  return {
    ...defaults,
    mode,
    names: positionals,
    pairs: positiveInteger('pairs', values.pairs, defaults.pairs),
    subjects: values.subjects?.split(','),
    cells: values.cells?.split(','),
    centrifugo: values.centrifugo,
    tinode: values.tinode,
    generators: positiveInteger('generators', values.generators, mode === 'smoke' ? 1 : 2),
    burst: positiveInteger('burst', values.burst, usualLoad.burst),
    ackEvery: values['ack-every'] === undefined ? 0 : positiveInteger('ack-every', values['ack-every'], 64),
    postgresDsn: environment['BENCH_POSTGRES_DSN'] || undefined,
    projectRoot: findProjectRoot(),
    environment,
  }
}

function positiveInteger(name: string, text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} must be a whole number from 1, not '${text}'`)
  return value
}

/** This file runs from the build folder: the project is where package.json lies. */
function findProjectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    if (folder === dirname(folder)) throw new Error('no package.json above the bench')
    folder = dirname(folder)
  }
  return folder
}
