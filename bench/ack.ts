/** How long does a `sent` take at a given load, beside the round trip and the one-row commit that it cannot do without? */
import { commitLatency } from './lib/commit-latency.ts'
import type { Goal } from './lib/goals.ts'
import type { LatencySummary } from './lib/histogram.ts'
import type { Lab } from './lib/lab.ts'
import { runLoad } from './lib/load.ts'
import { type LoadPlan, usualLoad } from './lib/load-plan.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { type RunningService, startService } from './lib/service.ts'
import type { Settings } from './lib/settings.ts'
import { interleave, medianOf, ratiosOf, spreadOf } from './lib/stats.ts'
import { peerSubject, type RunningSubject } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'

type Probe = 'sent at 2 %' | 'sent at 50 %' | 'sent at 80 %' | 'echo' | 'commit'
const probes: readonly Probe[] = ['sent at 2 %', 'sent at 50 %', 'sent at 80 %', 'echo', 'commit']
const shareOfPeak: Readonly<Record<Probe, number>> = {
  'sent at 2 %': 0.02,
  'sent at 50 %': 0.5,
  'sent at 80 %': 0.8,
  echo: 0.02,
  commit: 0,
}
/** A load that was not carried is no load of which a latency could be told. */
const leastCarried = 0.97
const peakRuns = 3
/** Of the peak that a busy machine shows to a smoke, 2 % may be not one message. */
const leastPerSecond = 100

interface Servers {
  readonly lab: Lab
  readonly service: RunningService
  readonly echo: RunningSubject
}

/** One probe; `carried` is the share of the wanted rate that was acknowledged. */
type Measured = LatencySummary & { readonly carried: number }
/** Each probe, round by round; a round has one service and one PostgreSQL for all. */
type Rounds = ReadonlyMap<Probe, readonly Measured[]>

export async function benchAck(lab: Lab): Promise<Report> {
  const service = await startService(lab)
  const echo = await peerSubject('uws-relay').start(lab)
  try {
    const servers = { lab, service, echo }
    const peak = await peakOf(servers)
    const rounds = await interleave(lab.settings.pairs, probes, (probe) => measure(probe, peak, servers))
    return reportOf(peak, rounds)
  } finally {
    await echo.stop()
    await service.stop()
  }
}

/**
 * Messages per second that this very service carries when more are offered, one by one as in the probes. The closed loop
 * (100 × 16) says how many to offer: its bursts are cheaper for both sides, and 80 % of it may be more than this machine
 * carries of single messages.
 */
async function peakOf({ lab, service }: Servers): Promise<number> {
  const rates: number[] = []
  const runs = lab.settings.mode === 'smoke' ? 1 : peakRuns
  for (let run = 0; run < runs; run++) {
    const closed = await runLoad(withNewPeople(service), { ...planOf(lab.settings, 0), inFlight: 16 })
    const open = await runLoad(withNewPeople(service), planOf(lab.settings, closed.messagesPerSecond))
    rates.push(open.messagesPerSecond)
  }
  return medianOf(rates)
}

async function measure(probe: Probe, peak: number, { lab, service, echo }: Servers): Promise<Measured> {
  if (probe === 'commit') return { ...(await commitLatency(service.postgresDsn, lab.settings)), carried: 1 }
  const subject = probe === 'echo' ? echo : service
  const ratePerSecond = Math.max(leastPerSecond, peak * shareOfPeak[probe])
  const outcome = await runLoad(withNewPeople(subject), planOf(lab.settings, ratePerSecond))
  return { ...outcome.ack, carried: outcome.messagesPerSecond / ratePerSecond }
}

let nextRun = 0

/** Other people for each run: the seqs of a run begin at 1. */
function withNewPeople(subject: RunningSubject): RunningSubject {
  return { ...subject, userPrefix: `${subject.userPrefix}${nextRun++}-` }
}

function planOf({ warmupMs, measureMs, generators, mode }: Settings, ratePerSecond: number): LoadPlan {
  const connections = mode === 'smoke' ? 10 : 100
  return { ...usualLoad, connections, inFlight: 0, ratePerSecond, warmupMs, measureMs, generators }
}

type Percentile = 'p50Ms' | 'p99Ms'

function reportOf(peak: number, rounds: Rounds): Report {
  const valuesOf = (probe: Probe, percentile: Percentile) => (rounds.get(probe) ?? []).map((one) => one[percentile])
  const sent = ratiosOf(valuesOf('sent at 2 %', 'p50Ms'), sums(valuesOf('echo', 'p50Ms'), valuesOf('commit', 'p50Ms')))
  const tail = ratiosOf(valuesOf('sent at 80 %', 'p99Ms'), valuesOf('commit', 'p99Ms'))
  const saturated = [...rounds].filter(([, list]) => list.some(({ carried }) => carried < leastCarried))
  const goal = { bench: 'ack', unit: '×' }
  const goals: Goal[] = [
    { ...goal, title: 'p50 at 2 % ÷ (echo + one-row commit)', wanted: { atMost: 1.25 }, measured: sent },
    { ...goal, title: "p99 at 80 % ÷ the one-row commit's p99", wanted: { atMost: 6 }, measured: tail },
  ]
  return {
    name: 'ack',
    tables: [tableOf(peak, rounds, { sent: ratio(sent), tail: ratio(tail) })],
    charts: (['p50Ms', 'p99Ms'] as const).map((percentile) => ({
      kind: 'bars',
      title: `ack, ${percentile === 'p50Ms' ? 'median' : '99th percentile'} from the intended send time`,
      unit: 'ms',
      bars: probes.map((probe) => ({
        label: probe,
        spread: spreadOf(valuesOf(probe, percentile)),
        isOurs: probe.startsWith('sent'),
      })),
    })),
    goals,
    notes: saturated.map(([probe]) => `${probe}: the rate was not carried in every round; its latency says nothing`),
    raw: { peak, rounds: Object.fromEntries(rounds) },
  }
}

function tableOf(peak: number, rounds: Rounds, ratios: { readonly sent: string; readonly tail: string }): Table {
  const row = (probe: Probe): string[] => {
    const list = rounds.get(probe) ?? []
    const spread = (percentile: Percentile) => range(spreadOf(list.map((one) => one[percentile])), 3)
    const carried = Math.min(...list.map((one) => one.carried))
    return [probe, spread('p50Ms'), spread('p99Ms'), `${(carried * 100).toFixed(0)} %`]
  }
  return {
    title: `ack: 100 connections, open loop, json; peak ${Math.round(peak)} msg/s`,
    columns: ['', 'p50 ms', 'p99 ms', 'of the rate'],
    rows: [
      ...probes.map(row),
      ['at 2 % ÷ (echo + commit)', ratios.sent, '', ''],
      ['at 80 % ÷ commit', '', ratios.tail, ''],
    ],
  }
}

function sums(one: readonly number[], other: readonly number[]): number[] {
  return one.map((value, round) => value + (other[round] ?? Number.NaN))
}
