/** How many messages per second, and at what cost, beside servers that store nothing and beside what people build? */
import { type CpuByRole, cpuBetween, sampleCost } from './lib/cost.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { type Outcome, runLoad } from './lib/load.ts'
import type { LoadPlan } from './lib/load-plan.ts'
import { runSql } from './lib/postgres.ts'
import { type Report, range, ratio, type Table } from './lib/report.ts'
import { createRows } from './lib/rows.ts'
import { type RunningService, serviceSubject, startService } from './lib/service.ts'
import type { Settings } from './lib/settings.ts'
import { interleave, ratiosOf, type Spread, spreadOf } from './lib/stats.ts'
import { StoreHandle } from './lib/store-handle.ts'
import { peerSubject, protocolOf, type Subject } from './lib/subjects.ts'
import type { Chart } from './lib/svg.ts'
import type { Encoding } from './lib/wire.ts'

const everyone = ['service', 'ws-relay', 'uws-relay', 'socketio-relay', 'ws-insert', 'socketio-insert', 'copy']
const relays = ['service', 'ws-relay', 'uws-relay']
/** Rounds of the cells that no goal is about. */
const fewRounds = 3
/** Not a server but the limit of storing: COPY of the same rows at the batch size that the service has just shown. */
const copyLimit = 'copy'

interface Cell {
  readonly encoding: Encoding
  readonly connections: number
  readonly inFlight: number
  readonly subjects: readonly string[]
  /** At most; all that are asked for when undefined. */
  readonly rounds?: number
}

const cells: readonly Cell[] = [
  { encoding: 'json', connections: 100, inFlight: 16, subjects: everyone },
  { encoding: 'json', connections: 100, inFlight: 1, subjects: [...relays, 'ws-insert', 'copy'] },
  { encoding: 'json', connections: 1000, inFlight: 16, subjects: relays, rounds: fewRounds },
  { encoding: 'json', connections: 1000, inFlight: 1, subjects: relays, rounds: fewRounds },
  { encoding: 'msgpack', connections: 100, inFlight: 16, subjects: relays },
  { encoding: 'msgpack', connections: 100, inFlight: 1, subjects: relays, rounds: fewRounds },
]
const smokeCells: readonly Cell[] = [
  { encoding: 'json', connections: 20, inFlight: 16, subjects: everyone },
  { encoding: 'msgpack', connections: 20, inFlight: 1, subjects: ['service', 'ws-relay'] },
]

/** One run of a server, or of the limit, which has no latency. */
type Run = Pick<Outcome, 'messagesPerSecond' | 'cpuUsPerMessage'> & Partial<Outcome>
type Runs = ReadonlyMap<string, readonly Run[]>

export async function benchSend(lab: Lab): Promise<Report> {
  const tables: Table[] = []
  const charts: Chart[] = []
  const goals: Goal[] = []
  const raw: Record<string, unknown> = {}
  for (const cell of lab.settings.mode === 'smoke' ? smokeCells : cells) {
    const title = `send: ${cell.connections} connections × ${cell.inFlight} in flight, ${cell.encoding}`
    const runs = await compare(lab, cell)
    tables.push(tableOf(title, runs))
    charts.push(...chartsOf(title, runs))
    goals.push(...goalsOf(cell, runs))
    raw[title] = Object.fromEntries(runs)
  }
  const jsonCost = goals.find(({ title }) => title === costTitle('json'))?.measured
  const msgpackCost = goals.find(({ title }) => title === costTitle('msgpack'))?.measured
  if (jsonCost !== undefined && msgpackCost !== undefined) goals.push(encodingGoal(jsonCost, msgpackCost))
  const notes = ['Socket.IO speaks JSON: its servers stand beside JSON only']
  return { name: 'send', tables, charts, goals, notes, raw }
}

