import { Arrivals } from './delivery/arrivals.ts'
import { LocalAudience } from './delivery/audience.local.ts'
import { RedisAudience } from './delivery/audience.redis.ts'
import type { Audience, Watchers } from './delivery/audience.ts'
import { RedisBroker } from './delivery/broker.redis.ts'
import type { Broker, BrokerListener, Envelope } from './delivery/broker.ts'
import { Comparison } from './delivery/comparison.ts'
import { Continuity } from './delivery/continuity.ts'
import { EncodedEvent } from './delivery/encoded.ts'
import { ClusterFanout } from './delivery/fanout.cluster.ts'
import { LocalFanout } from './delivery/fanout.local.ts'
import type { Fanout } from './delivery/fanout.ts'
import { Healing } from './delivery/healing.ts'
import type { LocalUsers } from './delivery/local-users.ts'
import { presenceTopic, type Topics } from './delivery/topics.ts'
import { jsonCodec } from './gateway/wire/codec.ts'
import { type Clock, sleep } from './lib/clock.ts'
import { DependencyLog } from './lib/dependency-log.ts'
import type { Logger } from './lib/logger.ts'
import type { Epoch } from './messages/epoch.ts'
import type { KnownHeads } from './messages/known-heads.ts'
import type { MessageReads } from './messages/store.ts'
import { MemoryPresence } from './presence/presence.memory.ts'
import { RedisPresence } from './presence/presence.redis.ts'
import type { Presence, PresenceState } from './presence/presence.ts'
import { presenceEvent } from './presence/presence-event.ts'
import { PresenceWatches } from './presence/watches.ts'
import type { UserChanged } from './protocol/events.ts'
import type { UserId } from './protocol/message.ts'
import type { RedisAddress } from './redis/address.ts'
import { openRedis } from './redis/connections.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** All in milliseconds. */
export interface InstanceTiming {
  /** How long an instance counts as living after it was heard of last. */
  readonly leaseMs: number
  /** Long enough for a page to reload or a client to reconnect. */
  readonly offlineGraceMs: number
}

export interface InstancesOptions {
  /** Names this instance to the others. */
  readonly instanceId: string
  /** None: this instance is alone. */
  readonly address: RedisAddress | undefined
  readonly prefix: string
  readonly store: MessageReads
  readonly users: LocalUsers & Watchers
  readonly heads: KnownHeads
  readonly epoch: Pick<Epoch, 'current' | 'look'>
  readonly topics: Topics
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly timing: InstanceTiming
  /** Resolves when everything that this instance has committed so far is announced. */
  announced(): Promise<void>
  /** Another instance revoked somebody: a look at the database will find whom. */
  revoked(): void
  /** Told what came from another instance, once it is pushed; and when it came, milliseconds since the epoch. */
  readonly traces?: { received(userId: UserId, envelopes: readonly Envelope[], beganMs: number): void } | undefined
}

/** What an instance needs to act as one with the others, or alone. */
export interface Instances {
  readonly fanout: Fanout
  readonly presence: Presence
  readonly watches: PresenceWatches
  readonly audience: Audience
  /** Resolves when the others are known, or are not to be waited for: an instance starts without Redis, too. */
  joined(): Promise<void>
  /** The numbers of the store are no longer those that were known: it was set back, or is another one. */
  forget(): void
  /** False while pushes from other instances cannot arrive. */
  isConnected(): boolean
  /** Why Redis cannot be used right now; empty while it works, or is not needed. */
  degradations(): readonly string[]
  /** Tells the other instances of a revocation, at most once: they find it by themselves, only later. */
  tellRevoked(): void
  /** Tells the watchers of this user, here and elsewhere, at most once. */
  tellUserChanged(event: UserChanged): void
  close(): Promise<void>
}

/** A Redis that neither answers nor refuses, as while it loads its data, does not hold up a start for longer. */
const JOIN_LIMIT_MS = 3_000

/** The part of the composition root that depends on whether there are other instances. */
export function joinInstances(options: InstancesOptions): Instances {
  return options.address === undefined ? alone(options) : withOthers(options, options.address)
}

