// One round: load and faults, then the final phase, which is always the same, then the checker.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SetUpKind } from '../support/redis-set-up.ts'
import type { Build } from './build.ts'
import { type Counts, check } from './checker.ts'
import { ClientProcess } from './client-process.ts'
import type { Anomaly } from './findings.ts'
import { conversationOf, type Event, MemoryHistory, readHistory } from './history.ts'
import type { Instance } from './instance.ts'
import { runNemeses } from './nemesis-plan.ts'
import { CUT_POINTS, type CutPoint } from './postgres-proxy.ts'
import { Random } from './random.ts'
import { readConversation, readPositions } from './reading.ts'
import { until, World } from './world.ts'

export interface RoundPlan {
  /** By how much limits are stretched; 1 without. */
  readonly stretch?: number
  readonly seed: number
  /** What kind of Redis; one server without. */
  readonly redis?: SetUpKind
  readonly instances: number
  readonly users: number
  readonly clientProcesses: number
  readonly sendsPerSecond: number
  readonly faultsForMs: number
  readonly gapMs: number
  readonly atOnce: number
}

export interface RoundReport {
  readonly seed: number
  readonly anomalies: readonly Anomaly[]
  /** What instances did that nobody asked for. */
  readonly surprises: readonly string[]
  readonly counts: Counts
  readonly faults: Readonly<Record<string, number>>
  /** Connections cut in a transaction, by place; a fault that found no transaction made none. */
  readonly cuts: Readonly<Record<string, number>>
  readonly instanceKills: number
  readonly postgresCrashes: number
  readonly redisKills: number
  readonly clientKills: number
  /** From the end of the faults until nothing was waiting for an outcome, and until all devices that stayed were level. */
  readonly settledMs: number
  readonly healedMs: number
  readonly seconds: number
}

/** The lease (11 s), two renewals, and the comparison: a dead instance's news are healed by then. */
const HEAL_LIMIT_MS = 25_000
const SETTLE_LIMIT_MS = 40_000
const WARM_UP_MS = 1000

