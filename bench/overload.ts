/**
 * What becomes of the service when three times as much is offered as it carries: by clients who keep to the limit on sends
 * in flight, and by clients who ignore it?
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type FloodHandle, startFlood } from './lib/flood-handle.ts'
import { MemoryWatch } from './lib/flood-memory.ts'
import type { FloodResult } from './lib/flood-plan.ts'
import { Probe } from './lib/flood-probe.ts'
import type { Goal } from './lib/goals.ts'
import { type LatencySummary, summaryOf } from './lib/histogram.ts'
import type { Lab } from './lib/lab.ts'
import { runLoad, VoidRun } from './lib/load.ts'
import { usualLoad } from './lib/load-plan.ts'
import { type Report, range } from './lib/report.ts'
import { type RunningService, startService } from './lib/service.ts'
import { medianOf, spreadOf } from './lib/stats.ts'
import type { Table } from './lib/table.ts'

/** How much is offered, in peaks. */
const times = 3
const contentBytes = 100
/** Shorter than this an answer is not slow on a machine shared with the load. */
const leastNormalMs = 10

const kinds = ['keeping to the limit', 'ignoring the limit'] as const
type Kind = (typeof kinds)[number]

interface Cell {
  readonly connections: number
  readonly kind: Kind
}

/** `calmMs`: as long without a slow answer and it is over. Nothing waits for the database longer than the 1.8 s of a send. */
const paces = {
  full: { sizes: [100, 1000], environment: {}, calmMs: 1000, comeBackMs: 1000, settledAfterMs: 3000 },
  quick: { sizes: [100, 1000], environment: {}, calmMs: 1000, comeBackMs: 1000, settledAfterMs: 3000 },
  // So few clients overload nothing by themselves.
  smoke: {
    sizes: [4],
    environment: { WRITER_MAX_QUEUE_ROWS: '500', USER_COMMANDS_PER_SECOND: '0' },
    calmMs: 100,
    comeBackMs: 100,
    settledAfterMs: 300,
  },
} as const
const smokePeakPerSecond = 300_000

interface Run extends Cell {
  readonly peakPerSecond: number
  /** What came of `times` peaks, in peaks: what was due, what the clients did not send, what was acknowledged. */
  readonly offered: number
  readonly heldBack: number
  readonly goodput: number
  readonly refusedShare: number
  readonly refusals: Readonly<Record<string, number>>
  readonly closes: number
  readonly lost: number
  readonly lostStored: number
  readonly refusalAge: LatencySummary
  readonly ackAge: LatencySummary
  /** A polite client beside the flood, before and in it. */
  readonly calmProbe: LatencySummary
  readonly floodedProbe: LatencySummary
  readonly backMs: number
  readonly restMiB: number
  readonly halfMiB: number
  readonly mostMiB: number
}

export async function benchOverload(lab: Lab): Promise<Report> {
  const runs: Run[] = []
  for (let round = 0; round < Math.min(2, lab.settings.pairs); round++)
    for (const connections of paces[lab.settings.mode].sizes) runs.push(...(await overloads(lab, connections)))
  return reportOf(runs)
}

/** Both kinds of clients, one after the other, on one service whose peak is known. */
async function overloads(lab: Lab, connections: number): Promise<Run[]> {
  const service = await startService(lab, { environment: paces[lab.settings.mode].environment })
  try {
    const peak = lab.settings.mode === 'smoke' ? smokePeakPerSecond : await peakOf(lab, service)
    const runs: Run[] = []
    for (const kind of kinds) {
      const people = { ...service, userPrefix: `${service.userPrefix}${kind.slice(0, 1)}` }
      runs.push(await overload(lab, people, { connections, kind }, peak))
    }
    return runs
  } finally {
    await service.stop()
  }
}

