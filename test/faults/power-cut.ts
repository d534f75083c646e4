// The power of PostgreSQL's disk is cut under load, again and again. Its controls acknowledge what is not flushed: they must
// lose, or the cut is none.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { RedisServer } from '../support/redis.ts'
import { type Build, compileService, type Patch } from './build.ts'
import { Cluster } from './cluster.ts'
import { upperBound } from './findings.ts'
import { type FileSystem, LoopDisk, requireLoopDisks } from './loop-disk.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { Traffic } from './traffic.ts'
import { until, World } from './world.ts'

interface Trial {
  readonly name: string
  readonly fileSystem: FileSystem
  readonly cuts: number
  /** Of PostgreSQL, beside those below. */
  readonly settings?: Readonly<Record<string, string>>
  /** Against the assertions with which the service refuses such a PostgreSQL. */
  readonly patches?: readonly Patch[]
}

interface Result {
  readonly cuts: number
  readonly acked: number
  readonly lost: number
  readonly wrong: readonly string[]
}

const assertion = (search: string): readonly Patch[] => [
  { file: 'postgres/assertions.js', search, replace: 'if (settings === undefined)' },
]

const TRIALS: readonly Trial[] = [
  { name: 'ext4', fileSystem: 'ext4', cuts: 15 },
  { name: 'xfs', fileSystem: 'xfs', cuts: 15 },
]
const CONTROLS: readonly Trial[] = [
  {
    name: 'control: synchronous_commit = off',
    fileSystem: 'ext4',
    cuts: 3,
    settings: { synchronous_commit: 'off' },
    patches: assertion("if (!['on', 'remote_apply'].includes(settings.synchronous_commit))"),
  },
  {
    // What killing processes cannot show: the page cache outlives them, but not the power.
    name: 'control: fsync = off',
    fileSystem: 'ext4',
    cuts: 1,
    settings: { fsync: 'off' },
    patches: assertion("if (settings.fsync !== 'on')"),
  },
]

/** Checkpoints happen often, so that cuts fall into them too. */
const SETTINGS = { max_wal_size: '64MB', min_wal_size: '32MB', checkpoint_timeout: '30s' }
const LOAD = { people: 6, perSecond: 1500 }
const LOAD_MS: readonly [number, number] = [600, 2600]
const READY_LIMIT_MS = 30_000

/** True when no acked message was lost, and the controls lost some. */
export async function runPowerCut({ seed, only }: Settings): Promise<boolean> {
  await requireLoopDisks()
  const build = await compileService()
  const redis = await RedisServer.start()
  const chosen = (trial: Trial): boolean => only.length === 0 || only.includes(trial.name)
  let isSound = true
  try {
    for (const trial of TRIALS.filter(chosen)) {
      const { cuts, acked, lost, wrong } = await perform(trial, build, redis, seed)
      const bounds = `95 %: below ${upperBound(acked).toExponential(1)} each, ${upperBound(cuts).toFixed(2)} a cut`
      tell(`${trial.name}: ${cuts} cuts, ${acked} acked, ${lost} lost (${bounds})`, wrong)
      if (lost > 0 || wrong.length > 0) isSound = false
    }
    for (const trial of CONTROLS.filter(chosen)) {
      const { cuts, acked, lost } = await perform(trial, build, redis, seed)
      const proof = lost > 0 ? [] : ['it lost nothing: this run PROVES NOTHING']
      tell(`${trial.name}: cut ${cuts} lost ${lost} of ${acked} acked, as it must`, proof)
      if (lost === 0) isSound = false
    }
  } finally {
    await redis.stop()
    await build.remove()
  }
  process.stdout.write(`${isSound ? 'passed' : 'FAILED'} (seed ${seed})\n`)
  return isSound
}

function tell(line: string, wrong: readonly string[]): void {
  process.stdout.write(`${wrong.length === 0 ? 'ok    ' : 'FAILED'}  ${line}\n`)
  for (const one of wrong) process.stdout.write(`          ${one}\n`)
}

async function perform(trial: Trial, build: Build, redis: RedisServer, seed: number): Promise<Result> {
  const service = trial.patches ? await build.patched(trial.patches) : build
  const disk = await LoopDisk.create(trial.fileSystem)
  let cluster: Cluster | undefined
  try {
    cluster = await Cluster.start(join(disk.path, 'data'), { ...SETTINGS, ...trial.settings })
    const world = await World.create({ build: service, instances: 2, cluster, redis })
    // The load is what is to be cut off; without this a control could lose its whole database.
    if (trial.patches) await disk.flush()
    try {
      return await cutAgainAndAgain(trial, world, disk, seed)
    } finally {
      await Promise.all(world.instances.map((instance) => instance.close()))
    }
  } finally {
    await cluster?.crash()
    await disk.remove()
    await cluster?.remove()
    if (service !== build) await service.remove()
  }
}

async function cutAgainAndAgain(trial: Trial, world: World, disk: LoopDisk, seed: number): Promise<Result> {
  const stage = new Stage(world, seed)
  const traffic = await Traffic.among(stage, LOAD)
  let cuts = 0
  let lost = 0
  try {
    while (cuts < trial.cuts && lost === 0) {
      cuts += 1
      traffic.start()
      await delay(stage.random.between(...LOAD_MS))
      await disk.cutPower()
      // One machine for both, or the database's alone.
      const areKilled = cuts % 2 === 1
      if (areKilled) await Promise.all(world.instances.map((instance) => instance.kill()))
      await world.cluster.crash()
      traffic.pause()
      await disk.unmount()
      await disk.mount()
      const acked = ackedIds(stage)
      lost = await restarted(world).then(
        () => lostOf(acked, world),
        (error: unknown) => {
          process.stdout.write(`        it does not start again: ${String(error).split('\n')[0]}\n`)
          return acked.size
        },
      )
      const whose = areKilled ? 'with the instances' : 'of the database alone'
      process.stdout.write(`        ${trial.name}, cut ${cuts} ${whose}: ${acked.size} acked so far, ${lost} lost\n`)
    }
    // Who has lost something goes on with numbers that devices have seen already: the rest would be noise.
    const wrong = lost > 0 ? [] : await stage.verdict()
    return { cuts, acked: ackedIds(stage).size, lost, wrong }
  } finally {
    traffic.close()
  }
}

async function restarted(world: World): Promise<void> {
  await world.cluster.startAgain()
  await Promise.all(world.instances.map((instance) => instance.startAgain()))
  await until('every instance to be ready', READY_LIMIT_MS, async () => {
    const ready = await Promise.all(world.instances.map((instance) => instance.isReady()))
    return ready.every(Boolean)
  })
}

function ackedIds(stage: Stage): Set<string> {
  return new Set(stage.history.entries.flatMap((entry) => (entry.e === 'ok' ? [entry.id] : [])))
}

async function lostOf(acked: ReadonlySet<string>, { cluster, database }: World): Promise<number> {
  const stored = new Set((await cluster.query('select id::text from messages', database)).map(([id]) => String(id)))
  return [...acked].filter((id) => !stored.has(id)).length
}
