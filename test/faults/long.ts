// Rounds until enough has happened, or the time is over; every round is added to the report, from which a later run goes on.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compileService, ROOT } from './build.ts'
import { ANOMALIES, upperBound } from './findings.ts'
import { gitVersion, type Here, here } from './here.ts'
import { CUT_POINTS } from './postgres-proxy.ts'
import { type RoundPlan, type RoundReport, runRound } from './round.ts'
import type { Settings } from './settings.ts'

const DEFAULT_REPORT = join(ROOT, 'dist', 'faults', 'report.json')

export const LONG_ROUND: Omit<RoundPlan, 'seed'> = {
  instances: 2,
  users: 12,
  clientProcesses: 2,
  sendsPerSecond: 1500,
  faultsForMs: 60_000,
  gapMs: 450,
  atOnce: 3,
}

interface LongReport extends Here {
  readonly seed: number
  readonly plan: Omit<RoundPlan, 'seed'>
  readonly rounds: readonly RoundReport[]
  /** Rounds that broke off: the reason, by seed. They count for nothing. */
  readonly broken: readonly { readonly seed: number; readonly reason: string }[]
}

/** True when no round found anything. Reaching the targets is told, not judged. */
export async function runLong(settings: Settings): Promise<boolean> {
  const path = settings.report ?? DEFAULT_REPORT
  let report = existsSync(path) ? goneOn(path) : newReport(settings)
  const build = await compileService()
  try {
    for (const endMs = performance.now() + settings.minutes * 60_000; performance.now() < endMs; ) {
      if (isEnough(report, settings)) break
      const seed = report.seed + report.rounds.length + report.broken.length
      report = await withRound(report, seed, build)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, `${JSON.stringify({ ...report, summary: summaryOf(report) }, undefined, 1)}\n`)
      process.stdout.write(`${progressOf(report, settings)}\n`)
    }
  } finally {
    await build.remove()
  }
  process.stdout.write(`${JSON.stringify(summaryOf(report))}\n\n${describe(report, settings)}\nreport: ${path}\n`)
  return report.rounds.every(({ anomalies }) => anomalies.length === 0) && report.broken.length === 0
}

async function withRound(
  report: LongReport,
  seed: number,
  build: Awaited<ReturnType<typeof compileService>>,
): Promise<LongReport> {
  try {
    const round = await runRound({ ...report.plan, seed }, build)
    return { ...report, rounds: [...report.rounds, round] }
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    process.stdout.write(`round broken: ${reason}\n`)
    return { ...report, broken: [...report.broken, { seed, reason }] }
  }
}

/** The report of an earlier run, if it is of this very service: figures of two would be of neither. */
function goneOn(path: string): LongReport {
  const report = JSON.parse(readFileSync(path, 'utf8')) as LongReport
  const present = gitVersion()
  if (report.git !== present)
    throw new Error(
      `${path} is of ${report.git}, and this is ${present}: delete it, or name another file with --report`,
    )
  return report
}

function newReport(settings: Settings): LongReport {
  return {
    ...here(),
    seed: settings.seed,
    plan: { ...LONG_ROUND, redis: settings.redis },
    rounds: [],
    broken: [],
  }
}

function isEnough(report: LongReport, { targets }: Settings): boolean {
  const { acked, instanceKills, postgresCrashes } = summaryOf(report)
  return acked >= targets.acked && instanceKills >= targets.instanceKills && postgresCrashes >= targets.postgresCrashes
}

/** What the last round was, how far everything is, and about how long the rest takes. */
function progressOf(report: LongReport, { targets }: Settings): string {
  const last = report.rounds.at(-1)
  const { rounds, seconds, acked, instanceKills, postgresCrashes, surprises, brokenRounds } = summaryOf(report)
  const left = [
    (targets.acked - acked) / acked,
    (targets.instanceKills - instanceKills) / instanceKills,
    (targets.postgresCrashes - postgresCrashes) / postgresCrashes,
  ]
  const minutesLeft = (Math.max(0, ...left) * seconds) / 60
  const found = last?.anomalies.map(({ name, count, examples }) => `\n    ${name} × ${count}: ${examples[0]}`) ?? []
  return (
    `round ${rounds} (seed ${last?.seed}, ${last?.seconds} s): ${last?.counts.acked} acked, ${last?.instanceKills} instance kills, ` +
    `${last?.postgresCrashes} PostgreSQL crashes, healed in ${last?.healedMs} ms; in all ${acked} of ${targets.acked}, ` +
    `${instanceKills} of ${targets.instanceKills}, ${postgresCrashes} of ${targets.postgresCrashes}; ` +
    `${surprises} surprises, ${brokenRounds} broken; ${minutesLeft.toFixed(0)} min to go${found.join('')}`
  )
}

function summaryOf({ rounds, broken }: LongReport) {
  const sum = (of: (round: RoundReport) => number): number => rounds.reduce((all, round) => all + of(round), 0)
  const anomalies = Object.keys(ANOMALIES).map((name) => {
    const count = sum((round) => round.anomalies.find((one) => one.name === name)?.count ?? 0)
    return [name, count] as const
  })
  return {
    rounds: rounds.length,
    brokenRounds: broken.length,
    seconds: sum(({ seconds }) => seconds),
    acked: sum(({ counts }) => counts.acked),
    failed: sum(({ counts }) => counts.failed),
    unknown: sum(({ counts }) => counts.unknown),
    recovered: sum(({ counts }) => counts.recovered),
    applied: sum(({ counts }) => counts.applied),
    deliveries: sum(({ counts }) => counts.deliveries),
    redelivered: sum(({ counts }) => counts.redelivered),
    pages: sum(({ counts }) => counts.pages),
    resumes: sum(({ counts }) => counts.resumes),
    instanceKills: sum((round) => round.instanceKills),
    postgresCrashes: sum((round) => round.postgresCrashes),
    redisKills: sum((round) => round.redisKills),
    clientKills: sum((round) => round.clientKills),
    cuts: Object.fromEntries(CUT_POINTS.map((point) => [point, sum(({ cuts }) => cuts[point] ?? 0)])),
    faults: sum((round) => Object.values(round.faults).reduce((all, one) => all + one, 0)),
    surprises: sum(({ surprises }) => surprises.length),
    maxSettledMs: Math.max(0, ...rounds.map(({ settledMs }) => settledMs)),
    maxHealedMs: Math.max(0, ...rounds.map(({ healedMs }) => healedMs)),
    anomalies: Object.fromEntries(anomalies),
  }
}

function describe(report: LongReport, { targets }: Settings): string {
  const { acked, instanceKills, postgresCrashes, anomalies, resumes } = summaryOf(report)
  const wrong = Object.entries(anomalies).filter(([, count]) => count > 0)
  return [
    `acked ${acked} of ${targets.acked}: a message is lost with a probability below ${upperBound(acked).toExponential(1)}`,
    `instance kills ${instanceKills} of ${targets.instanceKills}: below ${upperBound(instanceKills).toFixed(4)} a kill`,
    `PostgreSQL crashes ${postgresCrashes} of ${targets.postgresCrashes}: below ${upperBound(postgresCrashes).toFixed(4)} a crash`,
    `catch-ups ${resumes}: below ${upperBound(resumes).toExponential(1)} each`,
    wrong.length === 0
      ? 'no anomaly (the bounds are of 95 % confidence)'
      : `ANOMALIES: ${wrong.map(([name, count]) => `${name} ${count}`).join(', ')}`,
  ].join('\n')
}
