/** What does it cost to tell one thing to a thousand sockets? */
import { setTimeout as wait } from 'node:timers/promises'
import { cpuBetween, sampleCost } from './lib/cost.ts'
import { crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { PublishPlan } from './lib/crowd-plan.ts'
import type { Lab } from './lib/lab.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { startService } from './lib/service.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'

const content = 'x'.repeat(100)
/** Enough to keep the server busy while the generator reads. */
const messagesOnTheirWay = 8
/** Who is watched. */
const starCount = 20

interface Contestant {
  readonly name: string
  start(lab: Lab): Promise<RunningSubject>
  readonly publish: PublishPlan
  readonly sameUser: boolean
}

const uuid = '0197c8e2-0000-7000-8000-000000000000'
const constantFrame = JSON.stringify({
  ...{ type: 'message', id: uuid, seq: 1, sender_id: 'publisher', receiver_id: 'everybody', content },
  created_at: '2026-01-01T00:00:00.000Z',
})
const command = { receiver_id: 'everybody', content }

const contestants: readonly Contestant[] = [
  {
    name: 'service',
    start: (lab) => startService(lab, { environment: { MAX_CONNECTIONS_PER_USER: '1000' } }),
    publish: publishPlan(JSON.stringify({ type: 'send', ...command }), true),
    sameUser: true,
  },
  {
    name: 'uws-publish',
    start: (lab) => startPeer(lab, 'uws-publish', { PEER_FRAME: constantFrame }),
    publish: publishPlan('publish', false),
    sameUser: false,
  },
  {
    name: 'socketio-room',
    start: (lab) => startPeer(lab, 'socketio-room'),
    publish: publishPlan(`42["fan",${JSON.stringify(command)}]`, true),
    sameUser: false,
  },
]

function publishPlan(payload: string, hasSeq: boolean): PublishPlan {
  return { userId: 'publisher', payload, window: messagesOnTheirWay, hasSeq }
}

interface Run {
  readonly deliveriesPerSecond: number
  readonly serviceUs: number
  readonly generatorUs: number
}

export async function benchFanout(lab: Lab): Promise<Report> {
  const sockets = lab.settings.mode === 'smoke' ? 100 : 1000
  const runs = await interleave(lab.settings.pairs, contestants, (contestant) => fanOut(lab, contestant, sockets))
  const presence = await watchPresence(lab, sockets)
  const named = new Map([...runs].map(([{ name }, list]) => [name, list]))
  return {
    name: 'fanout',
    tables: [tableOf(named, sockets), presence],
    charts: [
      {
        kind: 'bars',
        title: `fanout: one message to ${sockets} sockets`,
        unit: 'deliveries per second',
        bars: [...named].map(([label, list]) => ({
          label,
          spread: spreadOf(rates(list)),
          isOurs: label === 'service',
        })),
      },
    ],
    goals: [],
    notes: [],
    raw: { runs: Object.fromEntries(named), presence },
  }
}

/** All sockets are one user's, where the server knows users; one more socket sends. */
async function fanOut(lab: Lab, { start, publish, sameUser }: Contestant, sockets: number): Promise<Run> {
  const subject = await start(lab)
  const crowd = startCrowd()
  try {
    const readyAt = subject.knowsAck ? 'synced' : 'welcome'
    const plan = { count: sockets, sameUser, userPrefix: 'everybody', readyAt } as const
    await crowd.tell({ type: 'open', plan: crowdPlan(subject, plan) })
    await crowd.tell({ type: 'publish', plan: publish })
    await wait(lab.settings.warmupMs)
    const before = sampleCost(subject.roles)
    await crowd.tell({ type: 'begin' })
    await wait(lab.settings.measureMs)
    const { arrivals, seconds, cpuUs } = await crowd.tell({ type: 'end' })
    const serviceUs = cpuBetween(before, sampleCost(subject.roles))['service'] ?? Number.NaN
    await crowd.tell({ type: 'finish' })
    return { deliveriesPerSecond: arrivals / seconds, serviceUs: serviceUs / arrivals, generatorUs: cpuUs / arrivals }
  } finally {
    crowd.stop()
    await subject.stop()
  }
}

const rates = (list: readonly Run[]): number[] => list.map((run) => run.deliveriesPerSecond)
const costs = (list: readonly Run[]): number[] => list.map((run) => run.serviceUs)

function tableOf(runs: ReadonlyMap<string, readonly Run[]>, sockets: number): Table {
  const ours = runs.get('service') ?? []
  const row = ([name, list]: readonly [string, readonly Run[]]): string[] => [
    name,
    range(spreadOf(rates(list))),
    range(spreadOf(costs(list)), 2),
    range(spreadOf(list.map((run) => run.generatorUs)), 2),
    list === ours ? '–' : ratio(ratiosOf(rates(ours), rates(list))),
    list === ours ? '–' : ratio(ratiosOf(costs(list), costs(ours))),
  ]
  return {
    title: `fanout: one user on ${sockets} sockets, 100 bytes, json`,
    columns: [
      'server',
      'deliveries/s',
      'service µs',
      'generator µs',
      'first ÷ this, deliveries/s',
      'this ÷ first, service CPU',
    ],
    rows: [...runs].map(row),
  }
}

/** People come and go at once while everybody watches them all. */
async function watchPresence(lab: Lab, sockets: number): Promise<Table> {
  const service = await startService(lab)
  const [watchers, watched] = [startCrowd(), startCrowd()]
  const stars = Array.from({ length: starCount }, (_, index) => `star${index}`)
  const deliveries = sockets * starCount
  try {
    await watchers.tell({ type: 'open', plan: crowdPlan(service, { count: sockets, readyAt: 'synced' }) })
    await watchers.tell({ type: 'say', payload: JSON.stringify({ type: 'watch', user_ids: stars }) })
    await watchers.tell({ type: 'await', arrivals: deliveries })
    const before = sampleCost(service.roles)
    const startMs = performance.now()
    await watched.tell({ type: 'open', plan: crowdPlan(service, { count: starCount, userPrefix: 'star' }) })
    await watchers.tell({ type: 'await', arrivals: deliveries * 2 })
    const knownMs = performance.now() - startMs
    await watched.tell({ type: 'close' })
    await watchers.tell({ type: 'await', arrivals: deliveries * 3 })
    const serviceUs = cpuBetween(before, sampleCost(service.roles))['service'] ?? Number.NaN
    return {
      title: `fanout: ${starCount} people come and go, watched by ${sockets}`,
      columns: ['', 'until all know that they came, ms', 'service µs/delivery'],
      rows: [['service', knownMs.toFixed(1), (serviceUs / (2 * deliveries)).toFixed(2)]],
    }
  } finally {
    watchers.stop()
    watched.stop()
    await service.stop()
  }
}
