import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { Epoch } from '../messages/epoch.ts'
import type { UserId } from '../protocol/message.ts'
import { type Commands, isRefusal } from '../redis/client.ts'
import type { Publisher } from '../redis/publisher.ts'
import type { ChannelSubscriptions } from '../redis/subscriptions.ts'
import type { Broker, BrokerListener, Envelope } from './broker.ts'
import { type ControlMessage, decodeControl, encodeControl } from './control-codec.ts'
import { decodeEnvelopes, encodeEnvelopes, epochOf } from './envelope-codec.ts'

export interface RedisBrokerOptions {
  readonly commands: Commands
  readonly publisher: Publisher
  readonly subscriptions: ChannelSubscriptions
  /** Names this instance among all; no two may share it. */
  readonly instanceId: string
  readonly prefix: string
  /** What is published in another one is not passed on. */
  readonly epoch: Pick<Epoch, 'current' | 'look'>
  readonly clock: Clock
  readonly logger: Logger
  /** Told while Redis refuses what is published. */
  readonly health: DependencyLog
  /** Told of every call, of a batch or a part of one, that could not be published. */
  readonly observer: { publishFailed(): void }
}

/** Users of one script call: a longer one would hold Redis up for everybody, and arguments must fit on the stack. */
const USERS_PER_CALL = 1_000
/** Payload bytes waiting for Redis' answer beyond which a batch counts as failed: Redis is not keeping up. */
const MAX_IN_FLIGHT_CHARS = 32 * 1024 * 1024
/** Payload bytes waiting for it beyond which nothing is published any more that may be lost: far more than waits while Redis keeps up. */
const MAX_IN_FLIGHT_CHARS_FOR_OFFERS = 1024 * 1024

/** How long after a publish failed it is tried whether Redis takes one again. */
const PROBE_INTERVAL_MS = 1_000
/** Names what is done here in what is told about Redis. */
const PUBLISHING = 'publishing'

/**
 * A channel per connected user: Redis' own table of subscribers is the routing table, so nothing in it can be stale. Each
 * payload names its publisher, whose own copy is ignored.
 *
 * What could not be published is in PostgreSQL, so it is enough that the others look there: they are told of a gap once
 * Redis publishes again. While Redis refuses publishes (a right is missing, there is no room) those of the others
 * most likely fail as well and cannot be told either, so this instance counts as not connected and polls.
 *
 * Numbers of another epoch say nothing about those that the sockets here go by. One of the two instances has not noticed yet
 * that a new one began: this one looks, and then for what was committed meanwhile.
 */
export class RedisBroker implements Broker {
  readonly #options: RedisBrokerOptions
  readonly #userChannel: string
  readonly #controlChannel: string
  #listener: BrokerListener | undefined
  #batch = new Map<UserId, Envelope[]>()
  #inFlightChars = 0
  #isLookingAtEpoch = false
  /** Something could not be published, and the others have not been told. */
  #owesGap = false
  #isRefused = false
  #cancelProbe: (() => void) | undefined

