/** How many messages per second, and at what cost, beside servers that store nothing and beside what people build? */
import { type Contestant, contestantsOf } from './lib/contestants.ts'
import { type CpuByRole, cpuBetween, sampleCost } from './lib/cost.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { type Outcome, runLoad } from './lib/load.ts'
import { type LoadPlan, usualLoad } from './lib/load-plan.ts'
import { runSql } from './lib/postgres.ts'
import { isThere, leftOut, subjectNamed, versionNotes } from './lib/programs.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { createRows } from './lib/rows.ts'
import { type Cell, shapeOf, wantedCells } from './lib/send-cells.ts'
import { costs, costTitle, encodingGoal, goalsOf, type Run, type Runs, rates } from './lib/send-goals.ts'
import {
  type RunningService,
  type ServiceOptions,
  serviceOptionsOf,
  serviceSubject,
  startService,
} from './lib/service.ts'
import type { Settings } from './lib/settings.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { StoreHandle } from './lib/store-handle.ts'
import { protocolOf, type Subject } from './lib/subjects.ts'
import type { Chart } from './lib/svg.ts'
import type { Table } from './lib/table.ts'

/** Not a server but the limit of storing: COPY of the same rows at the batch size that the service has just shown. */
const copyLimit = 'copy'

export async function benchSend(lab: Lab): Promise<Report> {
  const tables: Table[] = []
  const charts: Chart[] = []
  const goals: Goal[] = []
  const raw: Record<string, unknown> = {}
  for (const cell of wantedCells(lab.settings)) {
    const title = `send: ${cell.connections} connections × ${cell.inFlight} in flight, ${shapeOf(cell)}${cell.encoding}`
    const runs = await compare(lab, cell)
    tables.push(tableOf(title, runs))
    charts.push(...chartsOf(title, runs))
    goals.push(...goalsOf(cell, runs))
    raw[title] = Object.fromEntries(runs)
  }
  const jsonCost = goals.find(({ title }) => title === costTitle('json'))?.measured
  const msgpackCost = goals.find(({ title }) => title === costTitle('msgpack'))?.measured
  if (jsonCost !== undefined && msgpackCost !== undefined) goals.push(encodingGoal(jsonCost, msgpackCost))
  const notes = [
    'Socket.IO, Centrifugo and Tinode are asked in JSON: they stand beside JSON only',
    ...versionNotes(lab.settings),
  ]
  return { name: 'send', tables, charts, goals, notes, leftOut: leftOut(lab.settings), raw }
}

async function compare(lab: Lab, cell: Cell): Promise<Runs> {
  const plan = planOf(lab.settings, cell)
  let batchRows = 1
  const { subjects = cell.subjects } = lab.settings
  const names = subjects.filter((name) => {
    return isThere(name, lab.settings) && (cell.encoding === 'json' || protocolOf(name).startsWith('messaging'))
  })
  const runs = await interleave<Contestant, Run>(lab.settings.pairs, contestantsOf(names), async ({ name }) => {
    if (name === copyLimit) return runCopy(lab, batchRows, plan)
    const options = serviceOptionsOf(name)
    if (options === undefined) return runSubject(lab, subjectNamed(name, lab.settings, plan.connections), plan)
    const run = await runService(lab, plan, options)
    batchRows = Math.max(1, Math.round(run.batchRows))
    return run
  })
  return new Map([...runs].map(([{ label }, list]) => [label, list]))
}

function planOf(settings: Settings, { encoding, connections, inFlight, ...shape }: Cell): LoadPlan {
  const { generators, burst, measureMs } = settings
  const { peersEach = 1, measuresOpening = false, ackEvery = settings.ackEvery } = shape
  const warmupMs = measuresOpening ? 0 : settings.warmupMs
  const load = {
    ...usualLoad,
    encoding,
    connections,
    inFlight,
    peersEach,
    opensFirst: peersEach > 1 && !measuresOpening,
  }
  return { ...load, burst, warmupMs, measureMs, generators, ackEvery }
}

async function runSubject(lab: Lab, subject: Subject, plan: LoadPlan): Promise<Outcome> {
  const running = await subject.start(lab)
  try {
    return await runLoad(running, plan)
  } finally {
    await running.stop()
  }
}

