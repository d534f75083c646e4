/** What does the writer cost over the statement it is built on, alone in a process and on prepared messages? */

import { cpuBetween, sampleCost } from './lib/cost.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { VoidRun } from './lib/load.ts'
import { queryNumber, runSql } from './lib/postgres.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { createRows } from './lib/rows.ts'
import { type ServiceOptions, startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, type Spread, spreadOf } from './lib/stats.ts'
import { StoreHandle } from './lib/store-handle.ts'
import { fillConversations } from './lib/store-methods.ts'
import type { StoreMethod, StorePlan, StoreResult } from './lib/store-plan.ts'
import type { Chart } from './lib/svg.ts'
import type { Table } from './lib/table.ts'

const methods: readonly StoreMethod[] = ['writer', 'copy', 'unnest', 'insert']
/** Conversations: of a large service, of 100 people each with all others, and of 50 pairs. */
const shapes = { sparse: 100_000, everybody: 4950, dense: 50 } as const
type Shape = keyof typeof shapes
const shapeNames: readonly Shape[] = ['sparse', 'everybody', 'dense']

/** Rows that take each method between a fifth of a second and two. */
const rowsByInFlight: ReadonlyMap<number, number> = new Map([
  [1, 1000],
  [16, 5000],
  [256, 20_000],
  [1000, 40_000],
  [4000, 60_000],
])
/** A single INSERT is the same whatever waits behind it, and slow. */
const insertRowsAtMost = 4000
const mostInFlight = 4000

interface Run extends StoreResult {
  readonly postgresUsPerRow: number
}

interface Cell {
  readonly shape: Shape
  readonly inFlight: number
  readonly runs: ReadonlyMap<StoreMethod, readonly Run[]>
}

export async function benchWriter(lab: Lab): Promise<Report> {
  const smoke = lab.settings.mode === 'smoke'
  const database = await lab.postgres.createDatabase()
  try {
    await migrateByService(lab, database.dsn)
    await runSql(database.dsn, fillConversations(smoke ? 1000 : shapes.sparse), createRows, 'analyze')
    const cells: Cell[] = []
    for (const shape of smoke ? (['sparse', 'dense'] as const) : shapeNames) {
      for (const inFlight of smoke ? [256] : rowsByInFlight.keys()) {
        cells.push({ shape, inFlight, runs: await compare(lab, database.dsn, shape, inFlight) })
      }
    }
    return reportOf(cells)
  } finally {
    await database.drop()
  }
}

/** The service makes its tables when it starts. */
export async function migrateByService(lab: Lab, dsn: string, options: ServiceOptions = {}): Promise<void> {
  const service = await startServiceOn(lab, dsn, options)
  await service.stop()
}

/** One process for all methods and rounds of a cell, each method warmed up once. */
async function compare(lab: Lab, dsn: string, shape: Shape, inFlight: number): Promise<Cell['runs']> {
  const scale = lab.settings.mode === 'smoke' ? 0.02 : lab.settings.mode === 'quick' ? 0.4 : 1
  const rows = Math.max(inFlight, Math.round((rowsByInFlight.get(inFlight) ?? 0) * scale))
  const conversations = lab.settings.mode === 'smoke' ? Math.min(1000, shapes[shape]) : shapes[shape]
  const child = await StoreHandle.start(dsn)
  let batchRows = inFlight
  const storeAll = async (method: StoreMethod): Promise<Run> => {
    // COPY and unnest write batches as large as the writer's were.
    const plan = { method, conversations, inFlight: method === 'copy' || method === 'unnest' ? batchRows : inFlight }
    const run = await storeCounted(lab, dsn, child, {
      ...plan,
      rows: method === 'insert' ? Math.min(rows, insertRowsAtMost) : rows,
    })
    if (method === 'writer') batchRows = Math.max(1, Math.round(run.batchRows))
    return run
  }
  try {
    if (lab.settings.mode !== 'smoke') for (const method of methods) await storeAll(method)
    return await interleave(lab.settings.pairs, methods, storeAll)
  } finally {
    child.stop()
  }
}

/** Into empty tables, counted afterwards: a run of which a row is missing is void. */
async function storeCounted(lab: Lab, dsn: string, child: StoreHandle, plan: StorePlan): Promise<Run> {
  await runSql(dsn, 'truncate messages, bench_rows', 'checkpoint')
  const roles = lab.postgres.role === undefined ? [] : [lab.postgres.role]
  const before = sampleCost(roles)
  const result = await child.store(plan)
  const postgresUs = cpuBetween(before, sampleCost(roles))['postgres'] ?? Number.NaN
  const table = plan.method === 'writer' ? 'messages' : 'bench_rows'
  const stored = await queryNumber(dsn, `select count(*) from ${table}`)
  if (stored !== plan.rows) throw new VoidRun(`writer: void, ${plan.method} stored ${stored} of ${plan.rows} rows`)
  return { ...result, postgresUsPerRow: postgresUs / plan.rows }
}

const rates = (runs: readonly Run[] | undefined): number[] => (runs ?? []).map((run) => run.rowsPerSecond)
const writerOverCopy = ({ runs }: Cell): Spread => ratiosOf(rates(runs.get('writer')), rates(runs.get('copy')))

function reportOf(cells: readonly Cell[]): Report {
  return {
    name: 'writer',
    tables: shapeNames.map((shape) =>
      tableOf(
        shape,
        cells.filter((cell) => cell.shape === shape),
      ),
    ),
    charts: cells.map(chartOf),
    goals: cells.filter(({ inFlight }) => inFlight === mostInFlight).map(goalOf),
    notes: [],
    raw: cells.map(({ runs, ...cell }) => ({ ...cell, runs: Object.fromEntries(runs) })),
  }
}

function tableOf(shape: Shape, cells: readonly Cell[]): Table {
  const row = (cell: Cell, method: StoreMethod): string[] => {
    const runs = cell.runs.get(method) ?? []
    return [
      `${cell.inFlight} in flight: ${method}`,
      range(spreadOf(rates(runs))),
      spreadOf(runs.map(({ batchRows }) => batchRows)).median.toFixed(0),
      range(spreadOf(runs.map(({ cpuUsPerRow }) => cpuUsPerRow)), 1),
      range(spreadOf(runs.map(({ postgresUsPerRow }) => postgresUsPerRow)), 1),
      method === 'writer' ? '–' : ratio(ratiosOf(rates(cell.runs.get('writer')), rates(runs))),
    ]
  }
  return {
    title: `writer: ${shape}, ${shapes[shape]} conversations in turn`,
    columns: ['', 'rows/s', 'rows a batch', 'node µs/row', 'postgres µs/row', 'writer ÷ this, rows/s'],
    rows: cells.flatMap((cell) => methods.map((method) => row(cell, method))),
  }
}

function chartOf(cell: Cell): Chart {
  return {
    kind: 'bars',
    title: `writer: ${cell.shape}, ${cell.inFlight} in flight`,
    unit: 'rows per second',
    bars: methods.map((method) => ({
      label: method,
      spread: spreadOf(rates(cell.runs.get(method))),
      isOurs: method === 'writer',
    })),
  }
}

function goalOf(cell: Cell): Goal {
  const title = `${shapes[cell.shape]} conversations in turn`
  const atLeast = cell.shape === 'dense' ? 0.8 : 0.6
  return {
    bench: 'writer',
    title: `rows/s ÷ plain COPY, ${title}`,
    wanted: { atLeast },
    unit: '×',
    measured: writerOverCopy(cell),
  }
}
