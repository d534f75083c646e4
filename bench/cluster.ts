/** What does it add that sender and receiver are connected to different instances? */
import type { Goal } from './lib/goals.ts'
import type { Lab } from './lib/lab.ts'
import { type Outcome, runLoad } from './lib/load.ts'
import { type LoadPlan, usualLoad } from './lib/load-plan.ts'
import { type RunningRedis, startRedis } from './lib/redis.ts'
import { type Report, range, ratio } from './lib/report.ts'
import { startServiceOn } from './lib/service.ts'
import { interleave, ratiosOf, spreadOf } from './lib/stats.ts'
import { type RunningSubject, startPeer } from './lib/subjects.ts'
import type { Table } from './lib/table.ts'

type Name = 'cross-instance' | 'same instance' | 'socketio-cluster'
const names: readonly Name[] = ['cross-instance', 'same instance', 'socketio-cluster']
const cross = 'cross-instance'
const same = 'same instance'

/** People in pairs, or each writing to all others in turn: then half of the messages go to the other instance. */
type Shape = 'in pairs' | 'each to all others'
type Runs = ReadonlyMap<Name, readonly Outcome[]>

export async function benchCluster(lab: Lab): Promise<Report> {
  const redis = await startRedis()
  try {
    const dense = await compare(lab, redis, 'in pairs', names)
    const sparse = await compare(lab, redis, 'each to all others', lab.settings.mode === 'smoke' ? [cross] : names)
    return reportOf({ 'in pairs': dense, 'each to all others': sparse })
  } finally {
    await redis.stop()
  }
}

async function compare(lab: Lab, redis: RunningRedis, shape: Shape, contestants: readonly Name[]): Promise<Runs> {
  return interleave(lab.settings.pairs, contestants, async (name) => {
    const subject = name === 'socketio-cluster' ? await startPeers(lab, redis) : await startTwo(lab, redis, name)
    return runLoad(subject, planOf(lab, shape)).finally(subject.stop)
  })
}

function planOf({ settings: { mode, warmupMs, measureMs, generators } }: Lab, shape: Shape): LoadPlan {
  const connections = mode === 'smoke' ? 20 : 100
  const peers = shape === 'in pairs' ? {} : { peersEach: connections - 1, opensFirst: true }
  return { ...usualLoad, connections, ...peers, warmupMs, measureMs, generators }
}

/** Two instances on one database and one Redis; with `same instance` both people of every pair are on the first. */
async function startTwo(lab: Lab, redis: RunningRedis, name: Name): Promise<RunningSubject> {
  const database = await lab.postgres.createDatabase()
  const environment = { REDIS_ADDR: redis.address, REDIS_PREFIX: `${database.dsn.length}${Date.now()}:` }
  const started: RunningSubject[] = []
  const stop = async (): Promise<void> => {
    for (const instance of started) await instance.stop()
    await database.drop()
  }
  try {
    const first = await startServiceOn(lab, database.dsn, { environment })
    started.push(first)
    const second = await startServiceOn(lab, database.dsn, { environment })
    started.push(second)
    return { ...together(first, second, redis), ...(name === same && { peerPort: first.port }), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startPeers(lab: Lab, redis: RunningRedis): Promise<RunningSubject> {
  const environment = { PEER_REDIS_URL: `redis://${redis.address}` }
  const first = await startPeer(lab, 'socketio-cluster', environment)
  const second = await startPeer(lab, 'socketio-cluster', environment)
  const stop = async (): Promise<void> => {
    await first.stop()
    await second.stop()
  }
  // Without a common store each server numbers what it is sent.
  return { ...together(first, second, redis), numbering: 'instance', stop }
}

/** The second person of each pair is on the second instance; both instances count as the service. */
function together(first: RunningSubject, second: RunningSubject, redis: RunningRedis): RunningSubject {
  const instance = { name: 'service', pid: second.pid, withChildren: false }
  const recentLog = () => `${first.recentLog()}\n${second.recentLog()}`
  return { ...first, peerPort: second.port, roles: [...first.roles, instance, redis.role], recentLog }
}

const costs = (list: readonly Outcome[] | undefined, role: string): number[] =>
  (list ?? []).map((outcome) => outcome.cpuUsPerMessage[role] ?? Number.NaN)
const rates = (list: readonly Outcome[] | undefined): number[] => (list ?? []).map((run) => run.messagesPerSecond)

function reportOf(runs: Readonly<Record<Shape, Runs>>): Report {
  const goal = (shape: Shape): Goal => ({
    bench: 'cluster',
    title: `service CPU per message ÷ same instance, ${shape}`,
    wanted: { atMost: 1.6 },
    unit: '×',
    measured: ratiosOf(costs(runs[shape].get(cross), 'service'), costs(runs[shape].get(same), 'service')),
  })
  const shapes = ['in pairs', 'each to all others'] as const
  return {
    name: 'cluster',
    tables: shapes.map((shape) => tableOf(shape, runs[shape])),
    charts: shapes.map((shape) => ({
      kind: 'bars',
      title: `cluster: CPU of all server processes per message, ${shape}`,
      unit: 'µs',
      bars: [...runs[shape]].map(([label, list]) => ({
        label,
        spread: spreadOf(costs(list, 'service')),
        isOurs: label === cross,
      })),
    })),
    goals: shapes.map(goal),
    notes: ['each to all others: half of the messages go to a person on the other instance'],
    raw: Object.fromEntries(shapes.map((shape) => [shape, Object.fromEntries(runs[shape])])),
  }
}

function tableOf(shape: Shape, runs: Runs): Table {
  const row = ([name, list]: readonly [Name, readonly Outcome[]]): string[] => {
    const p50 = spreadOf(list.map((run) => run.deliver.p50Ms)).median.toFixed(2)
    return [
      name,
      range(spreadOf(rates(list))),
      ...['service', 'redis', 'postgres'].map((role) => range(spreadOf(costs(list, role)), 1)),
      p50,
      name === cross ? '–' : ratio(ratiosOf(costs(runs.get(cross), 'service'), costs(list, 'service'))),
    ]
  }
  return {
    title: `cluster: 100 connections × 16 in flight, ${shape}, json, two instances`,
    columns: [
      '',
      'msg/s',
      'service µs/msg',
      'redis µs/msg',
      'postgres µs/msg',
      'delivered p50 ms',
      'first ÷ this, service CPU',
    ],
    rows: [...runs].map(row),
  }
}
