import type { DependencyLog } from '../lib/dependency-log.ts'
import { nodeAddress, type RedisAddress } from './address.ts'
import {
  type Commands,
  createClusterClient,
  createCommandClient,
  createSubscriberClient,
  type Redis,
} from './client.ts'
import { lackIn, lackOf, missingSubscriberRights } from './rights.ts'

export interface ExaminationOptions {
  readonly address: RedisAddress
  readonly prefix: string
  readonly health: DependencyLog
}

const NAME = 'doctor'

/** Connects to Redis, or to every primary of a cluster; rejects with what keeps the service from using it. */
export async function examine(options: ExaminationOptions): Promise<void> {
  const { address, health } = options
  if (!address.cluster) return examineServer(options, false)
  const cluster = createClusterClient({ ...address, health, name: NAME })
  try {
    await ready(cluster)
    for (const { options: node } of cluster.nodes('master')) {
      await examineServer({ ...options, address: nodeAddress(address, `${node.host}:${node.port}`) }, true)
    }
  } finally {
    cluster.disconnect()
  }
}

async function examineServer({ address, prefix, health }: ExaminationOptions, isSharded: boolean): Promise<void> {
  const commands = createCommandClient({ ...address, health, name: NAME })
  const subscriber = createSubscriberClient({ ...address, health, name: NAME })
  try {
    await Promise.all([ready(commands), ready(subscriber)])
    const lack = await lackIn(commands, prefix, isSharded)
    if (lack) throw lack
    const missing = await missingSubscriberRights(subscriber, prefix, isSharded)
    if (missing.length > 0) throw lackOf(missing)
  } finally {
    for (const connection of [commands, subscriber] satisfies Redis[]) connection.disconnect()
  }
}

function ready(redis: Commands): Promise<void> {
  return new Promise((resolve, reject) => {
    redis.once('ready', resolve)
    redis.once('error', reject)
  })
}
