import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { UserId } from '../protocol/message.ts'
import { defineScript, type Redis } from '../redis/client.ts'
import type { Subscriptions } from '../redis/subscriptions.ts'
import type { Broker, BrokerListener, Envelope } from './broker.ts'
import { decodeEnvelopes, encodeEnvelopes } from './envelope-codec.ts'

export interface RedisBrokerOptions {
  readonly commands: Redis
  readonly subscriptions: Subscriptions
  /** Names this instance among all; no two may share it. */
  readonly instanceId: string
  readonly prefix: string
  readonly clock: Clock
  readonly logger: Logger
  /** Told of every call, of a batch or a part of one, that could not be published. */
  readonly observer: { publishFailed(): void }
}

/** ARGV: channel and payload by turns. Redis runs the call without an interleaved command. */
const PUBLISH_ALL = `for i = 1, #ARGV, 2 do redis.call('PUBLISH', ARGV[i], ARGV[i + 1]) end`
/** Users of one script call: a longer one would hold Redis up for everybody, and arguments must fit on the stack. */
const USERS_PER_CALL = 1_000
/** Payload bytes waiting for Redis' answer beyond which a batch counts as failed: Redis is not keeping up. */
const MAX_IN_FLIGHT_CHARS = 32 * 1024 * 1024

/**
 * A channel per connected user: Redis' own table of subscribers is the routing table, so nothing in it can be stale. Each
 * payload names its publisher, whose own copy is ignored.
 */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions
  readonly #userChannel: string
  readonly #controlChannel: string
  readonly #publishAll: ReturnType<typeof defineScript>
  #listener: BrokerListener | undefined
  #batch = new Map<UserId, Envelope[]>()
  #inFlightChars = 0
  #failedSinceMs: number | undefined

  constructor(options: RedisBrokerOptions) {
    this.#options = options
    this.#userChannel = `${options.prefix}user:`
    this.#controlChannel = `${options.prefix}control`
    this.#publishAll = defineScript(options.commands, 'publishAll', PUBLISH_ALL)
    options.commands.on('ready', () => this.#reportFailedPublishes())
  }

  get isConnected(): boolean {
    return this.#options.subscriptions.isConnected
  }

  listen(listener: BrokerListener): void {
    this.#listener = listener
    const { subscriptions } = this.#options
    subscriptions.onMessage(this.#userChannel, (userId, payload) => this.#received(userId, payload))
    subscriptions.onMessage(this.#controlChannel, (_rest, payload) => this.#controlled(payload))
    subscriptions.onGap((sinceMs) => listener.gap(sinceMs))
    void subscriptions.add(this.#controlChannel)
  }

  subscribe(userId: UserId): Promise<void> {
    return this.#options.subscriptions.add(this.#userChannel + userId)
  }

  unsubscribe(userId: UserId): void {
    this.#options.subscriptions.remove(this.#userChannel + userId)
  }

  add(userId: UserId, envelope: Envelope): void {
    const known = this.#batch.get(userId)
    if (known) known.push(envelope)
    else this.#batch.set(userId, [envelope])
  }

  flush(): void {
    if (this.#batch.size === 0) return
    const batch = this.#batch
    this.#batch = new Map()
    for (const users of chunks([...batch], USERS_PER_CALL)) this.#publish(users)
  }

  async close(): Promise<void> {
    // The connections are shared with presence; who made them closes them.
  }

  #publish(batch: readonly [UserId, Envelope[]][]): void {
    const { commands, clock, instanceId } = this.#options
    const startedMs = clock.now()
    const args: string[] = []
    let chars = 0
    for (const [userId, envelopes] of batch) {
      const payload = encodeEnvelopes(instanceId, envelopes)
      chars += payload.length
      args.push(this.#userChannel + userId, payload)
    }
    if (commands.status !== 'ready' || this.#inFlightChars + chars > MAX_IN_FLIGHT_CHARS) {
      return this.#publishFailed(startedMs)
    }
    this.#inFlightChars += chars
    this.#publishAll(...args).then(
      () => {
        this.#inFlightChars -= chars
        if (this.#failedSinceMs !== undefined) this.#reportFailedPublishes()
      },
      () => {
        this.#inFlightChars -= chars
        this.#publishFailed(startedMs)
      },
    )
  }

  #publishFailed(sinceMs: number): void {
    this.#failedSinceMs = Math.min(sinceMs, this.#failedSinceMs ?? sinceMs)
    this.#options.observer.publishFailed()
  }

  /** What could not be published is in PostgreSQL: it is enough that the others look there. */
  #reportFailedPublishes(): void {
    const sinceMs = this.#failedSinceMs
    if (sinceMs === undefined) return
    const { commands, clock, instanceId } = this.#options
    this.#failedSinceMs = undefined
    commands.publish(this.#controlChannel, `${instanceId} ${clock.now() - sinceMs}`).catch(() => {
      this.#failedSinceMs = Math.min(sinceMs, this.#failedSinceMs ?? sinceMs)
    })
  }

  #received(userId: UserId, payload: string): void {
    const envelopes = decodeEnvelopes(this.#options.instanceId, payload)
    if (envelopes) this.#listener?.received(userId, envelopes)
  }

  /** The age travels, not the time: clocks of different machines differ. */
  #controlled(payload: string): void {
    const [instanceId, ageMs] = payload.split(' ')
    if (instanceId === this.#options.instanceId) return
    this.#listener?.gap(this.#options.clock.now() - Number(ageMs ?? 0))
  }
}
