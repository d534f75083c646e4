// Another version's instances beside this one's: a rolling restart from that to this and back, under load.
import { existsSync, writeFileSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Build, compileService } from './build.ts'
import type { Instance } from './instance.ts'
import { Missing } from './missing.ts'
import { play } from './play.ts'
import { onlineUsers } from './reading.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { Traffic } from './traffic.ts'
import { World } from './world.ts'

const LOAD = { people: 8, perSecond: 800 }
const PHASE_MS = 3_000
const DELIVERY_LIMIT_MS = 1_000

/** True when nothing was lost, doubled or left unhealed while both versions ran. */
export async function runBeside({ seed, beside }: Settings): Promise<boolean> {
  const other = resolve(beside ?? '', 'main.js')
  if (!existsSync(other)) throw new Missing(`${other} is not there: give the directory of a compiled version`)
  const build = await compileService()
  const versions = await Versions.create(other)
  try {
    const world = await World.create({ build: versions.launcher, instances: 2 })
    try {
      const run = () => roll(world, seed, { versions, ours: build.mainFile, other })
      const { wrong } = await play({ name: 'two versions', run }, world, seed)
      return wrong.length === 0
    } finally {
      await world.close()
    }
  } finally {
    await versions.remove()
    await build.remove()
  }
}

interface Both {
  readonly versions: Versions
  readonly ours: string
  readonly other: string
}

async function roll(world: World, seed: number, { versions, ours, other }: Both): Promise<string[]> {
  const stage = new Stage(world, seed)
  const traffic = await Traffic.among(stage, LOAD)
  const [first, second] = [world.instance(0), world.instance(1)]
  const steps = [
    { instance: first, to: ours, name: 'this beside the other' },
    { instance: second, to: ours, name: 'only this' },
    { instance: second, to: other, name: 'the other beside this' },
    { instance: first, to: other, name: 'only the other' },
  ]
  try {
    for (const [index, { instance, to, name }] of steps.entries()) {
      traffic.start()
      await delay(PHASE_MS)
      const code = await instance.drain()
      if (code !== 0) stage.complain(`a drain ended with ${code}`)
      versions.choose(instance, to)
      await instance.startAgain()
      await delay(PHASE_MS)
      await loseRedis(world)
      await killOne(world, index)
      traffic.pause()
      await stage.settled()
      await speakToEachOther(stage, index)
      const { length: acked } = stage.history.entries.filter(({ e }) => e === 'ok')
      process.stdout.write(`        ${name}: ${acked} acked so far\n`)
    }
    return await stage.verdict()
  } finally {
    traffic.close()
  }
}

/** What one published meanwhile the other has to find. */
async function loseRedis({ instances }: World): Promise<void> {
  for (const { redis } of instances) {
    redis.set({ blackhole: true })
    await delay(300)
    redis.set({})
    redis.reset()
  }
}

/** With what it had in hand, in turns. */
async function killOne(world: World, index: number): Promise<void> {
  const instance = world.instance(index % 2)
  await instance.kill()
  await instance.startAgain()
}

/** Not by healing: at once, in both directions, with receipts and presence. */
async function speakToEachOther(stage: Stage, index: number): Promise<void> {
  const [a, b] = [await stage.device(`a${index}`, 0), await stage.device(`b${index}`, 1)]
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const receipts = from.frames('receipt')
    stage.send(from, to.user.slice(stage.user('').length))
    const before = to.head(from.user)
    await stage.expect('a message and its receipt', DELIVERY_LIMIT_MS, () => {
      return to.head(from.user) > before && from.frames('receipt') > receipts
    })
  }
  for (const { port } of stage.world.instances) {
    await stage.expect('both to be online', DELIVERY_LIMIT_MS, async () => {
      const online = await onlineUsers(port)
      return [a, b].every(({ user }) => online?.includes(user))
    })
  }
}

/** Starts, for each instance by itself, the version that was chosen for it. */
class Versions {
  readonly launcher: Build
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
    const mainFile = join(directory, 'launcher.mjs')
    const patched = (): Promise<never> => Promise.reject(new Error('two versions cannot be patched'))
    this.launcher = { mainFile, patched, remove: () => this.remove() }
  }

  static async create(initial: string): Promise<Versions> {
    const directory = await mkdtemp(join(tmpdir(), 'messaging-faults-versions-'))
    await copyFile(fileURLToPath(new URL('./launcher.js', import.meta.url)), join(directory, 'launcher.mjs'))
    writeFileSync(join(directory, 'initial'), pathToFileURL(initial).href)
    return new Versions(directory)
  }

  /** From its next start on. */
  choose(instance: Instance, mainFile: string): void {
    writeFileSync(join(this.#directory, String(instance.postgres.port)), pathToFileURL(mainFile).href)
  }

  remove(): Promise<void> {
    return rm(this.#directory, { recursive: true, force: true })
  }
}
