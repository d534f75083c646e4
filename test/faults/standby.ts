// The primary dies under load and its streaming standby takes over, at the same address.
import { setTimeout as delay } from 'node:timers/promises'
import { RedisServer } from '../support/redis.ts'
import { type Build, compileService } from './build.ts'
import { Cluster } from './cluster.ts'
import { upperBound } from './findings.ts'
import { play } from './play.ts'
import { Crowd } from './rewound.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { requirePostgres15, StreamingPair } from './streaming-pair.ts'
import { Traffic } from './traffic.ts'
import { until, World } from './world.ts'

const LOAD = { people: 16, perSecond: 6000, isDirect: true }
const LOAD_MS = 4_000
const FAILOVERS = 3
/** Of the moment in which the address leads to the new primary. */
const SERVES_WITHIN_MS = 30_000
const SETTLED_WITHIN_MS = 60_000
/** Acknowledged by a primary whose standby hears nothing. */
const ALONE_MS = 1_500

type Act = (world: World, pair: StreamingPair, seed: number) => Promise<string[]>

/** True when a synchronous standby lost nothing that was acknowledged, and everybody agrees after one that was behind. */
export async function runStandby({ seed }: Settings): Promise<boolean> {
  await requirePostgres15()
  const build = await compileService()
  const redis = await RedisServer.start()
  try {
    const first = await perform('a synchronous standby takes over', synchronous, { build, redis, seed })
    const second = await perform('a standby that was behind takes over', behind, { build, redis, seed })
    return first && second
  } finally {
    await redis.stop()
    await build.remove()
  }
}

interface Given {
  readonly build: Build
  readonly redis: RedisServer
  readonly seed: number
}

async function perform(name: string, act: Act, { build, redis, seed }: Given): Promise<boolean> {
  const pair = await StreamingPair.create()
  try {
    const cluster = await Cluster.of(pair.directory, () => pair.serve())
    const world = await World.create({ build, instances: 2, cluster, redis, isDirect: true })
    try {
      const { wrong } = await play({ name, run: () => act(world, pair, seed) }, world, seed)
      return wrong.length === 0
    } finally {
      await world.close()
    }
  } finally {
    await pair.remove()
  }
}

async function synchronous(world: World, pair: StreamingPair, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const traffic = await Traffic.among(stage, LOAD)
  const epochs = [await epochOf(world)]
  try {
    for (let count = 1; count <= FAILOVERS; count += 1) {
      await pair.addStandby({ isSynchronous: true })
      await failOver(stage, traffic, count)
      epochs.push(await epochOf(world))
    }
    if (new Set(epochs).size !== FAILOVERS + 1) stage.complain(`the epochs were ${epochs.join(' ')}`)
    return await stage.verdict()
  } finally {
    traffic.close()
  }
}

async function failOver(stage: Stage, traffic: Traffic, count: number): Promise<void> {
  const { world } = stage
  const before = ackedIds(stage).size
  const writtenBefore = traffic.written
  traffic.start()
  const startedMs = performance.now()
  await delay(LOAD_MS)
  const rate = (count: number): number => Math.round((count * 1000) / (performance.now() - startedMs))
  const [offered, perSecond] = [rate(traffic.written - writtenBefore), rate(ackedIds(stage).size - before)]
  await world.cluster.crash()
  const acked = ackedIds(stage)
  const diedMs = performance.now()
  await world.cluster.startAgain()
  const promotedMs = performance.now() - diedMs
  await stage.expect('a send to be acknowledged again', SERVES_WITHIN_MS, () => ackedIds(stage).size > acked.size)
  const servedMs = performance.now() - diedMs
  await delay(LOAD_MS)
  traffic.pause()
  await stage.settled(SETTLED_WITHIN_MS)
  const stored = new Set((await world.cluster.query('select id::text from messages', world.database)).map(([id]) => id))
  const lost = [...acked].filter((id) => !stored.has(id)).length
  if (lost > 0) stage.complain(`${lost} of ${acked.size} acknowledged sends are lost`)
  process.stdout.write(
    `        failover ${count}: ${perSecond} acked a second of ${offered} offered, ${acked.size} acked before it, ${lost} lost (95 %: below ` +
      `${upperBound(acked.size).toExponential(1)}); promoted after ${Math.round(promotedMs)} ms, acked again after ${Math.round(servedMs)} ms\n`,
  )
}

/** Clients of the SDK: whatever the new primary lacks, nobody may show or keep, and nobody may stay behind. */
async function behind(world: World, pair: StreamingPair, seed: number): Promise<string[]> {
  const crowd = new Crowd(world, seed)
  const complaints: string[] = []
  const expect = (what: string, limitMs: number, holds: () => boolean): Promise<unknown> =>
    until(what, limitMs, holds).catch((error: Error) => complaints.push(`expected: ${error.message}`))
  try {
    await expect('everybody to be connected', SERVES_WITHIN_MS, () => crowd.haveEpoch(1))
    await pair.addStandby({ isSynchronous: false })
    await delay(ALONE_MS)
    await pair.cutOff()
    await delay(ALONE_MS)
    await world.cluster.crash()
    const acked = crowd.people.flatMap(({ settled }) => settled).filter(({ seq }) => seq > 0)
    await world.cluster.startAgain()
    await expect('a new epoch', SERVES_WITHIN_MS, () => crowd.haveEpoch(2))
    const stored = new Set(
      (await world.cluster.query('select id::text from messages', world.database)).map(([id]) => id),
    )
    const lost = acked.filter(({ id }) => !stored.has(id)).length
    process.stdout.write(`        ${acked.length} acked before it, ${lost} lost with the primary\n`)
    if (lost === 0) complaints.push('nothing was lost: this run PROVES NOTHING')
    await delay(ALONE_MS)
    return [...complaints, ...(await crowd.verdict(1, SETTLED_WITHIN_MS))]
  } finally {
    await crowd.close()
  }
}

async function epochOf({ cluster, database }: World): Promise<string> {
  return String((await cluster.query('select epoch from service_state', database))[0]?.[0])
}

function ackedIds(stage: Stage): Set<string> {
  return new Set(stage.history.entries.flatMap((entry) => (entry.e === 'ok' ? [entry.id] : [])))
}
