/** What does an idle `sent` cost beside the round trip and the one-row commit that it cannot do without? */
import { commitLatency } from './lib/commit-latency.ts'
import type { LatencySummary } from './lib/histogram.ts'
import { runLoad } from './lib/load.ts'
import type { LoadPlan } from './lib/load-plan.ts'
import { type Report, range, ratio, type Table } from './lib/report.ts'
import { type RunningService, startService } from './lib/service.ts'
import type { Settings } from './lib/settings.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { type RunningSubject, relaySubject } from './lib/subjects.ts'

type Probe = 'sent' | 'echo' | 'commit'
const probes: readonly Probe[] = ['sent', 'echo', 'commit']

/** Latency of each probe, round by round; a round has one PostgreSQL for all three. */
type Latencies = ReadonlyMap<Probe, readonly LatencySummary[]>

export async function benchAck(settings: Settings): Promise<Report> {
  const service = await startService(settings)
  const echo = await relaySubject('uws-relay').start(settings)
  try {
    const latencies = await interleave(settings.pairs, probes, (probe) => measure(probe, { settings, service, echo }))
    return { name: 'ack', tables: [tableOf(latencies)], raw: Object.fromEntries(latencies) }
  } finally {
    await echo.stop()
    await service.stop()
  }
}

async function measure(
  probe: Probe,
  { settings, service, echo }: { settings: Settings; service: RunningService; echo: RunningSubject },
): Promise<LatencySummary> {
  if (probe === 'commit') return commitLatency(service.postgresDsn, settings)
  // Other people each time: the seqs of a run begin at 1.
  const subject = probe === 'sent' ? service : echo
  return (await runLoad({ ...subject, userPrefix: `${subject.userPrefix}${nextRun++}-` }, idlePlan(settings))).ack
}

let nextRun = 0

/** One connection, one message in flight, a receiver who is not there. */
function idlePlan({ warmupMs, measureMs }: Settings): LoadPlan {
  const loop = { connections: 1, inFlight: 1, ratePerSecond: 0, generators: 1 }
  return { ...loop, encoding: 'json', contentBytes: 100, warmupMs, measureMs, ackEvery: 0 }
}

function tableOf(latencies: Latencies): Table {
  const row = (name: string, of: (pick: Percentile) => readonly number[]) => [
    name,
    range(spreadOf(of('p50Ms')), 3),
    range(spreadOf(of('p99Ms')), 3),
  ]
  const floor = (pick: Percentile) => sums(valuesOf(latencies, 'echo', pick), valuesOf(latencies, 'commit', pick))
  const over = (pick: Percentile) => ratio(ratiosOf(valuesOf(latencies, 'sent', pick), floor(pick)))
  return {
    title: 'ack: 1 connection × 1 in flight, json, idle',
    columns: ['', 'p50 ms', 'p99 ms'],
    rows: [
      row('sent', (pick) => valuesOf(latencies, 'sent', pick)),
      row('echo (raw uWS)', (pick) => valuesOf(latencies, 'echo', pick)),
      row('commit of one row', (pick) => valuesOf(latencies, 'commit', pick)),
      ['sent ÷ (echo + commit)', over('p50Ms'), over('p99Ms')],
    ],
  }
}

type Percentile = 'p50Ms' | 'p99Ms'

function valuesOf(latencies: Latencies, probe: Probe, percentile: Percentile): number[] {
  return (latencies.get(probe) ?? []).map((latency) => latency[percentile])
}

function sums(one: readonly number[], other: readonly number[]): number[] {
  return one.map((value, round) => value + (other[round] ?? Number.NaN))
}
