import { parseArgs } from 'node:util'
import { REDIS_KINDS, type SetUpKind } from '../support/redis-set-up.ts'

export interface Settings {
  readonly mode:
    | 'smoke'
    | 'seeded'
    | 'outages'
    | 'disk-full'
    | 'power-cut'
    | 'io-errors'
    | 'migration'
    | 'standby'
    | 'beside'
    | 'sdk'
    | 'accounts'
    | 'revocations'
    | 'push'
    | 'long'
  readonly seed: number
  readonly minutes: number
  /** JSON; a long run whose report exists goes on from it. */
  readonly report: string | undefined
  /** A directory with another version's compiled main.js. */
  readonly beside: string | undefined
  /** What kind of Redis the outages and the rounds have. */
  readonly redis: SetUpKind
  /** Names of scenarios, outages or bugs; none: all. */
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
      outages: { type: 'boolean', default: false },
      'disk-full': { type: 'boolean', default: false },
      'power-cut': { type: 'boolean', default: false },
      'io-errors': { type: 'boolean', default: false },
      migration: { type: 'boolean', default: false },
      standby: { type: 'boolean', default: false },
      sdk: { type: 'boolean', default: false },
      accounts: { type: 'boolean', default: false },
      revocations: { type: 'boolean', default: false },
      push: { type: 'boolean', default: false },
      beside: { type: 'string' },
      seed: { type: 'string' },
      minutes: { type: 'string' },
      report: { type: 'string' },
      redis: { type: 'string' },
    },
  })
  return {
    mode: modeOf(values),
    seed: Number(values.seed ?? DEFAULT_SEED),
    minutes: Number(values.minutes ?? DEFAULT_MINUTES),
    report: values.report,
    beside: values.beside,
    redis: kindOf(values.redis ?? 'single'),
    only: positionals,
    targets: { acked: 1_000_000, instanceKills: 300, postgresCrashes: 100 },
  }
}

function kindOf(name: string): SetUpKind {
  const kind = REDIS_KINDS.find((one) => one === name)
  if (!kind) throw new Error(`--redis is one of ${REDIS_KINDS.join(', ')}`)
  return kind
}

function modeOf(chosen: Readonly<Record<string, unknown>>): Settings['mode'] {
  if (chosen['beside'] !== undefined) return 'beside'
  const modes = [
    'smoke',
    'seeded',
    'outages',
    'disk-full',
    'power-cut',
    'io-errors',
    'migration',
    'standby',
    'sdk',
    'accounts',
    'revocations',
    'push',
  ] as const
  for (const mode of modes) if (chosen[mode] === true) return mode
  return 'long'
}
