/** Is the page in the way of the messages, and are the messages in the way of the page? */
import type { Goal } from './lib/goals.ts'
import { type LatencySummary, summaryOf } from './lib/histogram.ts'
import type { Lab } from './lib/lab.ts'
import { type Outcome, runLoad } from './lib/load.ts'
import { type LoadPlan, usualLoad } from './lib/load-plan.ts'
import { startPageVisitor } from './lib/page-handle.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { costs, rates } from './lib/send-goals.ts'
import { startService } from './lib/service.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import type { RunningSubject } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'

const connections = 100
/** Each with an empty cache: 18,000 new people an hour. */
const visitsPerSecond = 5
const p99AtMostMs = 20
/** The page may take nothing beyond noise, and this is the noise of a good machine; `alone again` shows that of this one. */
const rateAtLeast = 0.98

/** The load twice without the page: how far two equal runs lie apart. */
const contestants = ['alone', 'with the page', 'alone again'] as const
const visitorRole = 'visitor'
type Contestant = (typeof contestants)[number]

interface PageFigures {
  readonly visits: number
  readonly bytes: number
  readonly answer: LatencySummary
}
interface Run extends Outcome {
  readonly page?: PageFigures
}
type Runs = ReadonlyMap<Contestant, readonly Run[]>

export async function benchStatic(lab: Lab): Promise<Report> {
  const { warmupMs, measureMs, generators, mode } = lab.settings
  const plan: LoadPlan = {
    ...usualLoad,
    connections: mode === 'smoke' ? 10 : connections,
    warmupMs,
    measureMs,
    generators,
  }
  const runs = await interleave(lab.settings.pairs, contestants, (name) => measure(lab, plan, name))
  return {
    name: 'static',
    tables: [tableOf(runs)],
    charts: [
      {
        kind: 'bars',
        title: 'static: messages while the page is opened',
        unit: 'messages per second',
        bars: [...runs].map(([label, list]) => ({
          label,
          spread: spreadOf(rates(list)),
          isOurs: label === 'with the page',
        })),
      },
    ],
    goals: goalsOf(runs),
    notes: ['who opens the page takes of the same cores: its CPU is a column, and part of what the messages have less'],
    raw: Object.fromEntries(runs),
  }
}

async function measure(lab: Lab, plan: LoadPlan, name: Contestant): Promise<Run> {
  const service = await startService(lab)
  try {
    return name === 'with the page' ? await runWithPage(service, plan) : await runLoad(service, plan)
  } finally {
    await service.stop()
  }
}

async function runWithPage(service: RunningSubject, plan: LoadPlan): Promise<Run> {
  const visitor = startPageVisitor()
  try {
    const { host, port } = service
    await visitor.tell({ type: 'start', plan: { host, port, visitsPerSecond } })
    const roles = [...service.roles, { name: visitorRole, pid: visitor.pid, withChildren: false }]
    const outcome = await runLoad({ ...service, roles }, plan, {
      begin: () => visitor.tell({ type: 'begin' }),
      end: () => visitor.tell({ type: 'end' }),
    })
    const { answer, ...counts } = await visitor.tell({ type: 'finish' })
    return { ...outcome, page: { ...counts, answer: summaryOf([answer]) } }
  } finally {
    visitor.stop()
  }
}

const columns = [
  'load',
  'msg/s',
  'service µs/msg',
  'visitor µs/msg',
  'ack p99 ms',
  'visits',
  'files timed',
  'file p50 ms',
  'p99 ms',
  'slowest ms',
  'others, cores',
  'this ÷ first, msg/s',
]

function tableOf(runs: Runs): Table {
  const ours = runs.get('alone') ?? []
  return {
    title: `static: ${connections} connections × ${usualLoad.inFlight} in flight, ${visitsPerSecond} visits a second`,
    columns,
    rows: [...runs].map(([name, list]) => rowOf(name, list, ours)),
  }
}

function rowOf(name: Contestant, list: readonly Run[], ours: readonly Run[]): string[] {
  const pages = list.flatMap(({ page }) => page ?? [])
  const ofPages = (read: (page: PageFigures) => number, digits: number): string =>
    pages.length === 0 ? '–' : range(spreadOf(pages.map(read)), digits)
  return [
    name,
    range(spreadOf(rates(list))),
    range(spreadOf(costs(list, 'service')), 1),
    pages.length === 0 ? '–' : range(spreadOf(costs(list, visitorRole)), 1),
    range(spreadOf(list.map(({ ack }) => ack.p99Ms)), 1),
    ofPages(({ visits }) => visits, 0),
    ofPages(({ answer }) => answer.count, 0),
    ofPages(({ answer }) => answer.p50Ms, 1),
    ofPages(({ answer }) => answer.p99Ms, 1),
    ofPages(({ answer }) => answer.maxMs, 1),
    Math.max(...list.map(({ disturbance }) => disturbance.stolenCores + disturbance.foreignCores)).toFixed(2),
    list === ours ? '–' : ratio(ratiosOf(rates(list), rates(ours))),
  ]
}

function goalsOf(runs: Runs): Goal[] {
  const [alone = [], visited = []] = contestants.map((name) => runs.get(name) ?? [])
  const p99s = visited.flatMap(({ page }) => page?.answer.p99Ms ?? [])
  return [
    {
      bench: 'static',
      title: 'p99 of a file of the page under full load',
      wanted: { atMost: p99AtMostMs },
      unit: 'ms',
      measured: spreadOf(p99s),
    },
    {
      bench: 'static',
      title: 'msg/s while the page is opened ÷ alone',
      wanted: { atLeast: rateAtLeast },
      unit: '×',
      measured: ratiosOf(rates(visited), rates(alone)),
    },
  ]
}
