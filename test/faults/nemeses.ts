// The faults. Each breaks one thing, says what it holds meanwhile, and mends it again; several run at a time.
import { setTimeout as delay } from 'node:timers/promises'
import { signal } from './cluster.ts'
import type { Instance } from './instance.ts'
import { CUT_POINTS } from './postgres-proxy.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export interface Nemesis {
  readonly name: string
  readonly weight: number
  /** No other fault touches these until this one has ended. */
  holds(world: World, random: Random): string
  act(world: World, random: Random, target: string): Promise<void>
}

const anInstance = (world: World, random: Random): string => `instance ${random.below(world.instances.length)}`
const aClient = (world: World, random: Random): string => `clients ${random.below(world.clients.length)}`
const indexOf = (target: string): number => Number(target.split(' ')[1])

function onInstance(
  name: string,
  weight: number,
  act: (instance: Instance, random: Random, world: World) => Promise<void>,
): Nemesis {
  return {
    name,
    weight,
    holds: anInstance,
    act: (world, random, target) => act(world.instance(indexOf(target)), random, world),
  }
}

function onOne(
  name: string,
  weight: number,
  what: 'postgres' | 'redis',
  act: (world: World, random: Random) => Promise<void>,
): Nemesis {
  return { name, weight, holds: () => what, act }
}

function link(name: string, weight: number, act: (instance: Instance, random: Random) => Promise<void>): Nemesis {
  return onInstance(name, weight, act)
}

const processes: readonly Nemesis[] = [
  onInstance('SIGKILL of an instance', 24, async (instance, random) => {
    await instance.kill()
    await delay(random.between(0, 800))
    await instance.startAgain()
  }),
  onInstance('SIGSTOP of an instance', 2, async (instance, random) => {
    instance.freeze()
    await delay(random.between(100, 7000))
    instance.thaw()
  }),
  onInstance('SIGTERM of an instance', 1, async (instance) => {
    await instance.drain()
    await instance.startAgain()
  }),
  {
    name: 'SIGKILL of clients',
    weight: 2,
    holds: aClient,
    async act(world, random, target) {
      await world.clients[indexOf(target)]?.kill()
      await delay(random.between(0, 500))
      world.clients[indexOf(target)]?.start()
    },
  },
  {
    name: 'SIGSTOP of clients',
    weight: 1,
    holds: aClient,
    async act(world, random, target) {
      world.clients[indexOf(target)]?.freeze()
      await delay(random.between(100, 3000))
      world.clients[indexOf(target)]?.thaw()
    },
  },
]

const database: readonly Nemesis[] = [
  onOne('SIGKILL of all of PostgreSQL', 5, 'postgres', async ({ cluster }, random) => {
    await cluster.crash()
    await delay(random.between(0, 1000))
    await cluster.startAgain()
  }),
  onOne('SIGKILL of one PostgreSQL backend', 2, 'postgres', async ({ cluster, database: name }, random) => {
    const backends = await cluster.backends(name)
    if (backends.length === 0) return
    signal(random.pick(backends), 'SIGKILL')
    // The server ends every session and recovers, as after a crash of its own.
    cluster.crashes += 1
    await delay(500)
  }),
  onOne('pg_terminate_backend', 2, 'postgres', async ({ cluster, database: name }) => {
    await cluster.run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
  }),
  onOne('SIGSTOP of all of PostgreSQL', 1, 'postgres', async ({ cluster }, random) => {
    await cluster.freezeAll()
    await delay(random.between(100, 4000))
    await cluster.thawAll()
  }),
  onOne('SIGSTOP of one PostgreSQL backend', 1, 'postgres', async ({ cluster, database: name }, random) => {
    const backends = await cluster.backends(name)
    if (backends.length === 0) return
    const backend = random.pick(backends)
    signal(backend, 'SIGSTOP')
    await delay(random.between(100, 4000))
    signal(backend, 'SIGCONT')
  }),
]

