/** What does a connection cost that does nothing? */
import { setTimeout as wait } from 'node:timers/promises'
import { cpuBetween, sampleCost } from './lib/cost.ts'
import { type CrowdHandle, crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { collectsOnSignal, settledBytes } from './lib/memory.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { startService } from './lib/service.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'

const names = ['service', 'uws-bare', 'ws-relay', 'socketio-relay'] as const
type Name = (typeof names)[number]

const mostSockets = 10_000
/** Opened and closed before the first look, so that what a server loads and compiles once is not taken for connections. */
const rehearsal = 500
/** Memory moves little between two rounds: more of them would only take long. */
const rounds = 3

/**
 * With Node's own young space, of 16 MiB: one that grew while sockets were opened stays as large, whatever it holds, and the
 * larger one of the service would look like memory of connections, of the peers' as well.
 */
const nodeArguments = [...collectsOnSignal, '--max-semi-space-size=16']

interface Run {
  /** Resident bytes with 0, half and all of the sockets. */
  readonly residentBytes: readonly number[]
  /** Slope of those three. */
  readonly bytesPerSocket: number
  readonly cpuUsPerSocketSecond: number
}

export async function benchIdle(lab: Lab): Promise<Report> {
  const { mode, pairs } = lab.settings
  const sockets = mode === 'smoke' ? 200 : mostSockets
  const runs = await interleave(Math.min(pairs, rounds), names, (name) => measure(lab, name, sockets))
  const ours = slopes(runs.get('service'))
  const goal = { bench: 'idle' }
  const goals: Goal[] = [
    {
      ...goal,
      title: 'process memory per connection',
      wanted: { atMost: 3 },
      unit: 'KB',
      measured: spreadOf(ours.map((bytes) => bytes / 1000)),
    },
    {
      ...goal,
      title: 'process memory ÷ bare uWS',
      wanted: { atMost: 1.6 },
      unit: '×',
      measured: ratiosOf(ours, slopes(runs.get('uws-bare'))),
    },
  ]
  return {
    name: 'idle',
    tables: [tableOf(runs, sockets)],
    charts: [
      {
        kind: 'bars',
        title: `idle: memory of the process per connection, 0 to ${sockets}`,
        unit: 'bytes',
        bars: names.map((label) => ({ label, spread: spreadOf(slopes(runs.get(label))), isOurs: label === 'service' })),
      },
    ],
    goals,
    notes: ['the kernel keeps a further few KB per socket, the same for every server, that no process memory shows'],
    raw: Object.fromEntries(runs),
  }
}

async function measure(lab: Lab, name: Name, sockets: number): Promise<Run> {
  const subject =
    name === 'service' ? await startService(lab, { nodeArguments }) : await startPeer(lab, name, {}, nodeArguments)
  const crowd = startCrowd()
  try {
    const resident = await residentBySockets(subject, crowd, { sockets, isSmoke: lab.settings.mode === 'smoke' })
    const before = sampleCost(subject.roles)
    const idleMs = lab.settings.measureMs * 2
    await wait(idleMs)
    const us = cpuBetween(before, sampleCost(subject.roles))['service'] ?? Number.NaN
    return {
      residentBytes: resident,
      bytesPerSocket: slopeOf([0, sockets / 2, sockets], resident),
      cpuUsPerSocketSecond: us / sockets / (idleMs / 1000),
    }
  } finally {
    crowd.stop()
    await subject.stop()
  }
}

async function residentBySockets(
  subject: RunningSubject,
  crowd: CrowdHandle,
  { sockets, isSmoke }: { readonly sockets: number; readonly isSmoke: boolean },
): Promise<number[]> {
  const readyAt = subject.knowsAck ? 'synced' : 'welcome'
  const open = (first: number, count: number) =>
    crowd.tell({ type: 'open', plan: crowdPlan(subject, { first, count, readyAt }) })
  await open(sockets, Math.min(rehearsal, sockets))
  await crowd.tell({ type: 'close' })
  // A smoke tells no figure, so it waits for none to settle.
  const look = (): Promise<number> => settledBytes(subject.pid, { isSmoke })
  const resident = [await look()]
  for (const first of [0, sockets / 2]) {
    await open(first, sockets / 2)
    resident.push(await look())
  }
  return resident
}

/** Least squares. */
function slopeOf(xs: readonly number[], ys: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanX, meanY] = [mean(xs), mean(ys)]
  const above = xs.reduce((sum, x, index) => sum + (x - meanX) * ((ys[index] ?? 0) - meanY), 0)
  return above / xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0)
}

const slopes = (runs: readonly Run[] | undefined): number[] => (runs ?? []).map((run) => run.bytesPerSocket)

function tableOf(runs: ReadonlyMap<Name, readonly Run[]>, sockets: number): Table {
  const ours = slopes(runs.get('service'))
  const row = (name: Name): string[] => {
    const list = runs.get(name) ?? []
    const megabytes = [0, 2].map((at) =>
      spreadOf(list.map((run) => (run.residentBytes[at] ?? 0) / 1e6)).median.toFixed(1),
    )
    return [
      name,
      range(spreadOf(slopes(list))),
      ...megabytes,
      range(spreadOf(list.map((run) => run.cpuUsPerSocketSecond)), 2),
      name === 'service' ? '–' : ratio(ratiosOf(ours, slopes(list))),
    ]
  }
  return {
    title: `idle: 0, ${sockets / 2}, ${sockets} authenticated connections`,
    columns: ['server', 'bytes/connection', 'MB at 0', 'MB at all', 'CPU µs/s per connection', 'first ÷ this, bytes'],
    rows: names.map(row),
  }
}
