// The part of npm test: every scenario, and one short round of everything at once, with fixed seeds.
import { RedisServer } from '../support/redis.ts'
import { type Build, builtService, type Patch } from './build.ts'
import { CLOCK_ENV } from './clocks.ts'
import { Cluster } from './cluster.ts'
import { upperBound } from './findings.ts'
import { type Outcome, play, told } from './play.ts'
import { runRound } from './round.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIOS } from './scenarios.ts'
import type { Settings } from './settings.ts'
import { World } from './world.ts'

const ROUND_MS = 8_000
/** All plays share two cores, so this run finds what never comes; what comes late is found by a play alone, as of a seeded bug. */
const STRETCH = 4

/** Small buffers, so that a slow reader is slow soon. */
export const SCENARIO_ENV = { MAX_BACKPRESSURE_BYTES: '65536', ...CLOCK_ENV }

export async function runSmoke({ seed, only }: Settings): Promise<boolean> {
  const build = await builtService()
  try {
    const chosen = SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name))
    const outcomes = await playAll(build, chosen, seed)
    if (only.length === 0) outcomes.push(await shortRound(build, seed))
    const wrong = outcomes.filter((one) => one.wrong.length > 0)
    process.stdout.write(`\n${outcomes.length - wrong.length} passed, ${wrong.length} failed (seed ${seed})\n`)
    return wrong.length === 0
  } finally {
    await build.remove()
  }
}

/** Plays that can share one world, one after the other. */
interface Group {
  readonly scenarios: readonly Scenario[]
  readonly without: readonly Patch[]
  readonly ownsServers: boolean
}

/** The other tests run beside them, and none of both may have to wait for long. */
const WORLDS_AT_ONCE = 3

/** Of one world: most of them wait most of the time, and others can work meanwhile. */
const MAX_IN_TURN = 5

/** Those that wait for a lease do so beside the others, on instances of their own. */
function groupsOf(scenarios: readonly Scenario[]): Group[] {
  const groups: (Group & { readonly key: string; readonly scenarios: Scenario[] })[] = []
  for (const scenario of scenarios) {
    const { name, waits, ownsServers = false, without = [] } = scenario
    const key = waits ? name : JSON.stringify([ownsServers, without])
    const open = groups.find((group) => group.key === key && group.scenarios.length < MAX_IN_TURN)
    if (open) open.scenarios.push(scenario)
    else groups.push({ key, scenarios: [scenario], without, ownsServers })
  }
  return groups
}

async function playAll(build: Build, scenarios: readonly Scenario[], seed: number): Promise<Outcome[]> {
  const [cluster, redis] = await Promise.all([Cluster.start(), RedisServer.start()])
  try {
    const outcomes: Outcome[] = []
    const waiting = groupsOf(scenarios).values()
    const work = async (): Promise<void> => {
      for (const group of waiting) outcomes.push(...(await playGroup(group, build, { cluster, redis }, seed)))
    }
    await Promise.all(Array.from({ length: WORLDS_AT_ONCE }, work))
    return outcomes
  } finally {
    await redis.stop()
    await cluster.remove()
  }
}

async function playGroup(
  { scenarios, without, ownsServers }: Group,
  build: Build,
  servers: { cluster: Cluster; redis: RedisServer },
  seed: number,
): Promise<Outcome[]> {
  const own = without.length === 0 ? build : await build.patched(without)
  const outcomes: Outcome[] = []
  try {
    const given = ownsServers ? {} : servers
    const world = await World.create({ build: own, instances: 2, ...given, env: SCENARIO_ENV, stretch: STRETCH })
    try {
      for (const scenario of scenarios) outcomes.push(await play(scenario, world, seed))
    } finally {
      await world.close()
    }
  } finally {
    if (own !== build) await own.remove()
  }
  return outcomes
}

async function shortRound(build: Build, seed: number): Promise<Outcome> {
  const plan = { instances: 2, users: 8, clientProcesses: 2, sendsPerSecond: 1000, gapMs: 250, atOnce: 3 }
  const round = await runRound({ ...plan, seed, faultsForMs: ROUND_MS, stretch: STRETCH }, build)
  const { acked } = round.counts
  process.stdout.write(
    `round: ${acked} acked (95 %: below ${upperBound(acked).toExponential(1)} each), ${round.instanceKills} instance kills, ` +
      `${round.postgresCrashes} PostgreSQL crashes, faults ${JSON.stringify(round.faults)}\n`,
  )
  const wrong = [
    ...round.anomalies.map(({ name, count, examples }) => `${name} × ${count}: ${examples.join('; ')}`),
    ...round.surprises,
  ]
  return told({ name: 'everything at once', wrong, seconds: round.seconds })
}
