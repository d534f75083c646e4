// PostgreSQL or Redis is away, for a minute or for a few seconds, and people go on writing: sockets stay open, every send has
// a definite answer, nobody has to lend a hand afterwards.
import { setTimeout as delay } from 'node:timers/promises'
import { PATIENT_WRITER } from '../support/patient-writer.ts'
import { type Answer, answersOf, indefinite, tookMs, unseenAt } from './answers.ts'
import { compileService } from './build.ts'
import type { Device } from './device.ts'
import { monotonicMs } from './history.ts'
import { play } from './play.ts'
import { onlineUsers } from './reading.ts'
import { sendByRest } from './rest-send.ts'
import type { Scenario } from './scenario.ts'
import type { Settings } from './settings.ts'
import { Stage } from './stage.ts'
import { until, World } from './world.ts'

interface Outage {
  readonly name: string
  /** Sends are stored all the same. */
  readonly stores: boolean
  /** Of a Redis of several servers alone. */
  readonly ofSeveral?: boolean
  readonly begin: (world: World) => Promise<void>
  /** Resolves when what was away is there again. */
  readonly end: (world: World) => Promise<void>
}

const OUTAGES: readonly Outage[] = [
  {
    name: 'PostgreSQL stopped',
    stores: false,
    begin: ({ cluster }) => cluster.freezeAll(),
    end: ({ cluster }) => cluster.thawAll(),
  },
  {
    name: 'PostgreSQL killed',
    stores: false,
    begin: ({ cluster }) => cluster.crash(),
    end: ({ cluster }) => cluster.startAgain(),
  },
  {
    name: 'Redis stopped',
    stores: true,
    begin: async ({ redis }) => redis.freeze(),
    end: async ({ redis }) => redis.thaw(),
  },
  {
    name: 'Redis killed',
    stores: true,
    begin: (world) => world.crashRedis(),
    end: ({ redis }) => redis.startAgain(),
  },
  {
    name: 'a part of Redis killed',
    stores: true,
    ofSeveral: true,
    begin: ({ redis }) => redis.killPart(),
    end: ({ redis }) => redis.startAgain(),
  },
  {
    // Nothing can be listed any more, nor any lease renewed.
    name: 'Redis without room',
    stores: true,
    begin: async ({ redis }) => void (await redis.run('CONFIG', 'SET', 'maxmemory', 1)),
    end: async ({ redis }) => void (await redis.run('CONFIG', 'SET', 'maxmemory', 0)),
  },
  {
    name: 'Redis refusing commands',
    stores: true,
    begin: async ({ redis }) => void (await redis.run('ACL', 'SETUSER', 'default', '-zadd', '-sadd', '-zscore')),
    end: async ({ redis }) => void (await redis.run('ACL', 'SETUSER', 'default', '+@all')),
  },
  {
    // As by a hand, or by eviction: what is left looks whole.
    name: 'keys of Redis deleted',
    stores: true,
    begin: async ({ redis, database }) => void (await redis.run('DEL', `${database}:online`)),
    end: async ({ redis, database }) => {
      const keys = (await redis.run('KEYS', `${database}:*`)) as string[]
      for (const key of keys) await redis.run('DEL', key)
    },
  },
  {
    // To connect takes longer here than what is too old is let be.
    name: 'a distant PostgreSQL refused',
    stores: false,
    begin: async ({ instances }) => {
      for (const { postgres } of instances) {
        postgres.set({ down: true })
        postgres.reset()
      }
    },
    end: async ({ instances }) => {
      for (const { postgres } of instances) postgres.set({ latencyMs: 30 })
    },
  },
  {
    name: 'PostgreSQL and Redis stopped',
    stores: false,
    begin: async ({ cluster, redis }) => {
      redis.freeze()
      await cluster.freezeAll()
    },
    end: async ({ cluster, redis }) => {
      await cluster.thawAll()
      redis.thaw()
    },
  },
]

