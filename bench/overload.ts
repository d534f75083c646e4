/** What becomes of the service when three times as much is offered as it carries, by clients that do not hold back? */
import { setTimeout as wait } from 'node:timers/promises'
import { residentBytes } from './lib/cost.ts'
import { FloodHandle } from './lib/flood-handle.ts'
import type { FloodResult } from './lib/flood-plan.ts'
import { FloodSocket } from './lib/flood-socket.ts'
import type { Goal } from './lib/goals.ts'
import { LatencyHistogram, type LatencySummary } from './lib/histogram.ts'
import type { Lab } from './lib/lab.ts'
import { runLoad, VoidRun } from './lib/load.ts'
import { type Report, range, type Table } from './lib/report.ts'
import { type RunningService, startService } from './lib/service.ts'
import { medianOf, spreadOf } from './lib/stats.ts'

/** How much is offered, in peaks. */
const times = 3
const contentBytes = 100
const probeGapMs = 20
const sampleGapMs = 100
const longestRecoveryMs = 12_000
/** As long without a slow answer: it is over. */
const calmMs = { full: 1000, quick: 1000, smoke: 200 } as const
/** Shorter than this an answer is not slow on a machine shared with the load. */
const leastNormalMs = 10
const mib = 2 ** 20

interface Cell {
  readonly connections: number
  readonly environment: Readonly<Record<string, string>>
}
const cells: readonly Cell[] = [
  { connections: 100, environment: {} },
  { connections: 1000, environment: {} },
]
/** A second of few clients overloads nothing by itself. */
const smokeCells: readonly Cell[] = [{ connections: 20, environment: { WRITER_MAX_QUEUE_ROWS: '100' } }]

interface Run {
  readonly peakPerSecond: number
  /** What came of `times` peaks, in peaks: what was due, what the sockets took, what was acknowledged. */
  readonly offered: number
  readonly written: number
  readonly goodput: number
  readonly refusedShare: number
  readonly codes: Readonly<Record<string, number>>
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
  const isSmoke = lab.settings.mode === 'smoke'
  const runs = new Map<number, Run[]>()
  for (let round = 0; round < Math.min(3, lab.settings.pairs); round++) {
    for (const cell of isSmoke ? smokeCells : cells) {
      const known = runs.get(cell.connections) ?? []
      runs.set(cell.connections, [...known, await overload(lab, cell)])
    }
  }
  return reportOf(runs)
}

async function overload(lab: Lab, { connections, environment }: Cell): Promise<Run> {
  const service = await startService(lab, { environment })
  const handles = Array.from({ length: lab.settings.generators }, () => new FloodHandle())
  const probe = new Probe(service)
  const memory = new MemoryWatch(service.pid)
  try {
    const peak = await peakOf(lab, service)
    await Promise.all(handles.map((handle, index) => open(handle, service, { index, of: handles.length, connections })))
    await probe.start()
    await wait(lab.settings.warmupMs)
    const calmProbe = probe.taken()
    memory.start()
    const { warmupMs, measureMs: windowMs } = lab.settings
    const measureMs = lab.settings.mode === 'smoke' ? windowMs : 2 * windowMs
    const rate = (times * peak) / handles.length
    const rushes = await Promise.all(handles.map((one) => one.tell({ type: 'rush', rate, warmupMs, measureMs })))
    const { restMiB, halfMiB, mostMiB } = memory.stop()
    const floodedProbe = probe.taken()
    const backMs = await probe.back(Math.max(leastNormalMs, 2 * calmProbe.p99Ms), calmMs[lab.settings.mode])
    const results = await Promise.all(handles.map((handle) => handle.tell({ type: 'finish' })))
    await requireValid(service, results, await probe.finish())
    return { ...shares(peak, rushes, results), calmProbe, floodedProbe, backMs, restMiB, halfMiB, mostMiB }
  } finally {
    memory.stop()
    probe.close()
    for (const handle of handles) handle.stop()
    await service.stop()
  }
}

/** The most this very service has carried in three tries of a closed loop. */
async function peakOf({ settings }: Lab, service: RunningService): Promise<number> {
  const connections = settings.mode === 'smoke' ? 10 : 100
  // The smoke's service has a short queue, which this must not fill.
  const inFlight = settings.mode === 'smoke' ? 4 : 16
  const { warmupMs, measureMs, generators } = settings
  const load = { encoding: 'json', connections, inFlight, ratePerSecond: 0, contentBytes, ackEvery: 0 } as const
  const rates: number[] = []
  for (let run = 0; run < (settings.mode === 'smoke' ? 1 : 3); run++) {
    const people = { ...service, userPrefix: `${service.userPrefix}peak${run}-` }
    const outcome = await runLoad(people, { ...load, warmupMs, measureMs, generators })
    rates.push(outcome.messagesPerSecond)
  }
  return medianOf(rates)
}

