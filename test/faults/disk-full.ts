// A PostgreSQL whose file system fills up under load, and is given room again. Needs root, for a small file system in memory.
import { execFile } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { RedisServer } from '../support/redis.ts'
import { compileService } from './build.ts'
import { Cluster } from './cluster.ts'
import { play } from './play.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { until, World } from './world.ts'

const run = promisify(execFile)
const SIZE = '220m'
const SMALL_WAL = { max_wal_size: '48MB', min_wal_size: '32MB', wal_keep_size: '0' }
const ANSWER_LIMIT_MS = 2_500
const RECOVERY_LIMIT_MS = 30_000

/** True when nothing acked was lost, every send had a definite answer, and storing went on without a hand. */
export async function runDiskFull({ seed }: Settings): Promise<boolean> {
  if (process.getuid?.() !== 0) {
    process.stdout.write('skipped: a small file system can only be mounted by root\n')
    return true
  }
  const directory = await mkdtemp(join(tmpdir(), 'messaging-faults-disk-'))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'none', directory])
  const build = await compileService()
  const redis = await RedisServer.start()
  let cluster: Cluster | undefined
  try {
    cluster = await Cluster.start(join(directory, 'data'), SMALL_WAL)
    const world = await World.create({ build, instances: 1, cluster, redis })
    try {
      const scenario = { name: 'disk full', run: () => fillUp(world, seed, join(directory, 'ballast')) }
      const { wrong } = await play(scenario, world, seed)
      return wrong.length === 0
    } finally {
      await world.close()
    }
  } finally {
    await cluster?.remove()
    await redis.stop()
    await build.remove()
    await run('umount', ['-l', directory])
    await rm(directory, { recursive: true, force: true })
  }
}

async function fillUp(world: World, seed: number, ballast: string): Promise<string[]> {
  const stage = new Stage(world, seed)
  const writer = await stage.device('writer', 0, { givesUp: { afterError: 1, afterLoss: 0 } })
  await stage.device('reader', 0)
  stage.send(writer, 'reader', 50)
  await stage.settled()
  fill(ballast)
  let failed = 0
  for (let wave = 0; wave < 100 && failed < 3; wave += 1) {
    const before = stage.history.entries.length
    stage.send(writer, 'reader', 200)
    await stage.expect('a definite answer to every send', ANSWER_LIMIT_MS, () => stage.outbox('writer').size === 0)
    if (stage.history.entries.slice(before).some(({ e }) => e === 'fail')) failed += 1
  }
  if (failed === 0) stage.complain('the disk was never full')
  if (await world.instance(0).isReady()) stage.complain('a service that can store nothing said that it is ready')
  rmSync(ballast)
  // Sends, not a look at readiness, show that storing goes on.
  const recoveredMs = await until('storing to go on', RECOVERY_LIMIT_MS, async () => {
    const before = stage.history.entries.length
    stage.send(writer, 'reader', 1)
    await stage.settled()
    return stage.history.entries.slice(before).some(({ e }) => e === 'ok')
  })
  process.stdout.write(`${failed} waves refused; stored again ${Math.round(recoveredMs)} ms after there was room\n`)
  await stage.expect('to be ready', ANSWER_LIMIT_MS, () => world.instance(0).isReady())
  return stage.verdict()
}

/** Takes all the room there is. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  const block = Buffer.alloc(64 * 1024)
  try {
    for (let size = block.length; size >= 512; ) {
      try {
        writeSync(file, block, 0, size)
      } catch {
        size /= 2 // no room for so much
      }
    }
  } finally {
    closeSync(file)
  }
}