const MINUTE_MS = 60_000
/** Long enough to be over every limit of the service that an outage of a minute meets, but one: a COMMIT is waited for 6 s. */
const SHORT_MS = { stores: 8_000, refuses: 5_000 }
const WARM_UP_MS = 1_500
const SEND_EVERY_MS = 50
const REST_EVERY_MS = 250
const LOOK_EVERY_MS = 500
/** Two seconds, and what client and proxy add to them. */
const ANSWER_LIMIT_MS = 2_300
const HEALTH_LIMIT_MS = 1_000
const RECOVERY_LIMIT_MS = 5_000
/** A Redis that comes back empty is filled by every instance; until each has had the time, nobody is called offline. */
const PRESENCE_LIMIT_MS = 10_000
/** A recovery that takes too long is waited for, to tell how long. */
const PATIENCE_MS = 20_000
/** Without Redis: noticed after four seconds at most, and polled every second. */
const SEEN_LIMIT_MS = 6_000
/** What was acked so long ago has to be seen once everything is as before. */
const LEVEL_MS = 100

/** How long a play lasts, and by how much its limits are stretched. */
interface Length {
  readonly forMs: number
  readonly stretch: number
}

const WHOLE: Length = { forMs: MINUTE_MS, stretch: 1 }
/** All plays of the smoke run share two cores, so it finds what never comes back; what comes late is found by `--outages`. */
const SMOKE_STRETCH = 4

/** The same plays in short, for the smoke run. Where every send is to be stored, none is refused for a machine that is busy. */
export const SHORT_OUTAGES: readonly Scenario[] = OUTAGES.filter(({ ofSeveral }) => !ofSeveral).map((outage) => {
  const scenario = scenarioOf(outage, { forMs: shortMsOf(outage), stretch: SMOKE_STRETCH })
  return outage.stores ? { ...scenario, without: PATIENT_WRITER } : scenario
})

/** One of them by itself, with the limits of a whole minute: a seeded bug may make nothing worse than late. */
export function strictOutage(name: string): Scenario | undefined {
  const outage = OUTAGES.find((one) => one.name === name)
  return outage && scenarioOf(outage, { forMs: shortMsOf(outage), stretch: 1 })
}

function shortMsOf({ stores }: Outage): number {
  return stores ? SHORT_MS.stores : SHORT_MS.refuses
}

/** True when every minute without PostgreSQL or Redis went by as promised. */
export async function runOutages({ seed, only, redis }: Settings): Promise<boolean> {
  const build = await compileService()
  const wrong: string[] = []
  try {
    const outages = OUTAGES.filter(({ ofSeveral }) => redis !== 'single' || !ofSeveral)
    for (const outage of outages.filter(({ name }) => only.length === 0 || only.includes(name))) {
      const world = await World.create({ build, instances: 2, redisKind: redis })
      try {
        wrong.push(...(await play(scenarioOf(outage, WHOLE), world, seed)).wrong)
      } finally {
        await world.close()
      }
    }
  } finally {
    await build.remove()
  }
  return wrong.length === 0
}

function scenarioOf(outage: Outage, length: Length): Scenario {
  return { name: outage.name, ownsServers: true, run: (world, seed) => run(outage, length, new Stage(world, seed)) }
}

