import { parseArgs } from 'node:util'

export interface Settings {
  readonly mode: 'smoke' | 'seeded' | 'disk-full' | 'long'
  readonly seed: number
  readonly minutes: number
  /** JSON; a long run whose report exists goes on from it. */
  readonly report: string | undefined
  /** Names of scenarios or bugs; none: all. */
  readonly only: readonly string[]
  readonly targets: { readonly acked: number; readonly instanceKills: number; readonly postgresCrashes: number }
}

const DEFAULT_MINUTES = 120
const DEFAULT_SEED = 20_261

export function readSettings(args: readonly string[]): Settings {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      smoke: { type: 'boolean', default: false },
      seeded: { type: 'boolean', default: false },
      'disk-full': { type: 'boolean', default: false },
      seed: { type: 'string' },
      minutes: { type: 'string' },
      report: { type: 'string' },
    },
  })
  return {
    mode: modeOf(values),
    seed: Number(values.seed ?? DEFAULT_SEED),
    minutes: Number(values.minutes ?? DEFAULT_MINUTES),
    report: values.report,
    only: positionals,
    targets: { acked: 1_000_000, instanceKills: 300, postgresCrashes: 100 },
  }
}

function modeOf(chosen: Readonly<Record<string, unknown>>): Settings['mode'] {
  for (const mode of ['smoke', 'seeded', 'disk-full'] as const) if (chosen[mode] === true) return mode
  return 'long'
}
