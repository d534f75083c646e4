/** How many can be connected at once, what does each cost, and how soon is everybody back after a restart? */
import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { cpuBetween, sampleCost } from './lib/cost.ts'
import { type CrowdHandle, crowdPlan, startCrowd } from './lib/crowd-handle.ts'
import type { Lab } from './lib/lab.ts'
import { type Outcome, runLoad } from './lib/load.ts'
import { usualLoad } from './lib/load-plan.ts'
import { collectsOnSignal, residentBytes, settledBytes } from './lib/memory.ts'
import type { BenchDatabase } from './lib/postgres.ts'
import { type RunningRedis, startRedis } from './lib/redis.ts'
import type { Report } from './lib/report.ts'
import { type RunningService, startServiceOn } from './lib/service.ts'
import type { Table } from './lib/table.ts'

const mostSockets = { full: 250_000, quick: 20_000, smoke: 100 } as const
/** Of the files that a process may open: the rest is for PostgreSQL, Redis, and a spread that is not even. */
const shareOfFiles = 0.9
/** Upgrades on their way, of all crowds together; each listening socket has a backlog of 512. */
const atOnce = 400
/**
 * Towards one address there are some 28,000 ports, and Linux looks through half of them each time once the other half is taken.
 * (To connect from addresses of their own takes the kernel longer still: it looks for a port that none of them has.)
 */
const mostOfAddress = 9_000
/** As long as a UUID with the number behind it. */
const userPrefix = 'c'.repeat(30)
const firstUser = 100_000

/** The messages that go to and fro meanwhile. */
const traffic = { full: 1000, quick: 1000, smoke: 10 } as const
const messagesPerSecond = { full: 1000, quick: 1000, smoke: 100 } as const

interface Site {
  readonly lab: Lab
  readonly redis: RunningRedis
  readonly database: BenchDatabase
  readonly workers: number
  readonly sockets: number
}

interface Run {
  readonly openMs: number
  /** Of the service, all its processes, with nobody connected and with everybody. */
  readonly residentBytes: readonly [number, number]
  readonly redisBytes: readonly [number, number]
  /** Microseconds of CPU a second and connection, of nothing but being connected. */
  readonly idleCpuUs: Readonly<Record<string, number>>
  readonly alone: Outcome
  readonly amongAll: Outcome
  readonly drainMs: number
  /** From when the service listened again until the last was there. */
  readonly backMs: number
}

export async function benchConnections(lab: Lab): Promise<Report> {
  const sockets = mostSockets[lab.settings.mode]
  const workers = Math.max(2, Math.ceil(sockets / (filesOfProcess() * shareOfFiles)))
  const redis = await startRedis()
  const database = await lab.postgres.createDatabase()
  try {
    const run = await measure({ lab, redis, database, workers, sockets })
    return reportOf(run, { lab, sockets, workers })
  } finally {
    await database.drop()
    await redis.stop()
  }
}

async function measure(site: Site): Promise<Run> {
  const isSmoke = site.lab.settings.mode === 'smoke'
  const crowds = Array.from({ length: site.workers }, startCrowd)
  let service = await start(site)
  try {
    const look = async (): Promise<[number, number]> => {
      return [await settledBytes(service.pid, { isSmoke }), residentBytes(site.redis.role.pid)]
    }
    const alone = await talk(site, service)
    const before = await look()
    const openMs = await openAll(site, service, crowds)
    const after = await look()
    const idleCpuUs = await idleCost(site, service)
    const amongAll = await talk(site, service)
    const stopAt = performance.now()
    await Promise.all(crowds.map((crowd) => crowd.tell({ type: 'expect-end' })))
    await service.stop()
    const drainMs = performance.now() - stopAt
    await Promise.all(crowds.map((crowd) => crowd.tell({ type: 'close' })))
    service = await start(site)
    const backMs = await openAll(site, service, crowds)
    const of = (at: 0 | 1) => [before[at], after[at]] as const
    return { openMs, residentBytes: of(0), redisBytes: of(1), idleCpuUs, alone, amongAll, drainMs, backMs }
  } finally {
    for (const crowd of crowds) crowd.stop()
    await service.stop()
  }
}