export async function runRound(plan: RoundPlan, build: Build): Promise<RoundReport> {
  const startedMs = performance.now()
  const directory = await mkdtemp(join(tmpdir(), 'messaging-faults-history-'))
  const world = await World.create({
    build,
    instances: plan.instances,
    stretch: plan.stretch ?? 1,
    redisKind: plan.redis ?? 'single',
  })
  try {
    const random = new Random(plan.seed)
    const users = usersOf(plan)
    world.clients = startClients(plan, { world, random, directory })
    const history = new MemoryHistory()
    await delay(WARM_UP_MS)
    const { faultsForMs: forMs, gapMs, atOnce } = plan
    const faults = await runNemeses(world, random, history, { forMs, gapMs, atOnce })
    const { settledMs, healedMs } = await finish(world, users, history)
    const files = world.clients.map((client) => readHistory(client.plan.file))
    const { anomalies, counts } = check([...files, history.entries], { expectLive: true })
    const { cluster, instances, clients, redisKills } = world
    return {
      seed: plan.seed,
      anomalies,
      surprises: world.surprises(),
      counts,
      faults: Object.fromEntries([...faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      cuts: Object.fromEntries(CUT_POINTS.map((point) => [point, sumOf(instances, point)])),
      instanceKills: instances.reduce((sum, { kills }) => sum + kills, 0),
      postgresCrashes: cluster.crashes,
      redisKills,
      clientKills: clients.reduce((sum, { kills }) => sum + kills, 0),
      settledMs: Math.round(settledMs),
      healedMs: Math.round(healedMs),
      seconds: Math.round((performance.now() - startedMs) / 1000),
    }
  } finally {
    await world.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** As long as a UUID, as most user ids are. */
export const usersOf = ({ users }: RoundPlan): string[] =>
  Array.from({ length: users }, (_, index) => `u${String(index).padStart(35, '0')}`)

export function startClients(
  plan: RoundPlan,
  place: { readonly world: World; readonly random: Random; readonly directory: string; readonly isSdk?: boolean },
): ClientProcess[] {
  const { world, random, directory, isSdk = false } = place
  const users = usersOf(plan)
  return Array.from({ length: plan.clientProcesses }, (_, index) => {
    const mine = users.filter((_user, at) => at % plan.clientProcesses === index)
    const rate = { sendsPerSecond: plan.sendsPerSecond / plan.clientProcesses }
    const file = join(directory, `clients-${index}.jsonl`)
    const everybody = { users: mine, everybody: users, ports: world.ports }
    return new ClientProcess({ file, seed: random.below(2 ** 31), ...everybody, ...rate, isSdk })
  })
}

/** Stop all faults, start everything, wait, look; then connect everything again and look again. */
export async function finish(
  world: World,
  users: readonly string[],
  history: MemoryHistory,
): Promise<{ settledMs: number; healedMs: number }> {
  await world.heal()
  const startedMs = performance.now()
  await order(world, 'quiet')
  await until('every send to have an outcome', SETTLE_LIMIT_MS * world.stretch, () =>
    world.clients.every(({ told }) => told?.waiting === 0),
  )
  const settledMs = performance.now() - startedMs
  const reads = await readEverything(world, users)
  const heads = headsOf(reads)
  // Devices that lack something stay connected and are to be healed; nothing is sent any more that would show the hole, and
  // clients do not compare heads, as they would every minute. What is missing then is an anomaly.
  await until('devices to be level', HEAL_LIMIT_MS * world.stretch, () => isLevel(world, heads)).catch(() => undefined)
  const healedMs = performance.now() - startedMs
  await order(world, 'live')
  await order(world, 'resume')
  await delay(500)
  await until('devices to be synced', SETTLE_LIMIT_MS * world.stretch, () =>
    world.clients.every(({ told }) => told?.isSynced === true),
  )
  await order(world, 'final')
  for (const read of reads) history.add(read)
  // The last acknowledgements are on their way into the next batch.
  await delay(300)
  for (const user of users) for (const event of await readPositions(portOf(world), user)) history.add(event)
  for (const client of world.clients) await client.stop()
  return { settledMs, healedMs }
}

const sumOf = (instances: readonly Instance[], point: CutPoint): number =>
  instances.reduce((sum, { postgres }) => sum + (postgres.made.get(point) ?? 0), 0)

const order = async (world: World, what: Parameters<ClientProcess['order']>[0]): Promise<void> => {
  await Promise.all(world.clients.map((client) => client.order(what)))
}

const portOf = (world: World): number => world.instance(0).port

async function readEverything(world: World, users: readonly string[]): Promise<Event[]> {
  const reads: Event[] = []
  for (const [index, user] of users.entries()) {
    for (const other of users.slice(index)) reads.push(await readConversation(portOf(world), user, other))
  }
  return reads
}

function headsOf(reads: readonly Event[]): Map<string, number> {
  const heads = new Map<string, number>()
  for (const read of reads) if (read.e === 'read') heads.set(conversationOf(read.u, read.w), read.rows.length)
  return heads
}

const isLevel = (world: World, heads: ReadonlyMap<string, number>): boolean => missing(world, heads) === 0

/** In how many conversations some device is behind. */
function missing(world: World, heads: ReadonlyMap<string, number>): number {
  const wanted = new Map<string, [string, number][]>()
  for (const [conversation, head] of heads) {
    const [lo = '', hi = ''] = conversation.split(' ')
    for (const [user, other] of new Map([
      [lo, hi],
      [hi, lo],
    ])) {
      if (head > 0) wanted.set(user, [...(wanted.get(user) ?? []), [other, head]])
    }
  }
  let count = 0
  for (const { told } of world.clients) {
    for (const { user, heads: mine } of told?.heads ?? []) {
      const has = new Map(mine)
      count += (wanted.get(user) ?? []).filter(([other, head]) => (has.get(other) ?? 0) < head).length
    }
  }
  return count
}