async function compare(lab: Lab, cell: Cell): Promise<Runs> {
  const plan = planOf(lab.settings, cell)
  let batchRows = 1
  const names = (lab.settings.subjects ?? cell.subjects).filter((name) => {
    return cell.encoding === 'json' || protocolOf(name) !== 'socketio'
  })
  const contestants = names.map((name, index) => ({ name, label: labelOf(name, index, names) }))
  const runs = await interleave<(typeof contestants)[number], Run>(
    lab.settings.pairs,
    contestants,
    async ({ name }) => {
      if (name === copyLimit) return runCopy(lab, batchRows, plan)
      if (name !== serviceSubject.name) return runSubject(lab, peerSubject(name), plan)
      const run = await runService(lab, plan)
      batchRows = Math.max(1, Math.round(run.batchRows))
      return run
    },
  )
  return new Map([...runs].map(([{ label }, list]) => [label, list]))
}

/** A name given twice stays two contestants: what differs between them is noise. */
function labelOf(name: string, index: number, names: readonly string[]): string {
  return names.indexOf(name) === index ? name : `${name} (${index + 1})`
}

function planOf(settings: Settings, { encoding, connections, inFlight }: Cell): LoadPlan {
  const { generators, warmupMs, measureMs, ackEvery } = settings
  const load = { encoding, connections, inFlight, ratePerSecond: 0, contentBytes: 100 }
  return { ...load, warmupMs, measureMs, generators, ackEvery }
}

async function runSubject(lab: Lab, subject: Subject, plan: LoadPlan): Promise<Outcome> {
  const running = await subject.start(lab)
  try {
    return await runLoad(running, plan)
  } finally {
    await running.stop()
  }
}

async function runService(lab: Lab, plan: LoadPlan): Promise<Outcome & { readonly batchRows: number }> {
  let batchRows = 1
  const withBatches: Subject = {
    name: serviceSubject.name,
    async start() {
      const running: RunningService = await startService(lab)
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
  const load = { method: 'copy', inFlight: batchRows, conversations: Math.max(1, plan.connections / 2) } as const
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

const rates = (list: readonly Run[]): number[] => list.map((run) => run.messagesPerSecond)
const costs = (list: readonly Run[], role: string): number[] =>
  list.map((run) => run.cpuUsPerMessage[role] ?? Number.NaN)

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

const costTitle = (encoding: Encoding): string => `service CPU per message, 100 × 16, ${encoding}`

/** Factors by which the service is to send more messages a second than a peer, by messages in flight. */
const wantedFactors: Readonly<Record<number, Readonly<Record<string, number>>>> = {
  16: { 'ws-relay': 1, 'socketio-relay': 1.6, 'ws-insert': 8, 'socketio-insert': 12 },
  1: { 'ws-insert': 4 },
}

function goalsOf({ encoding, connections, inFlight }: Cell, runs: Runs): Goal[] {
  const ours = runs.get(serviceSubject.name)
  if (ours === undefined || connections !== 100) return []
  const factors = encoding === 'json' ? Object.entries(wantedFactors[inFlight] ?? {}) : []
  const goals = factors.flatMap(([peer, atLeast]): Goal[] => {
    const theirs = runs.get(peer)
    if (theirs === undefined) return []
    const title = `msg/s ÷ ${peer}, 100 × ${inFlight}, json`
    return [{ bench: 'send', title, wanted: { atLeast }, unit: '×', measured: ratiosOf(rates(ours), rates(theirs)) }]
  })
  if (inFlight !== 16) return goals
  const measured = spreadOf(costs(ours, 'service'))
  return [...goals, { bench: 'send', title: costTitle(encoding), wanted: { atMost: 8 }, unit: 'µs', measured }]
}

function encodingGoal(json: Spread, msgpack: Spread): Goal {
  const measured = ratiosOf(msgpack.values, json.values)
  return {
    bench: 'send',
    title: 'service CPU, MessagePack ÷ JSON, 100 × 16',
    wanted: { atMost: 1 },
    unit: '×',
    measured,
  }
}
