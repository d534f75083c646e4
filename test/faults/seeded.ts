// Every seeded bug in a build of its own, under the scenario that must notice it: a suite that cannot fail shows nothing.
import { RedisServer } from '../support/redis.ts'
import { type Build, compileService } from './build.ts'
import { Cluster } from './cluster.ts'
import { strictOutage } from './outages.ts'
import { play } from './play.ts'
import { scenarioNamed } from './scenarios.ts'
import { SEEDED_BUGS, type SeededBug } from './seeded-bugs.ts'
import type { Settings } from './settings.ts'
import { SCENARIO_ENV } from './smoke.ts'
import { World } from './world.ts'

interface Result {
  readonly bug: string
  readonly scenario: string
  /** What the scenario said first; undefined: it noticed nothing. */
  readonly noticed: string | undefined
}

/** True when every bug was caught. */
export async function runSeeded({ seed, only }: Settings): Promise<boolean> {
  const build = await compileService()
  const [cluster, redis] = await Promise.all([Cluster.start(), RedisServer.start()])
  const results: Result[] = []
  try {
    const chosen = SEEDED_BUGS.filter(({ name }) => only.length === 0 || only.includes(name))
    for (const bug of chosen) {
      process.stdout.write(`\n${bug.name}\n`)
      results.push(await hunt(bug, build, { cluster, redis }, seed))
    }
  } finally {
    await redis.stop()
    await cluster.remove()
    await build.remove()
  }
  process.stdout.write(`\n${table(results)}\n`)
  return results.every(({ noticed }) => noticed !== undefined)
}

async function hunt(
  { name, patches, scenario: scenarioName }: SeededBug,
  build: Build,
  servers: { cluster: Cluster; redis: RedisServer },
  seed: number,
): Promise<Result> {
  const scenario = strictOutage(scenarioName) ?? scenarioNamed(scenarioName)
  const buggy = await build.patched([...(scenario.without ?? []), ...patches])
  try {
    const own = scenario.ownsServers ? {} : servers
    const world = await World.create({ build: buggy, instances: 2, ...own, env: SCENARIO_ENV })
    try {
      const { wrong } = await play(scenario, world, seed)
      // A play that could not be played has shown nothing.
      return { bug: name, scenario: scenarioName, noticed: wrong.find((line) => !line.startsWith('broke off')) }
    } finally {
      await world.close()
    }
  } finally {
    await buggy.remove()
  }
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ bug, scenario, noticed }) => {
    return `| ${bug} | ${noticed === undefined ? 'NOT CAUGHT' : scenario} | ${(noticed ?? '').replaceAll('|', '/').slice(0, 120)} |`
  })
  const caught = results.filter(({ noticed }) => noticed !== undefined).length
  return [
    '| bug | caught by | said |',
    '| --- | --- | --- |',
    ...rows,
    '',
    `${caught} of ${results.length} caught`,
  ].join('\n')
}