  constructor(options: RedisBrokerOptions) {
    this.#options = options
    this.#userChannel = `${options.prefix}user:`
    this.#controlChannel = `${options.prefix}control`
    options.commands.on('ready', () => void this.#probe())
    if (options.commands.status === 'ready') void this.#probe()
  }

  get isConnected(): boolean {
    return this.#options.subscriptions.isConnected && !this.#isRefused
  }

  listen(listener: BrokerListener): void {
    this.#listener = listener
    const { subscriptions } = this.#options
    subscriptions.onMessage(this.#userChannel, (userId, payload) => this.#received(userId, payload))
    subscriptions.onMessage(this.#controlChannel, (_rest, payload) => this.#controlled(payload))
    subscriptions.onGap(() => listener.gap())
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

  offer(userId: UserId, envelope: Envelope): void {
    const { commands, publisher, instanceId, epoch } = this.#options
    if (commands.status !== 'ready' || this.#inFlightChars > MAX_IN_FLIGHT_CHARS_FOR_OFFERS) return
    const payload = encodeEnvelopes(instanceId, [envelope], epoch.current)
    this.#inFlight(payload.length, publisher.publish(this.#userChannel + userId, payload)).catch(() => undefined)
  }

  tell(message: ControlMessage): void {
    const { publisher, instanceId, logger } = this.#options
    publisher.publish(this.#controlChannel, encodeControl(instanceId, message)).catch((error: unknown) => {
      logger.debug({ kind: message.kind, reason: reasonOf(error) }, 'the other instances could not be told')
    })
  }

  async close(): Promise<void> {
    // The connections are shared with presence and are closed by the part that made them.
    this.#cancelProbe?.()
  }

  #publish(batch: readonly [UserId, Envelope[]][]): void {
    const { commands, publisher, instanceId, epoch } = this.#options
    const args: string[] = []
    let chars = 0
    for (const [userId, envelopes] of batch) {
      const payload = encodeEnvelopes(instanceId, envelopes, epoch.current)
      chars += payload.length
      args.push(this.#userChannel + userId, payload)
    }
    if (commands.status !== 'ready' || this.#inFlightChars + chars > MAX_IN_FLIGHT_CHARS) return this.#publishFailed()
    this.#inFlight(chars, publisher.publishAll(args)).catch((error: unknown) => this.#publishFailed(error))
  }

  /** Settles as the publishing does; until then so much waits for Redis. */
  #inFlight(chars: number, publishing: Promise<void>): Promise<void> {
    this.#inFlightChars += chars
    return publishing.finally(() => {
      this.#inFlightChars -= chars
    })
  }

  #publishFailed(error?: unknown): void {
    this.#owesGap = true
    this.#options.observer.publishFailed()
    this.#failing(error)
  }

  /** Publishes as a batch does, to a channel without listeners; a gap that is owed goes along. Never rejects. */
  async #probe(): Promise<void> {
    const { commands, publisher, instanceId } = this.#options
    // A new connection begins with a probe.
    if (commands.status !== 'ready') return
    const owedGap = this.#owesGap
    // A batch that fails from here on may have been published after the gap that is told now.
    this.#owesGap = false
    try {
      const news = owedGap ? encodeControl(instanceId, { kind: 'gap' }) : ''
      await publisher.publishAll([this.#userChannel, '', this.#controlChannel, news])
      this.#isRefused = false
      this.#options.health.works(PUBLISHING)
    } catch (error) {
      this.#owesGap ||= owedGap
      this.#failing(error)
    }
  }

  /** Not at the next success: a Redis that takes every other batch would have everybody look without a pause. */
  #failing(error?: unknown): void {
    if (isRefusal(error)) {
      this.#isRefused = true
      this.#options.health.failed(PUBLISHING, error)
    }
    this.#cancelProbe ??= this.#options.clock.after(PROBE_INTERVAL_MS, () => {
      this.#cancelProbe = undefined
      void this.#probe()
    })
  }

  #received(userId: UserId, payload: string): void {
    const envelopes = decodeEnvelopes(this.#options.instanceId, payload)
    if (!envelopes) return
    const epoch = epochOf(payload)
    if (epoch === undefined || epoch === this.#options.epoch.current) this.#listener?.received(userId, envelopes)
    else if (envelopes.some(({ message }) => message)) void this.#lookAtEpoch()
  }

  async #lookAtEpoch(): Promise<void> {
    if (this.#isLookingAtEpoch) return
    this.#isLookingAtEpoch = true
    await this.#options.epoch.look()
    this.#isLookingAtEpoch = false
    this.#listener?.gap()
  }

  #controlled(payload: string): void {
    const message = decodeControl(this.#options.instanceId, payload)
    if (message?.kind === 'gap') this.#listener?.gap()
    else if (message) this.#listener?.told(message)
  }
}
