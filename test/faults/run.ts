// Entry: `npm run faults [-- --smoke | --seeded | --disk-full] [--seed N] [--minutes N] [--report FILE]`.
import { inspect } from 'node:util'
import { runDiskFull } from './disk-full.ts'
import { runLong } from './long.ts'
import { runSeeded } from './seeded.ts'
import { readSettings } from './settings.ts'
import { runSmoke } from './smoke.ts'

const settings = readSettings(process.argv.slice(2))
const modes = { smoke: runSmoke, seeded: runSeeded, long: runLong, 'disk-full': runDiskFull }

// Leaving runs the exit handlers, which end the instances.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))
process.setMaxListeners(0)

try {
  const isSound = await modes[settings.mode](settings)
  process.exit(isSound ? 0 : 1)
} catch (error) {
  process.stderr.write(`${inspect(error)}\n`)
  process.exit(1)
}
