// Entry: `npm run faults [-- --smoke | --seeded | --outages | --disk-full | --power-cut | --io-errors | --migration | --standby | --beside PATH | --sdk | --accounts | --push] [--seed N]
// [--minutes N] [--report FILE] [--redis cluster | sentinels]`. Exit code 0: nothing was found, 1: something was, 77: this machine cannot play it.
import { inspect } from 'node:util'
import { runAccounts } from './accounts.ts'
import { runBeside } from './beside.ts'
import { runDiskFull } from './disk-full.ts'
import { runIoErrors } from './io-errors.ts'
import { runLong } from './long.ts'
import { runMigration } from './migration.ts'
import { Missing, SKIPPED_EXIT_CODE } from './missing.ts'
import { runOutages } from './outages.ts'
import { runPowerCut } from './power-cut.ts'
import { runPush } from './push.ts'
import { runRevocations } from './revocations.ts'
import { runSdk } from './sdk-round.ts'
import { runSeeded } from './seeded.ts'
import { readSettings } from './settings.ts'
import { runSmoke } from './smoke.ts'
import { runStandby } from './standby.ts'

const settings = readSettings(process.argv.slice(2))
const modes = {
  smoke: runSmoke,
  seeded: runSeeded,
  outages: runOutages,
  long: runLong,
  'disk-full': runDiskFull,
  'power-cut': runPowerCut,
  'io-errors': runIoErrors,
  migration: runMigration,
  standby: runStandby,
  beside: runBeside,
  sdk: runSdk,
  accounts: runAccounts,
  revocations: runRevocations,
  push: runPush,
}

// Leaving runs the exit handlers, which end the instances.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => process.exit(130))
process.setMaxListeners(0)

try {
  const isSound = await modes[settings.mode](settings)
  process.exit(isSound ? 0 : 1)
} catch (error) {
  const isMissing = error instanceof Missing
  process.stderr.write(`${isMissing ? error.message : inspect(error)}\n`)
  process.exit(isMissing ? SKIPPED_EXIT_CODE : 1)
}
