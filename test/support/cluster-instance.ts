// One instance's side of Redis, without sockets and without a store.
import { RedisBroker } from '../../src/delivery/broker.redis.ts'
import { type Clock, systemClock } from '../../src/lib/clock.ts'
import { RedisPresence } from '../../src/presence/presence.redis.ts'
import { createCommandClient, createSubscriberClient, type Redis } from '../../src/redis/client.ts'
import { Subscriptions } from '../../src/redis/subscriptions.ts'
import { silentLogger } from './databases.ts'
import { within } from './deadline.ts'

export interface RedisInstance {
  readonly id: string
  readonly commands: Redis
  readonly subscriber: Redis
  readonly subscriptions: Subscriptions
  readonly broker: RedisBroker
  readonly presence: RedisPresence
  /** Since when other instances were reported lost. */
  readonly lost: number[]
  /** Batches that could not be published. */
  failedPublishes: number
  /** As a crash: nothing is said, the connections are cut. */
  close(): Promise<void>
}

export interface InstanceOptions {
  readonly url: string
  readonly prefix: string
  readonly clock?: Clock
}

/** Connects without waiting for Redis. */
export function openInstance({ url, prefix, clock = systemClock }: InstanceOptions): RedisInstance {
  const id = crypto.randomUUID()
  const logger = silentLogger
  const commands = createCommandClient({ url, logger, name: 'test-commands' })
  const subscriber = createSubscriberClient({ url, logger, name: 'test-subscriber' })
  const subscriptions = new Subscriptions(subscriber, clock, logger)
  const shared = { commands, subscriptions, instanceId: id, prefix, clock, logger }
  const lost: number[] = []
  const publishFailed = (): void => {
    instance.failedPublishes += 1
  }
  const instance: RedisInstance = {
    id,
    commands,
    subscriber,
    subscriptions,
    broker: new RedisBroker({ ...shared, observer: { publishFailed } }),
    presence: new RedisPresence({ ...shared, instanceLost: (sinceMs) => void lost.push(sinceMs) }),
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

const LOOK_INTERVAL_MS = 10

/** Looks again and again until it holds; for what tells nobody when it changes. A look that throws does not hold. */
export function eventually(holds: () => boolean | Promise<boolean>, what: string, limitMs = 10_000): Promise<void> {
  let isOver = false
  const look = async (): Promise<void> => {
    while (!isOver && !(await attempt(holds))) await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS))
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