async function run(outage: Outage, length: Length, stage: Stage): Promise<string[]> {
  const load = await Load.start(stage)
  const health = new HealthWatch(stage, HEALTH_LIMIT_MS * length.stretch)
  await delay(WARM_UP_MS)
  const presence = new PresenceWatch(stage, load)
  await outage.begin(stage.world)
  const beginMs = monotonicMs()
  await delay(length.forMs)
  await outage.end(stage.world)
  const endMs = monotonicMs()
  const recovery = await recovered(stage, load, endMs, length.stretch)
  health.stop()
  presence.stop()
  load.stop()
  const answers = answersOf(stage.history.entries)
  judge({ outage, length, stage, answers: answers.filter((one) => one.invokedMs > beginMs && one.invokedMs < endMs) })
  judgeSockets(stage, load, health)
  if (presence.missed.size > 0) stage.complain(`connected, and not listed: ${[...presence.missed].join(', ')}`)
  // Only the server knows what became of a COMMIT that it had been sent: no answer is honest until it tells.
  const atCommit = indefinite(
    answers.filter(({ invokedMs }) => invokedMs <= beginMs),
    ANSWER_LIMIT_MS * length.stretch,
  )
  process.stdout.write(
    `        ${load.closed()} of ${load.devices.length} sockets closed; ${atCommit.length} sends were at COMMIT when it began; ` +
      `after it: stored again ${recovery.stored}, all outcomes known and everything delivered ${recovery.level}, ` +
      `presence known ${recovery.presence}\n`,
  )
  return stage.verdict()
}

/** People on both instances who write to people on the other one, over sockets and over REST, at a steady rate. */
class Load {
  readonly devices: readonly Device[]
  readonly people: readonly string[]
  readonly #timers: readonly NodeJS.Timeout[]

  private constructor(stage: Stage, writers: readonly Device[], readers: readonly Device[]) {
    this.devices = [...writers, ...readers]
    this.people = this.devices.map(({ user }) => user)
    this.#timers = [
      setInterval(() => {
        for (const [index, writer] of writers.entries()) stage.send(writer, `reader${index}`)
      }, SEND_EVERY_MS),
      setInterval(() => {
        for (const [index, { port }] of stage.world.instances.entries()) {
          const pair = [stage.user(`rest${index}`), stage.user(`reader${index}`)] as const
          void sendByRest(stage.history, port, pair, stage.random.uuid(), PATIENCE_MS + MINUTE_MS)
        }
      }, REST_EVERY_MS),
    ]
  }

  static async start(stage: Stage): Promise<Load> {
    // Each send is tried once, and a socket is not given up for one answer that does not come.
    const options = { givesUp: { afterError: 1, afterLoss: 0 }, replyLimitMs: PATIENCE_MS + MINUTE_MS }
    const writers: Device[] = []
    const readers: Device[] = []
    for (const index of stage.world.instances.keys()) {
      stage.outbox(`rest${index}`)
      writers.push(await stage.device(`writer${index}`, index, options))
      readers.push(await stage.device(`reader${index}`, 1 - index, options))
    }
    return new Load(stage, writers, readers)
  }

  closed(): number {
    return this.devices.filter(({ closes }) => closes.size > 0).length
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }
}

/** Asks every instance again and again whether it lives. */
class HealthWatch {
  readonly failures: string[] = []
  readonly #timer: NodeJS.Timeout

  constructor({ world }: Stage, limitMs: number) {
    this.#timer = setInterval(() => {
      for (const { port } of world.instances) void this.#ask(port, limitMs)
    }, LOOK_EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #ask(port: number, limitMs: number): Promise<void> {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(limitMs) })
      if (!answer.ok) this.failures.push(String(answer.status))
    } catch (error) {
      this.failures.push(String(error))
    }
  }
}

/** Asks every instance again and again who is online: it may not know, but a list that it gives is whole. */
class PresenceWatch {
  readonly missed = new Set<string>()
  readonly #timer: NodeJS.Timeout

  constructor({ world }: Stage, load: Load) {
    this.#timer = setInterval(() => {
      for (const { port } of world.instances) void this.#ask(port, load)
    }, LOOK_EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #ask(port: number, { people }: Load): Promise<void> {
    const list = await onlineUsers(port).catch(() => undefined)
    for (const person of people) if (list && !list.includes(person)) this.missed.add(person)
  }
}

