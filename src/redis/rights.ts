import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { reasonOf } from '../lib/errors.ts'
import { type Cluster, type Commands, isRefusal, type Redis } from './client.ts'

/** Names this part in what is told about Redis. */
const PART = 'rights'
const LOOK_AGAIN_MS = 10_000
/** Nodes of a cluster are mostly found several at a time. */
const LOOK_SOON_MS = 1_000

type Call = readonly [command: string, ...args: (string | number)[]]

/**
 * One harmless call of every command that the service sends or that a script of it calls, on a key and a channel that are used for
 * nothing else: a user that may make all of these calls may do all that is needed.
 */
export function probesOf(prefix: string, isSharded = false): readonly Call[] {
  const key = `${prefix}probe`
  return [
    // It counts for the next command of the connection, which is the next of these.
    ...(isSharded ? [['ASKING'] as const] : []),
    ['PING'],
    ['TIME'],
    ['EVAL', 'return 1', 0],
    ['EVALSHA', '0'.repeat(40), 0],
    [isSharded ? 'SPUBLISH' : 'PUBLISH', key, ''],
    ['PUBSUB', isSharded ? 'SHARDNUMSUB' : 'NUMSUB', key],
    ['ZADD', key, 'XX', 0, ''],
    ['ZREM', key, ''],
    ['ZSCORE', key, ''],
    ['ZMSCORE', key, ''],
    ['ZRANGE', key, 0, 0],
    ['ZRANGEBYLEX', key, '-', '+', 'LIMIT', 0, 1],
    ['ZRANGEBYSCORE', key, 0, 0],
    ['ZLEXCOUNT', key, '-', '+'],
    ['SADD', `${key}:set`, ''],
    ['SREM', `${key}:set`, ''],
    ['SPOP', `${key}:set`, 1],
    ['SCARD', `${key}:set`],
    ['SISMEMBER', `${key}:set`, ''],
    ['SMEMBERS', `${key}:set`],
    ['SET', `${key}:text`, '', 'PX', 1],
    ['MGET', `${key}:text`],
  ]
}

/**
 * The rights that the user of this connection lacks, as ACL SETUSER takes them: `+command`, `~keys`, `&channels`. Rejects
 * when Redis goes away meanwhile.
 */
export async function missingRights(redis: Redis, prefix: string, isSharded = false): Promise<string[]> {
  const missing = await Promise.all(
    probesOf(prefix, isSharded).map(async ([command, ...args]) => {
      try {
        await redis.call(command, ...args)
        return []
      } catch (error) {
        if (!isRefusal(error)) throw error
        return rightOf(error, command, prefix)
      }
    }),
  )
  return [...new Set(missing.flat())]
}

/** What is wrong with the server for this use, in words. */
async function unfitness(redis: Redis, isSharded: boolean): Promise<string | undefined> {
  // Of a server that does not tell nothing is known to be wrong.
  const info = await redis.info().catch((error: unknown) => {
    if (!isRefusal(error)) throw error
    return ''
  })
  const version = /^redis_version:(.*)$/m.exec(info)?.[1]?.trim() ?? ''
  if (isSharded && Number.parseInt(version, 10) < 7)
    return `REDIS_CLUSTER needs Redis 7 or newer, and this is ${version}`
  if (!isSharded && /^cluster_enabled:1/m.test(info)) return 'it is a Redis Cluster: set REDIS_CLUSTER=on'
  return undefined
}

/** What keeps the service from using this server; undefined when nothing does. Rejects when Redis goes away meanwhile. */
export async function lackIn(redis: Redis, prefix: string, isSharded = false): Promise<Error | undefined> {
  const missing = await missingRights(redis, prefix, isSharded)
  if (missing.length > 0) return lackOf(missing)
  const reason = await unfitness(redis, isSharded)
  return reason === undefined ? undefined : new Error(reason)
}

export interface RightsOptions<Client extends Commands> {
  readonly commands: Client
  readonly prefix: string
  readonly health: DependencyLog
  readonly clock: Clock
}

/** Looks whenever a connection is made, and again while something is missing; tells exactly which rights. */
export function watchRights(options: RightsOptions<Redis>): void {
  watch(options, () => lackIn(options.commands, options.prefix))
}

/** The same of all nodes of a cluster: each has users of its own. */
export function watchClusterRights(options: RightsOptions<Cluster>): void {
  const lookSoon = watch(options, async () => {
    const nodes = options.commands.nodes('master')
    return (await Promise.all(nodes.map((node) => lackIn(node, options.prefix, true)))).find((lack) => lack)
  })
  options.commands.on('+node', lookSoon)
}

/** Returns what makes it look a little later. */
function watch(
  { commands, health, clock }: RightsOptions<Commands>,
  lack: () => Promise<Error | undefined>,
): () => void {
  let cancelLook = (): void => undefined
  const look = async (): Promise<void> => {
    cancelLook()
    try {
      const found = await lack()
      if (!found) return health.works(PART)
      health.failed(PART, found)
      cancelLook = clock.after(LOOK_AGAIN_MS, () => void look())
    } catch {
      // Redis went away, which its client tells; the next connection looks again.
    }
  }
  commands.on('ready', () => void look())
  return () => {
    cancelLook()
    cancelLook = clock.after(LOOK_SOON_MS, () => void look())
  }
}

/** The same of a connection that subscribes; it must not be in use for anything else. */
export async function missingSubscriberRights(redis: Redis, prefix: string, isSharded = false): Promise<string[]> {
  const channel = `${prefix}probe`
  const mark = isSharded ? 'S' : ''
  // A node of a cluster may have to refuse this channel: by then it has looked at the rights.
  for (const command of [`${mark}SUBSCRIBE`, `${mark}UNSUBSCRIBE`]) {
    try {
      await redis.call(command.toLowerCase(), channel)
    } catch (error) {
      if (!isRefusal(error)) throw error
      const missing = rightOf(error, command, prefix)
      if (missing.length > 0) return missing
    }
  }
  return []
}

/** What is told of rights that are missing. */
export function lackOf(rights: readonly string[]): Error {
  return new Error(`its user lacks the rights ${rights.join(' ')}`)
}

/** The right for want of which this command was refused. Source of the texts: acl.c of Redis 6.2 and 7, the same in Valkey. */
export function rightOf(error: unknown, command: string, prefix: string): string[] {
  const reason = reasonOf(error)
  if (!reason.startsWith('NOPERM')) return []
  if (/\bkeys?\b/.test(reason)) return [`~${prefix}*`]
  if (/\bchannels?\b/.test(reason)) return [`&${prefix}*`]
  return [`+${command.toLowerCase()}`]
}