async function open(
  handle: FloodHandle,
  { host, port, userPrefix }: RunningService,
  { index, of, connections }: { readonly index: number; readonly of: number; readonly connections: number },
): Promise<void> {
  const all = Array.from({ length: connections / 2 }, (_, pair) => pair).filter((pair) => pair % of === index)
  const pairs = all.map((pair) => [`${userPrefix}flood${2 * pair}`, `${userPrefix}flood${2 * pair + 1}`] as const)
  const { faults } = await handle.tell({ type: 'open', plan: { host, port, pairs, contentBytes } })
  if (faults.length > 0) throw new VoidRun(`overload: ${faults[0]}`)
}

/** Sent = acked + refused, and stored = acked = delivered, or the figures are worth nothing. */
async function requireValid(
  service: RunningService,
  results: readonly FloodResult[],
  probe: Pick<FloodResult, 'conversations' | 'faults'>,
): Promise<void> {
  const all = [...results, probe]
  const faults = all.flatMap((result) => result.faults)
  if (faults.length === 0)
    faults.push(...(await service.storageFaults(all.flatMap(({ conversations }) => conversations))))
  if (results.every(({ codes }) => Object.keys(codes).length === 0))
    faults.push('nothing was refused: it was no overload')
  if (faults.length > 0)
    throw new VoidRun(`overload: void\n  ${faults.slice(0, 5).join('\n  ')}\n${service.recentLog()}`)
}

type Shares = 'peakPerSecond' | 'offered' | 'written' | 'goodput' | 'refusedShare' | 'codes' | 'refusalAge' | 'ackAge'

function shares(peak: number, rushes: readonly FloodResult[], results: readonly FloodResult[]): Pick<Run, Shares> {
  const perSecond = (read: (result: FloodResult) => number): number =>
    rushes.reduce((sum, rush) => sum + read(rush) / rush.seconds, 0)
  const acked = perSecond((rush) => rush.acked)
  const refused = perSecond((rush) => rush.refused)
  const codes: Record<string, number> = {}
  for (const result of results)
    for (const [code, count] of Object.entries(result.codes)) codes[code] = (codes[code] ?? 0) + count
  return {
    peakPerSecond: peak,
    offered: perSecond((rush) => rush.offered) / peak,
    written: perSecond((rush) => rush.written) / peak,
    goodput: acked / peak,
    refusedShare: refused / (acked + refused),
    codes,
    refusalAge: merged(rushes.map(({ refusalAge }) => refusalAge)),
    ackAge: merged(rushes.map(({ ackAge }) => ackAge)),
  }
}

function merged(parts: readonly FloodResult['ackAge'][]): LatencySummary {
  const all = new LatencyHistogram()
  for (const { counts, maxMs } of parts) all.add(counts, maxMs)
  return all.summary()
}

/** Somebody who sends one message at a time, fifty a second, to a friend who takes them. */
class Probe {
  readonly #sender: FloodSocket
  readonly #receiver: FloodSocket
  #latency = new LatencyHistogram()
  #lastSlowMs = 0
  #slowFromMs = Number.POSITIVE_INFINITY
  #ticking: NodeJS.Timeout | undefined
  #welcomed = 0
  readonly #faults: string[] = []

  constructor({ host, port, userPrefix }: RunningService) {
    const one = (userId: string, peerId: string) =>
      new FloodSocket(
        { host, port, userId: userPrefix + userId, peerId: userPrefix + peerId, contentBytes },
        {
          welcomed: () => this.#welcomed++,
          answered: (ageMs, code) => this.#answered(ageMs, code),
          delivered: () => undefined,
          failed: (reason) => this.#faults.push(reason),
        },
      )
    this.#sender = one('probe', 'friend')
    this.#receiver = one('friend', 'probe')
  }

  async start(): Promise<void> {
    await this.#until(() => this.#welcomed === 2)
    this.#ticking = setInterval(() => this.#sender.send(1, performance.now()), probeGapMs)
  }

  /** Latencies since it was last asked. */
  taken(): LatencySummary {
    const summary = this.#latency.summary()
    this.#latency = new LatencyHistogram()
    return summary
  }