const redis: readonly Nemesis[] = [
  onOne('SIGKILL of Redis', 2, 'redis', async (world, random) => {
    await world.crashRedis()
    await delay(random.between(0, 4000))
    await world.redis.startAgain()
  }),
  onOne('SIGSTOP of Redis', 1, 'redis', async (world, random) => {
    world.redis.freeze()
    await delay(random.between(100, 5000))
    world.redis.thaw()
  }),
  onOne('FLUSHALL', 1, 'redis', async (world) => {
    await world.redis.run('FLUSHALL')
  }),
  onOne('loss of one key of Redis', 2, 'redis', async ({ redis: server, database: name }, random) => {
    const keys = (await server.run('KEYS', `${name}:*`)) as string[]
    if (keys.length > 0) await server.run('DEL', random.pick(keys))
  }),
  onOne('no room in Redis', 1, 'redis', async (world, random) => {
    await world.redis.run('CONFIG', 'SET', 'maxmemory', 1)
    await delay(random.between(500, 5000))
    await world.redis.run('CONFIG', 'SET', 'maxmemory', 0)
  }),
  onOne('CLIENT KILL of subscribers', 2, 'redis', async (world) => {
    await world.redis.run('CLIENT', 'KILL', 'TYPE', 'pubsub')
  }),
  onOne('CLIENT KILL of publishers', 2, 'redis', async (world) => {
    await world.redis.run('CLIENT', 'KILL', 'TYPE', 'normal')
  }),
  onOne('small output buffers in Redis', 1, 'redis', async (world, random) => {
    await world.redis.run('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 4kb 2kb 1')
    await delay(random.between(500, 3000))
    await world.redis.run('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60')
  }),
]

/** A while of one toxic on one of an instance's links. */
function toxic(
  name: string,
  which: 'clients' | 'postgres' | 'redis',
  toxics: Parameters<Instance['clients']['set']>[0],
  maxMs: number,
): Nemesis {
  return link(`${name} between instance and ${which}`, 1, async (instance, random) => {
    instance[which].set(toxics)
    await delay(random.between(200, maxMs))
    instance[which].set({})
    // A connection that lost bytes cannot go on.
    if (toxics.blackhole) instance[which].reset()
  })
}

const links: readonly Nemesis[] = (['clients', 'postgres', 'redis'] as const).flatMap((which) => [
  toxic('latency', which, { latencyMs: 60 }, 3000),
  toxic('low bandwidth', which, { bytesPerSecond: 200_000 }, 3000),
  toxic('blackhole', which, { blackhole: true }, 5000),
  toxic('slow close', which, { slowCloseMs: 800 }, 3000),
  link(`reset between instance and ${which}`, 1, async (instance) => instance[which].reset()),
  link(`refusal between instance and ${which}`, 1, async (instance, random) => {
    instance[which].set({ down: true })
    instance[which].reset()
    await delay(random.between(100, 3000))
    instance[which].set({})
  }),
])

const commits: readonly Nemesis[] = [
  ...CUT_POINTS.map((point) =>
    link(`cut ${point}`, 3, async (instance, random) => {
      instance.postgres.cutNext(...Array.from({ length: 1 + random.below(3) }, () => point))
      await Promise.race([instance.postgres.allCut(), delay(3000)])
      instance.postgres.forgetCuts()
    }),
  ),
  link('COMMIT held 0 to 2 s', 2, async (instance, random) => {
    instance.postgres.holdCommits(() => (random.chance(0.2) ? random.between(0, 2000) : 0))
    await delay(random.between(1000, 4000))
    instance.postgres.holdCommits(() => 0)
  }),
  // Committed, and dead before anybody was told.
  link('SIGKILL of an instance at a cut after-commit', 4, async (instance) => {
    instance.postgres.cutNext('after-commit')
    await Promise.race([instance.postgres.allCut(), delay(2000)])
    instance.postgres.forgetCuts()
    await instance.kill()
    await instance.startAgain()
  }),
]

export const NEMESES: readonly Nemesis[] = [...processes, ...database, ...redis, ...links, ...commits]