/** Waits until everything is as before, and tells how long each part of it took. */
async function recovered(stage: Stage, load: Load, endMs: number, stretch: number) {
  const limitMs = RECOVERY_LIMIT_MS * stretch
  const answers = (): Answer[] => answersOf(stage.history.entries)
  const writers = stage.world.instances.map((_instance, index) => stage.user(`writer${index}`))
  const stored = wait(stage, 'every instance to store again', limitMs, () => {
    const all = answers().filter(({ invokedMs, outcome }) => invokedMs > endMs && outcome === 'ok')
    return writers.every((writer) => all.some(({ from }) => from === writer))
  })
  const level = wait(stage, 'everything to be answered and delivered', limitMs, () => {
    const all = answers()
    const isAnswered = all.every(({ invokedMs, outcome }) => invokedMs > endMs || outcome !== undefined)
    return isAnswered && unseenAt(all, monotonicMs() - LEVEL_MS).length === 0
  })
  const presence = wait(stage, 'presence to be known', PRESENCE_LIMIT_MS * stretch, async () => {
    const lists = await Promise.all(stage.world.instances.map(({ port }) => onlineUsers(port).catch(() => undefined)))
    return lists.every((list) => load.people.every((person) => list?.includes(person)))
  })
  return { stored: await stored, level: await level, presence: await presence }
}

async function wait(
  stage: Stage,
  what: string,
  limitMs: number,
  holds: () => Promise<boolean> | boolean,
): Promise<string> {
  try {
    const tookMs = await until(what, Math.max(PATIENCE_MS, limitMs), holds)
    if (tookMs > limitMs) stage.complain(`waited ${Math.round(tookMs)} ms for ${what}`)
    return `after ${Math.round(tookMs)} ms`
  } catch (error) {
    stage.complain(String(error))
    return 'never'
  }
}

interface Judged {
  readonly outage: Outage
  readonly length: Length
  readonly stage: Stage
  /** Of sends that were begun while it lasted. */
  readonly answers: readonly Answer[]
}

function judge({ outage: { name, stores }, length: { forMs, stretch }, stage, answers }: Judged): void {
  const late = indefinite(answers, ANSWER_LIMIT_MS * stretch)
  if (late.length > 0) {
    const [first] = late
    stage.complain(`${late.length} sends without a definite answer in time, such as ${JSON.stringify(first)}`)
  }
  const count = (outcome: Answer['outcome']): number => answers.filter((one) => one.outcome === outcome).length
  if (stores && count('ok') < answers.length) stage.complain(`${answers.length - count('ok')} sends were not stored`)
  if (!stores && count('fail') === 0) stage.complain('it was no outage: nothing was refused')
  const planned = 2 * forMs * (1 / SEND_EVERY_MS + 1 / REST_EVERY_MS)
  if (answers.length < planned / (1 + stretch)) stage.complain(`only ${answers.length} sends, of ${planned} planned`)
  const seen = answers.filter(({ outcome }) => outcome === 'ok')
  const seenMs = largest(seen.map((one) => (one.seenMs ?? Number.POSITIVE_INFINITY) - (one.answeredMs ?? 0)))
  if (stores && seenMs > SEEN_LIMIT_MS * stretch)
    stage.complain(`a message was seen ${Math.round(seenMs)} ms after its ack`)
  process.stdout.write(
    `        ${name} for ${forMs / 1000} s: ${answers.length} sends begun meanwhile, ${count('ok')} stored, ${count('fail')} refused, ` +
      `${late.length} neither in time; slowest answer ${Math.round(largest(answers.map(tookMs)))} ms` +
      `${stores ? `; slowest delivery ${Math.round(seenMs)} ms` : ''}\n`,
  )
}

function judgeSockets(stage: Stage, load: Load, { failures }: HealthWatch): void {
  if (load.closed() > 0) {
    const codes = load.devices.flatMap(({ closes }) => [...closes.keys()])
    stage.complain(`${load.closed()} sockets were closed: ${codes.join(', ')}`)
  }
  if (failures.length > 0) stage.complain(`not alive ${failures.length} times: ${failures[0]}`)
}

const largest = (values: readonly number[]): number => Math.max(0, ...values)
