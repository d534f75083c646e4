// The disk answers PostgreSQL with EIO: at a commit, in a write of the log, in a checkpoint, and for seconds on end. A process
// that fails to flush its log panics, and all sessions end; its files are read back from the log. The service answers definitely
// meanwhile and goes on by itself. Controls: two seeded bugs that must be caught by the same errors.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { RedisServer } from '../support/redis.ts'
import { type Build, compileService, type Patch } from './build.ts'
import { Cluster } from './cluster.ts'
import { requireProgram, requireRoot } from './missing.ts'
import { type Outcome, play } from './play.ts'
import { SEEDED_BUGS } from './seeded-bugs.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { Traffic } from './traffic.ts'
import { until, World } from './world.ts'

interface DiskFault {
  readonly name: string
  /** Of strace: which calls fail, and from which one on; counted for each process. */
  readonly calls: string
  readonly when: string
  readonly among: 'backends' | 'checkpointer' | 'everything'
  /** How often it is made. */
  readonly times: number
  /** Until the disk works again; without it each process meets one error. */
  readonly lastsMs?: number
}

interface Control {
  readonly bug: string
  readonly patches: readonly Patch[]
  readonly fault: string
  /** The anomaly as which it must be caught. */
  readonly finds: string
}

const FAULTS: readonly DiskFault[] = [
  { name: 'fdatasync at COMMIT', calls: 'fdatasync', when: '1', among: 'backends', times: 5 },
  { name: 'write of the log', calls: 'pwrite64,pwritev', when: '1', among: 'backends', times: 5 },
  { name: 'flush in a checkpoint', calls: 'fsync,fdatasync', when: '1', among: 'checkpointer', times: 3 },
  { name: 'write in a checkpoint', calls: 'pwrite64,pwritev', when: '1', among: 'checkpointer', times: 3 },
  { name: 'no flush for 3 s', calls: 'fsync,fdatasync', when: '1+', among: 'everything', times: 2, lastsMs: 3000 },
]
const seeded = (name: string): readonly Patch[] => SEEDED_BUGS.find((one) => one.name === name)?.patches ?? []
const CONTROLS: readonly Control[] = [
  { bug: 'ack before COMMIT', patches: seeded('ack before COMMIT'), fault: 'write of the log', finds: 'lost' },
  {
    bug: 'a PANIC at COMMIT counts as a refusal',
    patches: [
      {
        file: 'postgres/copy-transaction.js',
        search: "error.severity === 'ERROR'",
        replace: "error.severity !== 'FATAL'",
      },
    ],
    fault: 'no flush for 3 s',
    finds: 'aborted',
  },
]

const LOAD = { people: 6, perSecond: 600 }
/** A commit without an answer is neither acked nor refused until PostgreSQL is there to be asked; it recovers for a second or so. */
const ANSWER_LIMIT_MS = 5_000
const RECOVERY_LIMIT_MS = 30_000
const INJECTION_LIMIT_MS = 5_000
const NEWCOMER_GAP_MS = 20
const STUCK_AFTER_MS = 5_000

/** True when nothing acked was lost, every send was answered, storing went on, and both controls were caught. */
export async function runIoErrors({ seed, only }: Settings): Promise<boolean> {
  requireRoot('injecting I/O errors')
  await requireProgram('strace', '-V', 'Debian: strace')
  const build = await compileService()
  const redis = await RedisServer.start()
  const isChosen = (name: string): boolean => only.length === 0 || only.includes(name)
  try {
    const wrong: boolean[] = []
    for (const fault of FAULTS.filter(({ name }) => isChosen(name))) {
      wrong.push((await attack(fault, build, redis, seed)).wrong.length > 0)
    }
    for (const control of CONTROLS.filter(({ bug }) => isChosen(bug))) {
      wrong.push(!(await isCaught(control, build, redis, seed)))
    }
    process.stdout.write(`${wrong.includes(true) ? 'FAILED' : 'passed'} (seed ${seed})\n`)
    return !wrong.includes(true)
  } finally {
    await redis.stop()
    await build.remove()
  }
}

async function isCaught(
  { bug, patches, fault, finds }: Control,
  build: Build,
  redis: RedisServer,
  seed: number,
): Promise<boolean> {
  process.stdout.write(`control: ${bug}\n`)
  const buggy = await build.patched(patches)
  try {
    const { wrong } = await attack(faultNamed(fault), buggy, redis, seed)
    const isFound = wrong.some((line) => line.startsWith(finds))
    process.stdout.write(isFound ? `caught: ${finds}\n` : `NOT CAUGHT: nothing was found ${finds}\n`)
    return isFound
  } finally {
    await buggy.remove()
  }
}

function faultNamed(name: string): DiskFault {
  const fault = FAULTS.find((one) => one.name === name)
  if (!fault) throw new Error(`no fault '${name}'`)
  return fault
}

async function attack(fault: DiskFault, build: Build, redis: RedisServer, seed: number): Promise<Outcome> {
  const cluster = await Cluster.start()
  try {
    const world = await World.create({ build, instances: 2, cluster, redis })
    try {
      return await play({ name: fault.name, run: () => meet(fault, world, seed) }, world, seed)
    } finally {
      await Promise.all(world.instances.map((instance) => instance.close()))
    }
  } finally {
    await cluster.remove()
  }
}

