/** Entry: `npm run bench [-- NAME …] [--quick | --smoke] [--pairs N] [--msgpack]`. */
import { inspect } from 'node:util'
import { benchAck } from './ack.ts'
import { VoidRun } from './lib/load.ts'
import { printTable, type Report, writeReport } from './lib/report.ts'
import { readSettings, type Settings } from './lib/settings.ts'
import { benchSend } from './send.ts'

type Bench = (settings: Settings) => Promise<Report>

const benches: Readonly<Record<string, Bench>> = {
  send: benchSend,
  ack: benchAck,
}

async function run(settings: Settings): Promise<void> {
  const names = settings.names.length > 0 ? settings.names : Object.keys(benches)
  for (const bench of names.map(benchNamed)) {
    const report = await bench(settings)
    report.tables.forEach(printTable)
    const file = writeReport(report, settings)
    if (file !== undefined) process.stdout.write(`\nwritten to ${file}\n`)
  }
}

function benchNamed(name: string): Bench {
  const bench = benches[name]
  if (bench === undefined) throw new Error(`no bench '${name}': there are ${Object.keys(benches).join(', ')}`)
  return bench
}

try {
  await run(readSettings(process.argv.slice(2), process.env))
} catch (error) {
  process.stderr.write(`${error instanceof VoidRun ? error.message : inspect(error)}\n`)
  process.exitCode = 1
}