function alone({ users, topics, clock, timing }: InstancesOptions): Instances {
  const presence = new MemoryPresence(clock)
  return {
    fanout: new LocalFanout(users),
    audience: new LocalAudience(users),
    presence,
    watches: watchesOf(presence, topics, clock, timing.offlineGraceMs),
    joined: () => Promise.resolve(),
    // What it commits itself it tells itself, and nothing is known of the rest.
    forget: () => undefined,
    isConnected: () => true,
    degradations: () => [],
    tellRevoked: () => undefined,
    tellUserChanged: (event) => publishUserChanged(topics, event),
    close: () => presence.close(),
  }
}

function withOthers(options: InstancesOptions, address: RedisAddress): Instances {
  const { instanceId, prefix, epoch, topics, clock, logger, metrics, timing } = options
  const redis = openRedis({ address, prefix, clock, logger })
  redis.watchRights()
  const shared = { ...redis, instanceId, prefix, clock, logger }
  const broker = new RedisBroker({ ...shared, epoch, observer: metrics })
  const { fanout, healing } = deliveryOf(options, broker)
  const presence = new RedisPresence({
    ...{ ...shared, prefix: redis.presencePrefix },
    leaseMs: timing.leaseMs,
    instanceLost: () => healing.gap(),
  })
  healing.start()
  return {
    fanout,
    presence,
    watches: watchesOf(presence, topics, clock, timing.offlineGraceMs),
    audience: new RedisAudience({ ...shared, watchers: options.users, isConnected: () => broker.isConnected }),
    joined: () => Promise.race([presence.joined, sleep(clock, JOIN_LIMIT_MS)]),
    forget: () => healing.forget(),
    isConnected: () => broker.isConnected,
    degradations: () => redis.health.reasons.map((reason) => `Redis: ${reason}`),
    tellRevoked: () => broker.tell({ kind: 'revoked' }),
    tellUserChanged(event) {
      publishUserChanged(topics, event)
      broker.tell({ kind: 'user', user: event })
    },
    async close() {
      await healing.stop()
      await presence.close()
      await broker.close()
      redis.close()
    },
  }
}

/** What is committed here goes to the others, what they commit comes here, and what gets lost is found. */
function deliveryOf(options: InstancesOptions, broker: Broker): { fanout: ClusterFanout; healing: Healing } {
  const { store, users, heads, topics, clock, logger, metrics, announced, revoked, traces } = options
  const continuity = continuityOf(users, clock)
  const health = new DependencyLog({ dependency: 'healing', logger, clock })
  const healing = new Healing({
    comparison: new Comparison({ store, users, continuity, clock, announced }),
    users,
    clock,
    health,
    observer: metrics,
    isConnected: () => broker.isConnected,
  })
  const arrivals = new Arrivals({ store, continuity, health })
  const fanout = new ClusterFanout({
    users,
    broker,
    continuity,
    heads,
    json: jsonCodec,
    comparedMs: () => healing.comparedMs,
    arrived: (user, sinceMs) => arrivals.arrived(user, sinceMs),
  })
  const traced: BrokerListener['received'] = (userId, envelopes) => {
    const beganMs = clock.now()
    fanout.received(userId, envelopes)
    traces?.received(userId, envelopes, beganMs)
  }
  broker.listen({
    received: traces ? traced : (userId, envelopes) => fanout.received(userId, envelopes),
    gap: () => healing.gap(),
    told: (message) => (message.kind === 'revoked' ? revoked() : publishUserChanged(topics, message.user)),
  })
  return { fanout, healing }
}

function continuityOf(users: LocalUsers, clock: Clock): Continuity {
  return new Continuity({
    clock,
    replay: (user, other, fromSeq, known) => {
      for (const recipient of users.of(user)) recipient.replayFrom(other, fromSeq, known)
    },
  })
}

function watchesOf(presence: Presence, topics: Topics, clock: Clock, graceMs: number): PresenceWatches {
  return new PresenceWatches({
    presence,
    clock,
    graceMs,
    announce: (state: PresenceState) =>
      topics.publish(presenceTopic(state.userId), new EncodedEvent(presenceEvent(state))),
  })
}

/** To the watchers of this user on this instance. */
function publishUserChanged(topics: Topics, event: UserChanged): void {
  topics.publish(presenceTopic(event.user_id), new EncodedEvent(event))
}
