import type { Patch } from './build.ts'
import type { World } from './world.ts'

/** One play of the faults: what went wrong in it, a line each. */
export interface Scenario {
  readonly name: string
  readonly run: (world: World, seed: number) => Promise<string[]>
  /** It takes long because something has to run out, not because it works. */
  readonly waits?: boolean
  /** It breaks PostgreSQL or Redis for everybody, so it has them for itself. */
  readonly ownsServers?: boolean
  /** What is changed in the service for this play, also when no bug is seeded: another safeguard would do the work, or the play would rarely meet its moment. */
  readonly without?: readonly Patch[]
}
