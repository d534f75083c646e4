// One instance's side of Redis as the service makes it, whatever kind of Redis it is told of; without sockets and without a store.
import { loadConfig } from '../../src/config.ts'
import { RedisBroker } from '../../src/delivery/broker.redis.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { RedisPresence } from '../../src/presence/presence.redis.ts'
import { openRedis } from '../../src/redis/connections.ts'
import { eventually } from './cluster-instance.ts'
import { silentLogger } from './silent-logger.ts'

/** Resolves when all its connections stand. */
export async function openMember(env: Readonly<Record<string, string>>, prefix: string) {
  const { address } = loadConfig(env).redis
  if (!address) throw new Error('there is no address')
  const redis = openRedis({ address, prefix, clock: systemClock, logger: silentLogger })
  const shared = { ...redis, instanceId: crypto.randomUUID(), prefix, clock: systemClock, logger: silentLogger }
  const epoch = { current: 'one', look: () => Promise.resolve() }
  const broker = new RedisBroker({ ...shared, epoch, observer: { publishFailed: () => undefined } })
  const instanceLost = (): void => undefined
  const presence = new RedisPresence({ ...shared, prefix: redis.presencePrefix, leaseMs: 11_000, instanceLost })
  await eventually(() => broker.isConnected && redis.commands.status === 'ready', 'a connection')
  const close = async (): Promise<void> => {
    await presence.close()
    await broker.close()
    redis.close()
  }
  return { broker, presence, close }
}