  /** How long from now until the last slow or missing answer, in milliseconds. */
  async back(slowFromMs: number, calmForMs: number): Promise<number> {
    const startMs = performance.now()
    this.#slowFromMs = slowFromMs
    this.#lastSlowMs = startMs
    for (;;) {
      await wait(probeGapMs)
      const nowMs = performance.now()
      if (this.#sender.unanswered > Math.ceil(slowFromMs / probeGapMs)) this.#lastSlowMs = nowMs
      if (nowMs - this.#lastSlowMs > calmForMs || nowMs - startMs > longestRecoveryMs) return this.#lastSlowMs - startMs
    }
  }

  async finish(): Promise<Pick<FloodResult, 'conversations' | 'faults'>> {
    clearInterval(this.#ticking)
    const { acked, plan } = this.#sender
    await this.#until(() => this.#sender.unanswered === 0)
    const messages = this.#sender.acked
    if (messages < acked) throw new Error(`${messages} acks are fewer than ${acked}`)
    return { conversations: [{ users: [plan.userId, plan.peerId], messages }], faults: this.#faults }
  }

  close(): void {
    clearInterval(this.#ticking)
    this.#sender.close()
    this.#receiver.close()
  }

  #answered(ageMs: number, code: string | undefined): void {
    this.#latency.record(ageMs)
    if (ageMs > this.#slowFromMs || code !== undefined) this.#lastSlowMs = performance.now()
  }

  async #until(isReached: () => boolean): Promise<void> {
    for (const endMs = performance.now() + longestRecoveryMs; !isReached(); await wait(probeGapMs)) {
      if (performance.now() > endMs || this.#faults.length > 0)
        throw new VoidRun(`overload: the probe has failed: ${this.#faults[0] ?? 'an answer did not come'}`)
    }
  }
}

/** Resident memory of a process while it is flooded. */
class MemoryWatch {
  readonly #pid: number
  readonly #samples: number[] = []
  #sampling: NodeJS.Timeout | undefined

  constructor(pid: number) {
    this.#pid = pid
  }

  start(): void {
    this.#samples.push(residentBytes(this.#pid))
    this.#sampling = setInterval(() => this.#samples.push(residentBytes(this.#pid)), sampleGapMs)
  }

  /** At the start, the most in the first half, and the most of all. */
  stop(): { restMiB: number; halfMiB: number; mostMiB: number } {
    clearInterval(this.#sampling)
    const half = this.#samples.slice(0, Math.ceil(this.#samples.length / 2))
    const most = (samples: readonly number[]): number => Math.max(...samples) / mib
    return { restMiB: (this.#samples[0] ?? 0) / mib, halfMiB: most(half), mostMiB: most(this.#samples) }
  }
}

function reportOf(runs: ReadonlyMap<number, readonly Run[]>): Report {
  const row = ([connections, list]: readonly [number, readonly Run[]]): string[] => {
    const of = (read: (run: Run) => number, digits = 0) => range(spreadOf(list.map(read)), digits)
    return [
      `${connections} connections`,
      of((run) => run.peakPerSecond),
      of((run) => run.offered, 2),
      of((run) => run.written, 2),
      of((run) => run.goodput, 2),
      of((run) => run.refusedShare * 100),
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
      ...['', 'peak msg/s', 'offered ÷ peak', 'written ÷ peak', 'acked ÷ peak', 'refused %', 'refusal p99 ms'],
      ...['ack p99 ms', 'calm probe p99 ms', 'flooded', 'memory MiB more', 'normal after ms'],
    ],
    rows: [...runs].map(row),
  }
  return {
    name: 'overload',
    tables: [table],
    charts: [],
    goals: [...runs].flatMap(([connections, list]) => goalsOf(connections, list)),
    notes: [...runs].map(([connections, list]) => `${connections} connections: refusals ${codesOf(list)}`),
    raw: Object.fromEntries(runs),
  }
}

function codesOf(list: readonly Run[]): string {
  return list.map(({ codes }) => JSON.stringify(codes)).join(', ')
}

function goalsOf(connections: number, list: readonly Run[]): Goal[] {
  const goal = (title: string, wanted: Goal['wanted'], unit: string, read: (run: Run) => number): Goal => {
    return { bench: 'overload', title: `${connections}: ${title}`, wanted, unit, measured: spreadOf(list.map(read)) }
  }
  return [
    goal('acked ÷ peak', { atLeast: 0.8 }, '×', (run) => run.goodput),
    goal('p99 until a refusal', { atMost: 1 }, 's', (run) => run.refusalAge.p99Ms / 1000),
    goal('p99 until an ack', { atMost: 2 }, 's', (run) => run.ackAge.p99Ms / 1000),
    goal('memory more than at rest', { atMost: 512 }, 'MiB', (run) => run.mostMiB - run.restMiB),
    goal('normal again', { atMost: 10 }, 's', (run) => run.backMs / 1000),
  ]
}
