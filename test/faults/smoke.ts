// The part of npm test: every scenario, and one short round of everything at once, with fixed seeds.
import { RedisServer } from '../support/redis.ts'
import { type Build, compileService } from './build.ts'
import { Cluster } from './cluster.ts'
import { upperBound } from './findings.ts'
import { type Outcome, play, told } from './play.ts'
import { runRound } from './round.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'
import type { Settings } from './settings.ts'
import { World } from './world.ts'

const ROUND_MS = 15_000

/** Small buffers, so that a slow reader is slow soon. */
export const SCENARIO_ENV = { MAX_BACKPRESSURE_BYTES: '65536' }

export async function runSmoke({ seed, only }: Settings): Promise<boolean> {
  const build = await compileService()
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

/** Those that wait for a lease do so beside the others, on instances of their own. */
async function playAll(build: Build, scenarios: readonly Scenario[], seed: number): Promise<Outcome[]> {
  const [cluster, redis] = await Promise.all([Cluster.start(), RedisServer.start()])
  const groups = [
    scenarios.filter(({ waits }) => !waits),
    ...scenarios.filter(({ waits }) => waits).map((one) => [one]),
  ]
  const playGroup = async (group: readonly Scenario[]): Promise<Outcome[]> => {
    if (group.length === 0) return []
    const world = await World.create({ build, instances: 2, cluster, redis, env: SCENARIO_ENV })
    const outcomes: Outcome[] = []
    try {
      for (const scenario of group) outcomes.push(await play(scenario, world, seed))
    } finally {
      await world.close()
    }
    return outcomes
  }
  try {
    return (await Promise.all(groups.map(playGroup))).flat()
  } finally {
    await redis.stop()
    await cluster.remove()
  }
}

async function shortRound(build: Build, seed: number): Promise<Outcome> {
  const plan = { instances: 2, users: 8, clientProcesses: 2, sendsPerSecond: 1000, gapMs: 250, atOnce: 3 }
  const round = await runRound({ ...plan, seed, faultsForMs: ROUND_MS }, build)
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
