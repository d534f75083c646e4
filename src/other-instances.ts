// The part of the composition root that makes an instance one of several. It is loaded only where there may be others: it brings a
// client of Redis.
import { Arrivals } from './delivery/arrivals.ts'
import { RedisAudience } from './delivery/audience.redis.ts'
import { RedisBroker } from './delivery/broker.redis.ts'
import type { Broker, BrokerListener } from './delivery/broker.ts'
import { Comparison } from './delivery/comparison.ts'
import { Continuity } from './delivery/continuity.ts'
import { ClusterFanout } from './delivery/fanout.cluster.ts'
import { Healing } from './delivery/healing.ts'
import type { LocalUsers } from './delivery/local-users.ts'
import { jsonCodec } from './gateway/wire/codec.ts'
import { type Instances, type InstancesOptions, publishUserChanged, watchesOf } from './instances.ts'
import { type Clock, sleep } from './lib/clock.ts'
import { DependencyLog } from './lib/dependency-log.ts'
import { RedisPresence } from './presence/presence.redis.ts'
import type { RedisAddress } from './redis/address.ts'
import { openRedis } from './redis/connections.ts'

/** A Redis that neither answers nor refuses, as while it loads its data, does not hold up a start for longer. */
const JOIN_LIMIT_MS = 3_000

/** Joins the others who are connected to the same Redis. */
export function joinAt(address: RedisAddress): (options: InstancesOptions) => Instances {
  return (options) => withOthers(options, address)
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