async function meet(fault: DiskFault, world: World, seed: number): Promise<string[]> {
  const stage = new Stage(world, seed)
  const traffic = await Traffic.among(stage, { ...LOAD, givesUp: { afterError: 1, afterLoss: 0 } })
  const times: number[] = []
  let injected = 0
  let restarts = 0
  try {
    for (let time = 0; time < fault.times; time += 1) {
      traffic.start()
      await delay(stage.random.between(300, 900))
      injected += await injectOnce(fault, world)
      if (fault.lastsMs !== undefined) restarts += await startIfStuck(world)
      const startedMs = performance.now()
      await delay(200)
      traffic.pause()
      await stage.expect('an answer to every send', ANSWER_LIMIT_MS, () => traffic.waiting === 0)
      await storesAgain(stage, traffic)
      times.push(Math.round(performance.now() - startedMs))
    }
    traffic.pause()
    const { length: acked } = stage.history.entries.filter(({ e }) => e === 'ok')
    const helped = restarts > 0 ? `; PostgreSQL was stuck and started again ${restarts} times` : ''
    process.stdout.write(
      `        ${injected} errors, ${acked} acked; answered and storing after ${times.join(', ')} ms${helped}\n`,
    )
    return await stage.verdict()
  } finally {
    traffic.close()
  }
}

/** Sends, not a look at readiness, show that storing goes on, and without a hand. */
async function storesAgain(stage: Stage, traffic: Traffic): Promise<void> {
  const before = stage.history.entries.length
  traffic.start()
  await until('storing to go on', RECOVERY_LIMIT_MS, () => {
    return stage.history.entries.slice(before).some(({ e }) => e === 'ok')
  })
}

/** Resolves with the number of calls that failed, when the disk works again. */
async function injectOnce(fault: DiskFault, world: World): Promise<number> {
  const tracers = [await Tracer.attach(await targets(world, fault.among), optionsOf(fault))]
  const injected = (): number => tracers.reduce((sum, one) => sum + one.injected, 0)
  try {
    // The error is the checkpointer's, not that of whoever asked for the checkpoint; it may also end that session.
    if (fault.among === 'checkpointer') await world.cluster.run('checkpoint').catch(() => undefined)
    await until('a call to fail', INJECTION_LIMIT_MS, () => injected() > 0)
    const endMs = performance.now() + (fault.lastsMs ?? 0)
    for (const known = new Set(await world.cluster.pids()); performance.now() < endMs; await delay(NEWCOMER_GAP_MS)) {
      const newcomers = (await world.cluster.pids()).filter((pid) => !known.has(pid))
      for (const pid of newcomers) known.add(pid)
      if (newcomers.length > 0) tracers.push(await Tracer.attach(newcomers, optionsOf(fault)))
    }
  } finally {
    await Promise.all(tracers.map((tracer) => tracer.detach()))
  }
  return injected()
}

const optionsOf = ({ calls, when }: DiskFault): string[] => {
  return ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=EIO:when=${when}`]
}

/**
 * A startup process that panics leaves PostgreSQL 18.4 "in recovery mode" for good, without one: seen here, its postmaster
 * goes on refusing connections. Whoever supervises it has to start it again. Resolves with how often that was.
 */
async function startIfStuck({ cluster }: World): Promise<number> {
  const isUp = (): Promise<boolean> =>
    cluster.query('select 1').then(
      () => true,
      () => false,
    )
  const recovered = await until('PostgreSQL to recover', STUCK_AFTER_MS, isUp).catch(() => undefined)
  if (recovered !== undefined) return 0
  await cluster.crash()
  await cluster.startAgain()
  return 1
}

async function targets({ cluster, database }: World, among: DiskFault['among']): Promise<number[]> {
  // Not the postmaster: it flushes nothing, and a traced one does not always hear that a child of its has ended.
  if (among === 'everything') return (await cluster.pids()).slice(1)
  if (among === 'backends') return cluster.backends(database)
  const rows = await cluster.query("select pid from pg_stat_activity where backend_type = 'checkpointer'")
  return rows.map(([pid]) => Number(pid))
}

class Tracer {
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  #hasEnded = false
  #said = ''

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#exited = once(child, 'exit').then(() => {
      this.#hasEnded = true
    })
    child.stderr?.on('data', (text: Buffer) => {
      this.#said += text.toString()
    })
  }

  /** Resolves when it traces those of these processes that are still there. */
  static async attach(pids: readonly number[], options: readonly string[]): Promise<Tracer> {
    const args = [...options, ...pids.flatMap((pid) => ['-p', String(pid)])]
    const tracer = new Tracer(spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] }))
    await until(
      'strace to attach',
      INJECTION_LIMIT_MS,
      () => tracer.#hasEnded || tracer.#count('attach') >= pids.length,
    )
    return tracer
  }

  get injected(): number {
    return this.#count('(INJECTED)')
  }

  /** What is traced goes on unhindered. */
  async detach(): Promise<void> {
    this.#child.kill('SIGINT')
    await this.#exited
  }

  #count(text: string): number {
    return this.#said.split(text).length - 1
  }
}
