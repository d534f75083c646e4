// One instance's side of Redis, without sockets and without a store.
import { RedisBroker } from '../../src/delivery/broker.redis.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { DependencyLog } from '../../src/lib/dependency-log.ts'
import type { Logger } from '../../src/lib/logger.ts'
import { RedisPresence } from '../../src/presence/presence.redis.ts'
import type { RedisAddress } from '../../src/redis/address.ts'
import { createCommandClient, createSubscriberClient, type Redis } from '../../src/redis/client.ts'
import { ServerPublisher } from '../../src/redis/publisher.ts'
import { Subscriptions } from '../../src/redis/subscriptions.ts'
import { within } from './deadline.ts'
import { silentLogger } from './silent-logger.ts'

export interface RedisInstance {
  readonly id: string
  readonly commands: Redis
  readonly subscriber: Redis
  readonly subscriptions: Subscriptions
  readonly broker: RedisBroker
  readonly presence: RedisPresence
  /** When other instances were reported lost. */
  readonly lost: number[]
  /** Batches that could not be published. */
  failedPublishes: number
  /** As a crash: nothing is said, the connections are cut. */
  close(): Promise<void>
}

export interface InstanceOptions extends RedisAddress {
  readonly prefix: string
  readonly clock?: Clock
  readonly logger?: Logger
  /** As the service has it by default if none; milliseconds. */
  readonly leaseMs?: number
  /** Presence waits so many times shorter, and a lease is still as long as said: a busy machine makes none run out. */
  readonly hurry?: number
}

/** Connects without waiting for Redis. */
export function openInstance({
  prefix,
  clock = systemClock,
  logger = silentLogger,
  leaseMs = 11_000,
  hurry = 1,
  ...address
}: InstanceOptions): RedisInstance {
  const id = crypto.randomUUID()
  const health = new DependencyLog({ dependency: 'Redis', logger, clock })
  const commands = createCommandClient({ ...address, health, name: 'test-commands' })
  const subscriber = createSubscriberClient({ ...address, health, name: 'test-subscriber' })
  const subscriptions = new Subscriptions(subscriber, clock, health)
  const publisher = new ServerPublisher(commands)
  const shared = { commands, publisher, subscriptions, isSharded: false, instanceId: id, prefix, clock, logger, health }
  const lost: number[] = []
  const publishFailed = (): void => {
    instance.failedPublishes += 1
  }
  const instance: RedisInstance = {
    id,
    commands,
    subscriber,
    subscriptions,
    broker: new RedisBroker({ ...shared, epoch: ONE_EPOCH, observer: { publishFailed } }),
    presence: new RedisPresence({
      ...shared,
      clock: hurried(clock, hurry),
      leaseMs,
      instanceLost: () => void lost.push(Date.now()),
    }),
    lost,
    failedPublishes: 0,
    async close() {
      await instance.presence.close()
      await instance.broker.close()
      subscriptions.close()
      commands.disconnect()
    },
  }
  return instance
}

/** Connects and resolves when both connections stand. */
export async function connectInstance(options: InstanceOptions): Promise<RedisInstance> {
  const instance = openInstance(options)
  await eventually(() => instance.subscriptions.isConnected && instance.commands.status === 'ready', 'a connection')
  return instance
}

function hurried(clock: Clock, hurry: number): Clock {
  const startMs = clock.now()
  return {
    now: () => startMs + (clock.now() - startMs) * hurry,
    after: (delayMs, task) => clock.after(delayMs / hurry, task),
  }
}

const ONE_EPOCH = { current: 'one', look: () => Promise.resolve() }
/** Before the second look and the next ones; what takes long is looked at less often. */
const LOOK_PAUSES_MS = [10, 20, 40]
const LAST_PAUSE_MS = 100

/** Looks again and again until it holds; for what tells nobody when it changes. A look that throws does not hold. */
export function eventually(holds: () => boolean | Promise<boolean>, what: string, limitMs = 60_000): Promise<void> {
  let isOver = false
  const look = async (): Promise<void> => {
    for (let turn = 0; !isOver && !(await attempt(holds)); turn += 1)
      await new Promise((resolve) => setTimeout(resolve, LOOK_PAUSES_MS[turn] ?? LAST_PAUSE_MS))
  }
  return within(look(), () => what, limitMs).finally(() => {
    isOver = true
  })
}

async function attempt(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  try {
    return await holds()
  } catch {
    return false // it may hold at the next look
  }
}
