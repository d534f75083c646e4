import { randomUUID } from 'node:crypto'
import { RedisBroker } from './delivery/broker.redis.ts'
import { Continuity } from './delivery/continuity.ts'
import { EncodedEvent } from './delivery/encoded.ts'
import { ClusterFanout } from './delivery/fanout.cluster.ts'
import { LocalFanout } from './delivery/fanout.local.ts'
import type { Fanout } from './delivery/fanout.ts'
import { Healing } from './delivery/healing.ts'
import type { LocalUsers } from './delivery/local-users.ts'
import { presenceTopic, type Topics } from './delivery/topics.ts'
import { presenceEvent } from './gateway/presence-event.ts'
import { type Clock, sleep } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import type { KnownHeads } from './messages/known-heads.ts'
import type { MessageStore } from './messages/store.ts'
import { MemoryPresence } from './presence/presence.memory.ts'
import { RedisPresence } from './presence/presence.redis.ts'
import type { Presence, PresenceState } from './presence/presence.ts'
import { PresenceWatches } from './presence/watches.ts'
import type { UserId } from './protocol/message.ts'
import { createCommandClient, createSubscriberClient } from './redis/client.ts'
import { Subscriptions } from './redis/subscriptions.ts'
import type { Metrics } from './telemetry/metrics.ts'

export interface InstancesOptions {
  /** None: this instance is alone. */
  readonly url: string | undefined
  readonly prefix: string
  readonly store: MessageStore
  readonly users: LocalUsers
  readonly heads: KnownHeads
  readonly topics: Topics
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  /** Resolves when everything that this instance has committed so far is announced. */
  announced(): Promise<void>
}

/** What an instance needs to act as one with the others, or alone. */
export interface Instances {
  readonly fanout: Fanout
  readonly presence: Presence
  readonly watches: PresenceWatches
  /** Resolves when the others are known, or are not to be waited for: an instance starts without Redis, too. */
  joined(): Promise<void>
  /** False while pushes from other instances can not arrive. */
  isConnected(): boolean
  close(): Promise<void>
}

/** Long enough for a page to reload or a client to reconnect. */
const OFFLINE_GRACE_MS = 5_000
/** A Redis that neither answers nor refuses, as while it loads its data, does not hold up a start for longer. */
const JOIN_LIMIT_MS = 3_000

/** The part of the composition root that depends on whether there are other instances. */
export function joinInstances(options: InstancesOptions): Instances {
  return options.url === undefined ? alone(options) : withOthers(options, options.url)
}

function alone({ users, topics, clock }: InstancesOptions): Instances {
  const presence = new MemoryPresence(clock)
  return {
    fanout: new LocalFanout(users),
    presence,
    watches: watchesOf(presence, topics, clock),
    joined: () => Promise.resolve(),
    isConnected: () => true,
    close: () => presence.close(),
  }
}

function withOthers(options: InstancesOptions, url: string): Instances {
  const { prefix, store, users, heads, topics, clock, logger, metrics, announced } = options
  const instanceId = randomUUID()
  const commands = createCommandClient({ url, logger, name: 'messaging-commands' })
  const subscriptions = new Subscriptions(
    createSubscriberClient({ url, logger, name: 'messaging-subscriber' }),
    clock,
    logger,
  )
  const shared = { commands, subscriptions, instanceId, prefix, clock, logger }
  const broker = new RedisBroker({ ...shared, observer: metrics })
  const continuity = continuityOf(users, clock)
  const healing = new Healing({
    store,
    users,
    continuity,
    clock,
    logger,
    observer: metrics,
    announced,
    isConnected: () => broker.isConnected,
  })
  const arrived = (user: UserId): Promise<void> => healing.arrived(user)
  const fanout = new ClusterFanout({ users, broker, continuity, heads, arrived })
  const presence = new RedisPresence({ ...shared, instanceLost: (sinceMs) => healing.heal(sinceMs) })
  broker.listen({
    received: (userId, envelopes) => fanout.received(userId, envelopes),
    gap: (sinceMs) => healing.heal(sinceMs),
  })
  healing.start()
  return {
    fanout,
    presence,
    watches: watchesOf(presence, topics, clock),
    joined: () => Promise.race([presence.joined, sleep(clock, JOIN_LIMIT_MS)]),
    isConnected: () => broker.isConnected,
    async close() {
      await healing.stop()
      await presence.close()
      await broker.close()
      subscriptions.close()
      commands.disconnect()
    },
  }
}

function continuityOf(users: LocalUsers, clock: Clock): Continuity {
  return new Continuity({
    clock,
    replay: (user, other, fromSeq, known) => {
      for (const recipient of users.of(user)) recipient.owe(other, fromSeq, known)
    },
  })
}

function watchesOf(presence: Presence, topics: Topics, clock: Clock): PresenceWatches {
  return new PresenceWatches({
    presence,
    clock,
    graceMs: OFFLINE_GRACE_MS,
    announce: (state: PresenceState) =>
      topics.publish(presenceTopic(state.userId), new EncodedEvent(presenceEvent(state))),
  })
}
