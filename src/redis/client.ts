import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { addressOptions, clusterNodes, type RedisAddress } from './address.ts'

export type { Cluster, Redis } from 'ioredis'

/** What commands are sent to. */
export type Commands = Redis | Cluster

export interface RedisClientOptions extends RedisAddress {
  /** Told why Redis cannot be used, and that it can be used again. */
  readonly health: DependencyLog
  /** Shown in CLIENT LIST. */
  readonly name: string
  /** Names the connection to `health`, if not by its name. */
  readonly part?: string
}

const CONNECT_TIMEOUT_MS = 2_000
/**
 * A command that takes longer has failed for us, whether or not Redis still runs it. Long enough for a busy turn of our own:
 * timers run before the answer is read that has been waiting.
 */
const COMMAND_TIMEOUT_MS = 3_000
/**
 * A connection that answers nothing for so long has failed, although it may look open for many minutes more; what is
 * written to it until then is kept in memory. Counts only while an answer is due, that to the first command included.
 */
const SOCKET_TIMEOUT_MS = 4_000
/** A connection given up is not waited for: its other end may never answer. */
const DISCONNECT_TIMEOUT_MS = 500
const RECONNECT = { firstMs: 50, maxMs: 1_000 }

/**
 * A connection for commands. While Redis is away commands fail at once: ioredis would queue them without bound, and send
 * them, stale, when it is back.
 */
export function createCommandClient(options: RedisClientOptions): Redis {
  return connect(options, { commandTimeout: COMMAND_TIMEOUT_MS })
}

/** A connection for SUBSCRIBE. Its owner resubscribes: only the owner knows what is wanted by then. */
export function createSubscriberClient(options: RedisClientOptions): Redis {
  return connect(options, { autoResubscribe: false })
}

type Script = (...args: readonly (string | number)[]) => Promise<unknown>

/** A Lua script as a function of its KEYS (the first `keys` arguments) and ARGV; sent whole only when Redis lacks it. */
export function defineScript(redis: Commands, name: string, lua: string, keys = 0): Script {
  redis.defineCommand(name, { numberOfKeys: keys, lua })
  const script: Script = Reflect.get(redis, name)
  return script.bind(redis)
}

const reconnectAfterMs = (attempt: number): number =>
  Math.min(RECONNECT.maxMs, RECONNECT.firstMs * 2 ** Math.min(attempt, 10))

/** How often a command is sent to another node, when slots have moved or a node has gone. */
const MAX_REDIRECTIONS = 5

/** The connections to all nodes of a cluster for commands; each goes to the node of its keys. */
export function createClusterClient(options: RedisClientOptions): Cluster {
  const { health, name, ...address } = options
  const { host: _host, port: _port, db: _db, ...shared } = addressOptions(address)
  const cluster = new Cluster(clusterNodes(address), {
    redisOptions: { ...shared, ...connectionOptions(name), commandTimeout: COMMAND_TIMEOUT_MS },
    enableOfflineQueue: false,
    maxRedirections: MAX_REDIRECTIONS,
    clusterRetryStrategy: (attempt: number) => reconnectAfterMs(attempt),
    // Certificates name hosts.
    dnsLookup: (host, callback) => callback(null, host),
  })
  tellReadyCheck(cluster)
  cluster.on('ready', () => health.works(name))
  cluster.on('+node', (node: Redis) => hearAsking(node, (slot) => cluster.emit(ASKED, slot)))
  cluster.on('error', (error: Error) => {
    const cause = Reflect.get(error, 'lastNodeError')
    health.failed(name, cause instanceof Error ? cause : error)
  })
  return cluster
}

type ReadyChecked = (error: Error | null, state?: string) => void

