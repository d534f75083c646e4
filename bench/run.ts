/** Entry: `npm run bench [-- NAME …] [--quick | --smoke] [--pairs N]`. */
import { inspect } from 'node:util'
import { benchAck } from './ack.ts'
import { benchCluster } from './cluster.ts'
import { benchConnections } from './connections.ts'
import { benchFanout } from './fanout.ts'
import { benchGrowth } from './growth.ts'
import { benchIdle } from './idle.ts'
import { type Goal, goalsTable } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { VoidRun } from './lib/load.ts'
import { startPostgres } from './lib/postgres.ts'
import { printReport, type Report, writeGoals, writeReport } from './lib/report.ts'
import { readSettings, type Settings } from './lib/settings.ts'
import { printTable } from './lib/table.ts'
import { benchOverload } from './overload.ts'
import { benchRest } from './rest.ts'
import { benchSend } from './send.ts'
import { benchStatic } from './static.ts'
import { benchStorm } from './storm.ts'
import { benchWriter } from './writer.ts'

type Bench = (lab: Lab) => Promise<Report>

const benches: Readonly<Record<string, Bench>> = {
  send: benchSend,
  ack: benchAck,
  writer: benchWriter,
  rest: benchRest,
  fanout: benchFanout,
  idle: benchIdle,
  cluster: benchCluster,
  storm: benchStorm,
  growth: benchGrowth,
  overload: benchOverload,
  connections: benchConnections,
  static: benchStatic,
}

const smokesAtOnce = 2

async function run(settings: Settings): Promise<void> {
  const names = settings.names.length > 0 ? settings.names : Object.keys(benches)
  const chosen = names.map((name) => ({ name, bench: benchNamed(name) }))
  const postgres = await startPostgres(settings)
  const goals: Goal[] = []
  try {
    const waiting = chosen.values()
    const work = async (): Promise<void> => {
      for (const { name, bench } of waiting) goals.push(...(await runOne(name, bench, { settings, postgres })))
    }
    // What a smoke measures is not told, so its benches may share the machine, also with tests: most of their time they wait.
    await Promise.all(Array.from({ length: settings.mode === 'smoke' ? smokesAtOnce : 1 }, work))
  } finally {
    await postgres.stop()
  }
  if (settings.mode === 'smoke' || goals.length === 0) return
  const table = goalsTable(goals)
  printTable(table)
  writeGoals(table, settings)
}

/** One that fails is told at once and fails the whole, but the others still run. */
async function runOne(name: string, bench: Bench, lab: Lab): Promise<readonly Goal[]> {
  const startMs = performance.now()
  try {
    const report = await bench(lab)
    // What a second of a few connections measures is nothing that should be read, but what was left out is.
    if (lab.settings.mode !== 'smoke') printReport(report)
    else for (const note of report.leftOut ?? []) process.stdout.write(`${name}: ${note}\n`)
    const file = writeReport(report, lab.settings)
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1)
    process.stdout.write(`${name}: ok, ${seconds} s${file === undefined ? '' : `, written to ${file}`}\n`)
    return report.goals
  } catch (error) {
    process.stderr.write(`\n${name} FAILED: ${error instanceof VoidRun ? error.message : inspect(error)}\n`)
    process.exitCode = 1
    return []
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
  process.stderr.write(`${inspect(error)}\n`)
  process.exitCode = 1
}