function start({ lab, redis, database, workers }: Site): Promise<RunningService> {
  const environment = {
    HOST: '0.0.0.0',
    REDIS_ADDR: redis.address,
    // They read little, and PostgreSQL has a connection for each.
    POSTGRES_POOL_MAX: '2',
    DRAIN_RECONNECT_SPREAD_MS: '0',
  }
  return startServiceOn(lab, database.dsn, { environment, workers, nodeArguments: collectsOnSignal })
}

/** Milliseconds until all are `synced`. */
async function openAll({ sockets }: Site, service: RunningService, crowds: readonly CrowdHandle[]): Promise<number> {
  const startMs = performance.now()
  const parts = Array.from({ length: Math.ceil(sockets / mostOfAddress) }, (_, index) => index)
  await Promise.all(
    crowds.map(async (crowd, index) => {
      for (const part of parts.filter((each) => each % crowds.length === index)) {
        const first = part * mostOfAddress
        const who = { userPrefix, first: firstUser + first, count: Math.min(mostOfAddress, sockets - first) }
        const pace = { atOnce: Math.max(1, Math.floor(atOnce / crowds.length)), readyAt: 'synced' } as const
        const plan = crowdPlan(service, { ...who, ...pace, host: `127.0.0.${part + 2}` })
        await crowd.tell({ type: 'open', plan })
      }
    }),
  )
  return performance.now() - startMs
}

/** Everything that a connection costs while nothing is said: pings, leases, looks. */
async function idleCost({ lab, redis, sockets }: Site, { roles }: RunningService): Promise<Record<string, number>> {
  const before = sampleCost([...roles, redis.role])
  const seconds = (lab.settings.measureMs * 5) / 1000
  await wait(seconds * 1000)
  const cpuUs = cpuBetween(before, sampleCost([...roles, redis.role]))
  return Object.fromEntries(Object.entries(cpuUs).map(([name, us]) => [name, us / sockets / seconds]))
}

let talks = 0

/** People in pairs, at a rate that leaves the machine air, so that the answer's time is no queue's. */
function talk({ lab: { settings } }: Site, service: RunningService): Promise<Outcome> {
  const { mode, warmupMs, measureMs, generators } = settings
  // Begun before the clock runs: the first messages of a conversation between two processes may cross.
  const rate = { connections: traffic[mode], inFlight: 0, opensFirst: true, ratePerSecond: messagesPerSecond[mode] }
  const subject = { ...service, userPrefix: `${service.userPrefix}${talks++}-` }
  return runLoad(subject, { ...usualLoad, ...rate, warmupMs, measureMs: measureMs * 3, generators })
}

function filesOfProcess(): number {
  const [, soft] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  return Number(soft ?? 1024)
}

function reportOf(run: Run, { lab, sockets, workers }: Pick<Site, 'lab' | 'sockets' | 'workers'>): Report {
  const each = ([before, after]: readonly [number, number]) => `${((after - before) / sockets).toFixed(0)} bytes`
  const perSecond = (ms: number) => `${(ms / 1000).toFixed(1)} s, ${((sockets / ms) * 1000).toFixed(0)} a second`
  const ack = ({ ack: { p50Ms, p99Ms } }: Outcome) => `${p50Ms.toFixed(1)} and ${p99Ms.toFixed(1)} ms`
  const idle = Object.entries(run.idleCpuUs).map(([name, us]) => `${name} ${us.toFixed(1)}`)
  const table: Table = {
    title: `connections: ${sockets} people on ${workers} processes that share a port, and ${traffic[lab.settings.mode]} more who talk`,
    columns: ['', ''],
    rows: [
      ['memory of the service a connection', each(run.residentBytes)],
      ['the service with everybody', `${(run.residentBytes[1] / 1e6).toFixed(0)} MB`],
      ['memory of Redis a connection', each(run.redisBytes)],
      ['CPU of being connected, µs a second', idle.join(', ')],
      ['until all are there', perSecond(run.openMs)],
      ['p50 and p99 of an ack, nobody else there', ack(run.alone)],
      ['p50 and p99 of an ack, with everybody', ack(run.amongAll)],
      ['restart: until the last process had ended', `${(run.drainMs / 1000).toFixed(1)} s`],
      ['restart: until all are back, who come as fast as they can', perSecond(run.backMs)],
    ],
  }
  const notes = ['clients, service, PostgreSQL and Redis share the machine, so the times are those of all together']
  return { name: 'connections', tables: [table], charts: [], goals: [], notes, raw: run }
}
