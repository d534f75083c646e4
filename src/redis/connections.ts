import type { Clock } from '../lib/clock.ts'
import { DependencyLog } from '../lib/dependency-log.ts'
import type { Logger } from '../lib/logger.ts'
import { nodeAddress, type RedisAddress } from './address.ts'
import { type Commands, createClusterClient, createCommandClient, createSubscriberClient } from './client.ts'
import { ClusterSubscriptions } from './cluster-subscriptions.ts'
import { ClusterPublisher, type Publisher, ServerPublisher } from './publisher.ts'
import { watchClusterRights, watchRights } from './rights.ts'
import { Shards, slotOfChannel } from './shards.ts'
import { type ChannelSubscriptions, Subscriptions } from './subscriptions.ts'
import { Topology } from './topology.ts'

/** All that an instance has of Redis, be it one server or a cluster. */
export interface RedisConnections {
  readonly health: DependencyLog
  readonly commands: Commands
  readonly subscriptions: ChannelSubscriptions
  readonly publisher: Publisher
  /** Put before the keys and channels of presence. */
  readonly presencePrefix: string
  /** Channels belong to the slots of a cluster. */
  readonly isSharded: boolean
  /** Tells from now on which rights the user lacks. */
  watchRights(): void
  close(): void
}

export interface ConnectionsOptions {
  readonly address: RedisAddress
  readonly prefix: string
  readonly clock: Clock
  readonly logger: Logger
}

const COMMANDS = 'messaging-commands'
const SUBSCRIBER = 'messaging-subscriber'

/** Without waiting for Redis. */
export function openRedis(options: ConnectionsOptions): RedisConnections {
  const { logger, clock, address } = options
  const health = new DependencyLog({ dependency: 'Redis', logger, clock })
  return address.cluster ? toCluster(options, health) : toServer(options, health)
}

function toServer({ address, prefix, clock }: ConnectionsOptions, health: DependencyLog): RedisConnections {
  const commands = createCommandClient({ ...address, health, name: COMMANDS })
  const subscriber = createSubscriberClient({ ...address, health, name: SUBSCRIBER })
  const subscriptions = new Subscriptions(subscriber, clock, health)
  const watch = (): void => watchRights({ commands, prefix, health, clock })
  const close = (): void => {
    subscriptions.close()
    commands.disconnect()
  }
  const publisher = new ServerPublisher(commands)
  const shared = { health, commands, subscriptions, publisher, close, watchRights: watch }
  return { ...shared, presencePrefix: prefix, isSharded: false }
}

function toCluster({ address, prefix, clock }: ConnectionsOptions, health: DependencyLog): RedisConnections {
  const commands = createClusterClient({ ...address, health, name: COMMANDS })
  const shards = new Shards(prefix)
  const topology = new Topology(commands, clock)
  const open = (node: string): Subscriptions => {
    const name = `${SUBSCRIBER} ${node}`
    const subscriber = createSubscriberClient({ ...nodeAddress(address, node), health, name: SUBSCRIBER, part: name })
    // Of a node that is not used any more nothing is wrong.
    subscriber.on('end', () => health.works(name))
    const ofNode = { node: ` of ${node}`, connection: name, slotOf: slotOfChannel, moved: () => void topology.look() }
    return new Subscriptions(subscriber, clock, health, ofNode)
  }
  const subscriptions = new ClusterSubscriptions({ topology, shards, open })
  const watch = (): void => watchClusterRights({ commands, prefix, health, clock })
  const close = (): void => {
    topology.close()
    subscriptions.close()
    commands.disconnect()
  }
  const publisher = new ClusterPublisher(commands, shards, topology)
  const shared = { health, commands, subscriptions, publisher, close, watchRights: watch }
  return { ...shared, presencePrefix: shards.presencePrefix, isSharded: true }
}