async function runService(
  lab: Lab,
  plan: LoadPlan,
  options: ServiceOptions,
): Promise<Outcome & { readonly batchRows: number }> {
  let batchRows = 1
  const withBatches: Subject = {
    name: serviceSubject.name,
    async start() {
      const running: RunningService = await startService(lab, options)
      const stop = async (): Promise<void> => {
        batchRows = await running.meanBatchRows().finally(running.stop)
      }
      return { ...running, stop }
    },
  }
  const outcome = await runSubject(lab, withBatches, plan)
  return { ...outcome, batchRows }
}

/** As many rows as take about the measured time at 100,000 rows a second, in as many conversations as the load has. */
async function runCopy(lab: Lab, batchRows: number, plan: LoadPlan): Promise<Run> {
  const database = await lab.postgres.createDatabase()
  await runSql(database.dsn, createRows)
  const child = await StoreHandle.start(database.dsn)
  const rows = Math.max(batchRows * 4, Math.round((plan.measureMs / 1000) * (batchRows >= 50 ? 80_000 : 8000)))
  const load = {
    method: 'copy',
    inFlight: batchRows,
    conversations: Math.max(1, (plan.connections * plan.peersEach) / 2),
  } as const
  try {
    await child.store({ ...load, rows: batchRows * 4 })
    await runSql(database.dsn, 'truncate bench_rows', 'checkpoint')
    const roles = lab.postgres.role === undefined ? [] : [lab.postgres.role]
    const before = sampleCost(roles)
    const { rowsPerSecond, cpuUsPerRow } = await child.store({ ...load, rows })
    const postgres = perMessage(cpuBetween(before, sampleCost(roles)), rows)
    return { messagesPerSecond: rowsPerSecond, cpuUsPerMessage: { ...postgres, service: cpuUsPerRow } }
  } finally {
    child.stop()
    await database.drop()
  }
}

function perMessage(cpuUs: CpuByRole, messages: number): CpuByRole {
  return Object.fromEntries(Object.entries(cpuUs).map(([role, us]) => [role, us / messages]))
}

const columns = [
  'server',
  'msg/s',
  'service µs/msg',
  'postgres µs/msg',
  'generator µs/msg',
  'ack p50 ms',
  'p99 ms',
  'generator busy',
  'others, cores',
  'first ÷ this, msg/s',
  'this ÷ first, service CPU',
]

function tableOf(title: string, runs: Runs): Table {
  const [ours = []] = runs.values()
  const row = ([name, list]: readonly [string, readonly Run[]]): string[] => [
    name,
    range(spreadOf(rates(list))),
    ...['service', 'postgres', 'generator'].map((role) => costText(list, role)),
    latencyText(list, 'p50Ms'),
    latencyText(list, 'p99Ms'),
    worst(list.map((run) => run.generatorUtilisation)),
    worst(list.map(({ disturbance: seen }) => seen && seen.stolenCores + seen.foreignCores)),
    list === ours ? '–' : ratio(ratiosOf(rates(ours), rates(list))),
    list === ours ? '–' : ratio(ratiosOf(costs(list, 'service'), costs(ours, 'service'))),
  ]
  return { title, columns, rows: [...runs].map(row) }
}

function chartsOf(title: string, runs: Runs): Chart[] {
  const bars = (read: (list: readonly Run[]) => number[]) =>
    [...runs].map(([label, list]) => ({ label, spread: spreadOf(read(list)), isOurs: label === serviceSubject.name }))
  return [
    { kind: 'bars', title, unit: 'messages per second', bars: bars(rates) },
    { kind: 'bars', title, unit: 'µs of server CPU per message', bars: bars((list) => costs(list, 'service')) },
  ]
}

function costText(list: readonly Run[], role: string): string {
  const values = costs(list, role).filter(Number.isFinite)
  return values.length === 0 ? '–' : range(spreadOf(values), 1)
}

function latencyText(list: readonly Run[], percentile: 'p50Ms' | 'p99Ms'): string {
  const values = list.map((run) => run.ack?.[percentile]).filter((value) => value !== undefined)
  return values.length === 0 ? '–' : spreadOf(values).median.toFixed(2)
}

function worst(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? '–' : Math.max(...known).toFixed(2)
}