async function overload({ settings }: Lab, service: RunningService, cell: Cell, peak: number): Promise<Run> {
  const handles = Array.from({ length: settings.generators }, () => startFlood())
  const probe = new Probe(service)
  const memory = new MemoryWatch(service.pid)
  const { warmupMs, measureMs: windowMs, mode } = settings
  const pace = paces[mode]
  try {
    await Promise.all(
      handles.map((handle, index) => open(handle, service, { ...pace, ...cell, index, of: handles.length })),
    )
    await probe.start()
    await wait(warmupMs)
    const calmProbe = probe.taken()
    memory.start()
    const measureMs = mode === 'smoke' ? windowMs : 2 * windowMs
    const rate = (times * peak) / handles.length
    const rushes = await Promise.all(handles.map((one) => one.tell({ type: 'rush', rate, warmupMs, measureMs })))
    const { restMiB, halfMiB, mostMiB } = memory.stop()
    const floodedProbe = probe.taken()
    const backMs = await probe.back(Math.max(leastNormalMs, 2 * calmProbe.p99Ms), pace.calmMs)
    const results = await Promise.all(handles.map((handle) => handle.tell({ type: 'finish' })))
    await requireValid(service, results, await probe.finish())
    if (rushes.every(({ refused, heldBack, closes }) => refused + heldBack + closes === 0))
      throw new VoidRun('overload: nothing was refused or held back: it was no overload')
    return { ...cell, ...shares(peak, rushes, results), calmProbe, floodedProbe, backMs, restMiB, halfMiB, mostMiB }
  } finally {
    memory.stop()
    probe.close()
    for (const handle of handles) handle.stop()
  }
}

/** The most this very service has carried in three tries of a closed loop. */
async function peakOf({ settings }: Lab, service: RunningService): Promise<number> {
  const { warmupMs, measureMs, generators } = settings
  const load = { ...usualLoad, connections: 100, contentBytes }
  const rates: number[] = []
  for (let run = 0; run < 3; run++) {
    const people = { ...service, userPrefix: `${service.userPrefix}peak${run}-` }
    const outcome = await runLoad(people, { ...load, warmupMs, measureMs, generators })
    rates.push(outcome.messagesPerSecond)
  }
  return medianOf(rates)
}

interface Share extends Cell {
  readonly comeBackMs: number
  readonly settledAfterMs: number
  readonly index: number
  readonly of: number
}

async function open(
  handle: FloodHandle,
  { host, port, userPrefix }: RunningService,
  { kind, connections, comeBackMs, settledAfterMs, index, of }: Share,
): Promise<void> {
  const all = Array.from({ length: connections / 2 }, (_, pair) => pair).filter((pair) => pair % of === index)
  const pairs = all.map((pair) => [`${userPrefix}flood${2 * pair}`, `${userPrefix}flood${2 * pair + 1}`] as const)
  const keepsLimit = kind === 'keeping to the limit'
  const plan = { host, port, pairs, contentBytes, keepsLimit, comeBackMs, settledAfterMs }
  const { faults } = await handle.tell({ type: 'open', plan })
  if (faults.length > 0) throw new VoidRun(`overload: ${faults[0]}`)
}

/** What is stored is what both people of each conversation hold, or the figures are worth nothing. */
async function requireValid(
  service: RunningService,
  results: readonly FloodResult[],
  probe: Pick<FloodResult, 'conversations' | 'faults'>,
): Promise<void> {
  const all = [...results, probe]
  const faults = all.flatMap((result) => result.faults)
  if (faults.length === 0)
    faults.push(...(await service.storageFaults(all.flatMap(({ conversations }) => conversations))))
  if (faults.length > 0)
    throw new VoidRun(`overload: void\n  ${faults.slice(0, 5).join('\n  ')}\n${service.recentLog()}`)
}

type Measured = Omit<Run, keyof Cell | 'calmProbe' | 'floodedProbe' | 'backMs' | 'restMiB' | 'halfMiB' | 'mostMiB'>