/** ioredis asks a cluster whether it works before it counts as ready; when it does not, or does not say, it begins again without a word. */
function tellReadyCheck(cluster: Cluster): void {
  const check: (checked: ReadyChecked) => void = Reflect.get(cluster, 'readyCheck').bind(cluster)
  const told = (checked: ReadyChecked): void =>
    check((error, state) => {
      const reason =
        error ?? (state && new Error(`the cluster does not serve all of its slots (cluster_state:${state})`))
      if (reason) cluster.emit('error', reason)
      checked(error, state)
    })
  Object.assign(cluster, { readyCheck: told })
}

/** Emitted with its slot when a command follows an ASK: that slot is half moved. */
export const ASKED = 'asked'

/**
 * ioredis asks before it follows an ASK and waits for no answer; a rejection that nobody hears would end the process. What it asked
 * for is the command that it sends next.
 */
function hearAsking(node: Redis, asked: (slot: number) => void): void {
  const asking = node.asking.bind(node)
  const sendCommand = node.sendCommand.bind(node)
  let hasAsked = false
  const heard = (): Promise<'OK'> => {
    const answer = asking()
    answer.catch(() => undefined)
    hasAsked = true
    return answer
  }
  const sent: typeof sendCommand = (command, stream) => {
    const slot = hasAsked ? command.getSlot() : null
    hasAsked = false
    if (slot !== null) asked(slot)
    return sendCommand(command, stream)
  }
  Object.assign(node, { asking: heard, sendCommand: sent })
}

function connectionOptions(name: string) {
  return {
    connectionName: name,
    // It would need one more right, which Redis before 7.2 does not know.
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
  }
}

function connect(
  { health, name, part = name, ...address }: RedisClientOptions,
  extra: Pick<RedisOptions, 'commandTimeout' | 'autoResubscribe'>,
): Redis {
  const redis = new Redis({
    ...addressOptions(address),
    ...connectionOptions(name),
    enableOfflineQueue: false,
    retryStrategy: (attempt: number) => reconnectAfterMs(attempt),
    // After a failover the old primary answers READONLY until its clients go elsewhere.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    ...extra,
  })
  tellHealth(redis, part, health)
  neverGiveUp(redis)
  return redis
}

/** ioredis gives up for good when a connection is ended while it asks sentinels for the primary. */
function neverGiveUp(redis: Redis): void {
  let isOver = false
  const disconnect = redis.disconnect.bind(redis)
  redis.disconnect = (reconnect = false) => {
    isOver ||= !reconnect
    disconnect(reconnect)
  }
  redis.on('end', () => {
    if (isOver) return
    setTimeout(() => {
      // Why it fails the client tells.
      if (!isOver) redis.connect().catch(() => undefined)
    }, RECONNECT.maxMs).unref()
  })
}

function tellHealth(redis: Redis, name: string, health: DependencyLog): void {
  let wasReady = false
  redis.on('ready', () => {
    wasReady = true
    health.works(name)
  })
  redis.on('error', (error: Error) => {
    wasReady = false
    health.failed(name, error)
  })
  // Not told of a connection that we end ourselves for good, nor of one whose error has told why it ended.
  redis.on('reconnecting', () => {
    const isOurDoing = givenUp.delete(redis)
    if (wasReady && !isOurDoing) health.failed(name, new Error('the connection was lost'))
    wasReady = false
  })
}

const givenUp = new WeakSet<Redis>()

/** Goes on with another connection: what this one has been told is not known any more. */
export function startAgain(redis: Redis): void {
  givenUp.add(redis)
  redis.disconnect(true)
}

/** Redis has answered, with an error: another connection would hear the same. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}

/**
 * The keys of a slot are on two nodes for now, and nothing was done. The client has tried again, also at any other node, and tells what it
 * heard last.
 */
export function isHalfMoved(error: unknown): boolean {
  return error instanceof Error && /Cluster redirections.*\b(TRYAGAIN|ASK|MOVED)\b/.test(error.message)
}

/** A node of a cluster has answered that another one has to be asked, or none can for now. */
export function hasMoved(error: unknown): boolean {
  return error instanceof Error && /^(MOVED|ASK|CLUSTERDOWN|TRYAGAIN)\b/.test(error.message)
}
