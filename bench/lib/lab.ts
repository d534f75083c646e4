import type { BenchPostgres } from './postgres.ts'
import type { Settings } from './settings.ts'

/** What every bench is given: how to measure, and a database server to measure on. */
export interface Lab {
  readonly settings: Settings
  readonly postgres: BenchPostgres
}