function shares(peakPerSecond: number, rushes: readonly FloodResult[], results: readonly FloodResult[]): Measured {
  const sum = (list: readonly FloodResult[], read: (result: FloodResult) => number): number =>
    list.reduce((total, one) => total + read(one), 0)
  const inPeaks = (read: (result: FloodResult) => number): number =>
    sum(rushes, (rush) => read(rush) / rush.seconds) / peakPerSecond
  const goodput = inPeaks(({ acked }) => acked)
  const refused = inPeaks((rush) => rush.refused)
  const refusals: Record<string, number> = {}
  for (const result of results)
    for (const [code, count] of Object.entries(result.refusals)) refusals[code] = (refusals[code] ?? 0) + count
  return {
    peakPerSecond,
    offered: inPeaks(({ offered }) => offered),
    heldBack: inPeaks(({ heldBack }) => heldBack),
    goodput,
    refusedShare: refused / (goodput + refused),
    refusals,
    closes: sum(results, ({ closes }) => closes),
    lost: sum(results, ({ lost }) => lost),
    lostStored: sum(results, ({ lostStored }) => lostStored),
    refusalAge: summaryOf(rushes.map(({ refusalAge }) => refusalAge)),
    ackAge: summaryOf(rushes.map(({ ackAge }) => ackAge)),
  }
}

/** The runs of each cell, in the order in which the cells first came. */
function byCell(runs: readonly Run[]): [string, Run[]][] {
  const cells = new Map<string, Run[]>()
  for (const run of runs) {
    const name = `${run.connections} ${run.kind}`
    cells.set(name, [...(cells.get(name) ?? []), run])
  }
  return [...cells]
}

function reportOf(runs: readonly Run[]): Report {
  const row = ([name, list]: readonly [string, readonly Run[]]): string[] => {
    const of = (read: (run: Run) => number, digits = 0) => range(spreadOf(list.map(read)), digits)
    return [
      name,
      of((run) => run.peakPerSecond),
      of((run) => run.offered, 2),
      of((run) => run.heldBack, 2),
      of((run) => run.goodput, 2),
      of((run) => run.refusedShare * 100),
      of((run) => run.closes),
      of((run) => run.refusalAge.p99Ms),
      of((run) => run.ackAge.p99Ms),
      of((run) => run.calmProbe.p99Ms, 1),
      of((run) => run.floodedProbe.p99Ms),
      of((run) => run.mostMiB - run.restMiB),
      of((run) => run.backMs),
    ]
  }
  const table: Table = {
    title: `overload: ${times} × the peak offered, json`,
    columns: [
      ...['connections', 'peak msg/s', 'offered ÷ peak', 'held back ÷ peak', 'acked ÷ peak', 'refused %', 'closes'],
      ...['refusal p99 ms', 'ack p99 ms', 'calm probe p99 ms', 'flooded', 'memory MiB more', 'normal after ms'],
    ],
    rows: byCell(runs).map(row),
  }
  return {
    name: 'overload',
    tables: [table],
    charts: [],
    goals: byCell(runs).flatMap(([name, list]) => goalsOf(name, list)),
    notes: byCell(runs).map(([name, list]) => `${name}: ${list.map(outcomeOf).join('; ')}`),
    raw: runs,
  }
}

function outcomeOf({ refusals, lost, lostStored }: Run): string {
  const closed =
    lost === 0 ? '' : `, ${lost} accepted at most before a close and not answered, ${lostStored} of them stored`
  return `refusals ${JSON.stringify(refusals)}${closed}`
}

/** Who ignores the limit is owed no share of the peak, only an end that leaves nothing behind. */
function goalsOf(name: string, list: readonly Run[]): Goal[] {
  const goal = (title: string, wanted: Goal['wanted'], unit: string, read: (run: Run) => number): Goal => {
    return { bench: 'overload', title: `${name}: ${title}`, wanted, unit, measured: spreadOf(list.map(read)) }
  }
  const normal = goal('normal again', { atMost: 10 }, 's', (run) => run.backMs / 1000)
  if (list.every(({ kind }) => kind === 'ignoring the limit')) return [normal]
  return [
    goal('acked ÷ peak', { atLeast: 0.8 }, '×', (run) => run.goodput),
    goal('p99 until a refusal', { atMost: 1 }, 's', (run) => run.refusalAge.p99Ms / 1000),
    goal('p99 until an ack', { atMost: 2 }, 's', (run) => run.ackAge.p99Ms / 1000),
    goal('memory more than at rest', { atMost: 512 }, 'MiB', (run) => run.mostMiB - run.restMiB),
    normal,
  ]
}
