import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import { hasMoved, isRefusal, type Redis, startAgain } from './client.ts'
import { bySlot } from './shards.ts'

type MessageHandler = (rest: string, payload: string) => void

/** What others need of subscriptions. */
export type ChannelSubscriptions = Pick<
  Subscriptions,
  'isConnected' | 'onMessage' | 'onGap' | 'add' | 'remove' | 'close'
>

/** That the connection is one to a node of a cluster, which serves the channels of its slots alone. */
export interface OfNode {
  readonly node: string
  /** Names the connection in what is told about Redis. */
  readonly connection: string
  slotOf(channel: string): number
  /** The node says that a slot is no longer its own. */
  moved(): void
}

/** How often the connection must show that it lives; one that owes an answer for too long is ended by the client. */
const PING_INTERVAL_MS = 1_000
/** Channels of one SUBSCRIBE: a longer command would hold Redis up for everybody. */
const CHANNELS_PER_COMMAND = 500
/** How long after Redis refused a SUBSCRIBE it is asked again: only an operator can change its mind. */
const REFUSED_RETRY_MS = 1_000
const SUBSCRIBING = 'subscriptions'
const UNSUBSCRIBING = 'giving up subscriptions'
const RECEIVING = 'what is published'

/**
 * The channels one connection is subscribed to. What is wanted is kept here and brought about in the background, many
 * channels a command, again after every reconnect, and again at intervals while Redis refuses it (a right is missing).
 */
export class Subscriptions {
  readonly #redis: Redis
  readonly #clock: Clock
  readonly #health: DependencyLog
  readonly #wanted = new Set<string>()
  /** What Redis was asked for last, by channel: only the answer to that says what is. */
  #asked = new Map<string, { isConfirmed: boolean }>()
  readonly #handlers: { prefix: string; handler: MessageHandler }[] = []
  readonly #gapListeners: (() => void)[] = []
  #changed = new Set<string>()
  #waiting = new Map<string, (() => void)[]>()
  #applying = false
  /** The connection stands. */
  #isOpen = false
  /** Of what is wanted Redis refused something, and has not taken all of it since. */
  #isRefused = false
  #cancelRetry: (() => void) | undefined
  #cancelPing: (() => void) | undefined
  /** The last payload could not be handled. */
  #hasDropped = false
  #isClosed = false
  readonly #ofNode: OfNode | undefined
  /** Name what is done here in what is told about Redis. */
  readonly #subscribing: string
  readonly #unsubscribing: string
  readonly #receiving: string

  constructor(redis: Redis, clock: Clock, health: DependencyLog, ofNode?: OfNode) {
    this.#redis = redis
    this.#clock = clock
    this.#health = health
    this.#ofNode = ofNode
    this.#subscribing = SUBSCRIBING + (ofNode?.node ?? '')
    this.#unsubscribing = UNSUBSCRIBING + (ofNode?.node ?? '')
    this.#receiving = RECEIVING + (ofNode?.node ?? '')
    if (ofNode) redis.on('moved', () => this.#moved(ofNode))
    redis.on(ofNode ? 'smessage' : 'message', (channel: string, payload: string) => this.#dispatch(channel, payload))
    redis.on('ready', () => this.#connected())
    redis.on('close', () => this.#lost())
    if (redis.status === 'ready') this.#connected()
    this.#armPing()
  }

  /** True while messages of every channel that is wanted arrive. */
  get isConnected(): boolean {
    return this.#isOpen && !this.#isRefused
  }

  /** Calls back with what follows the prefix in the channel's name. */
  onMessage(prefix: string, handler: MessageHandler): void {
    this.#handlers.push({ prefix, handler })
  }

  /** Calls back after every time in which messages may have been lost, once all channels are subscribed again. */
  onGap(listener: () => void): void {
    this.#gapListeners.push(listener)
  }

  /** Resolves when Redis has confirmed, or at once while it is away or refuses. */
  add(channel: string): Promise<void> {
    this.#wanted.add(channel)
    if (this.#asked.get(channel)?.isConfirmed || !this.isConnected) return Promise.resolve()
    this.#changed.add(channel)
    const done = new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(channel)
      if (waiting) waiting.push(resolve)
      else this.#waiting.set(channel, [resolve])
    })
    this.#apply()
    return done
  }

  remove(channel: string): void {
    this.#wanted.delete(channel)
    this.#settle(channel)
    // A new connection starts from what is wanted.
    if (!this.#isOpen) return
    this.#changed.add(channel)
    this.#apply()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelPing?.()
    this.#cancelRetry?.()
    // Of a node that is not used any more nothing is wrong.
    const parts = this.#ofNode ? [this.#ofNode.connection, this.#subscribing, this.#unsubscribing, this.#receiving] : []
    for (const part of parts) this.#health.works(part)
    this.#redis.disconnect()
  }

  #dispatch(channel: string, payload: string): void {
    for (const { prefix, handler } of this.#handlers) {
      if (channel.startsWith(prefix)) return this.#handle(handler, channel.slice(prefix.length), payload)
    }
  }

  /** Whoever may publish could end every instance otherwise. What the payload holds is nobody's to read in the log. */
  #handle(handler: MessageHandler, rest: string, payload: string): void {
    try {
      handler(rest, payload)
      if (this.#hasDropped) this.#health.works(this.#receiving)
      this.#hasDropped = false
    } catch {
      this.#hasDropped = true
      this.#health.failed(this.#receiving, new Error('what was published cannot be understood, and was dropped'))
    }
  }

  #connected(): void {
    this.#asked = new Map()
    this.#isOpen = true
    void this.#subscribeAll()
  }

  /** Asks for every channel that is wanted and was not asked for; once all of it is confirmed messages arrive, and some were lost. */
  async #subscribeAll(): Promise<void> {
    // Whoever comes while this is asked for is told nothing then, so it is looked again.
    do {
      for (const channel of this.#wanted) this.#changed.add(channel)
      if (!(await this.#applyChanges()) || !this.#isOpen) return
    } while ([...this.#wanted].some((channel) => !this.#asked.has(channel)))
    this.#isRefused = false
    this.#health.works(this.#subscribing)
    for (const listener of this.#gapListeners) listener()
  }

  #lost(): void {
    this.#isOpen = false
    this.#cancelRetry?.()
    this.#asked = new Map()
    this.#settleAll()
  }

  /** Another connection would be refused the same, so this one is kept and asks again. */
  #refused(error: unknown): void {
    this.#isRefused = true
    // What has moved is asked for elsewhere, once it is known where.
    if (!this.#ofNode || !hasMoved(error)) this.#health.failed(this.#subscribing, error)
    this.#askLater()
  }

  /** The node has dropped the channels of a slot: those that are still wanted here by then are asked for once more. */
  #moved(ofNode: OfNode): void {
    ofNode.moved()
    this.#isRefused = true
    this.#askLater()
  }

  #askLater(): void {
    this.#settleAll()
    this.#cancelRetry?.()
    this.#cancelRetry = this.#clock.after(REFUSED_RETRY_MS, () => {
      // Which of them a node has dropped it does not tell.
      if (this.#ofNode) this.#asked = new Map()
      void this.#subscribeAll()
    })
  }

  #apply(): void {
    if (this.#applying) return
    this.#applying = true
    // Everything asked for in this turn goes in one command.
    setImmediate(() => {
      this.#applying = false
      void this.#applyChanges()
    })
  }

  /** True when Redis has confirmed all that was asked for. */
  async #applyChanges(): Promise<boolean> {
    const changed = [...this.#changed]
    this.#changed = new Set()
    const toAdd = changed.filter((channel) => this.#wanted.has(channel) && !this.#asked.has(channel))
    const toRemove = changed.filter((channel) => !this.#wanted.has(channel) && this.#asked.has(channel))
    try {
      // Redis handles the commands of one connection in order, so nothing has to wait for an answer to be right.
      await Promise.all([
        ...this.#commandsOf(toAdd).map((channels) => this.#subscribe(channels)),
        ...this.#commandsOf(toRemove).map((channels) => this.#unsubscribe(channels)),
      ])
      return true
    } catch (error) {
      if (isRefusal(error)) this.#refused(error)
      // Whether they took effect is not known; a new connection starts from what is wanted.
      else startAgain(this.#redis)
      return false
    }
  }

  #commandsOf(channels: readonly string[]): string[][] {
    const slotOf = this.#ofNode?.slotOf
    const groups = slotOf ? bySlot(channels, slotOf) : [channels]
    return groups.flatMap((group) => [...chunks(group, CHANNELS_PER_COMMAND)])
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    const asked = { isConfirmed: false }
    for (const channel of channels) this.#asked.set(channel, asked)
    try {
      await (this.#ofNode ? this.#redis.ssubscribe(...channels) : this.#redis.subscribe(...channels))
    } catch (error) {
      for (const channel of channels) if (this.#asked.get(channel) === asked) this.#asked.delete(channel)
      throw error
    }
    asked.isConfirmed = true
    for (const channel of channels) if (this.#asked.get(channel) === asked) this.#settle(channel)
  }

  async #unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#asked.delete(channel)
    try {
      await (this.#ofNode ? this.#redis.sunsubscribe(...channels) : this.#redis.unsubscribe(...channels))
      this.#health.works(this.#unsubscribing)
    } catch (error) {
      // Then frames for users who have left go on to arrive, and nothing else is wrong.
      if (!isRefusal(error)) throw error
      // A node that has given the channels away sends none of theirs.
      if (!this.#ofNode || !hasMoved(error)) this.#health.failed(this.#unsubscribing, error)
    }
  }

  #settleAll(): void {
    for (const channel of [...this.#waiting.keys()]) this.#settle(channel)
  }

  /** Ends the wait for this channel. */
  #settle(channel: string): void {
    const waiting = this.#waiting.get(channel)
    if (!waiting) return
    this.#waiting.delete(channel)
    for (const resolve of waiting) resolve()
  }

  /** A connection that Redis or the network has forgotten looks idle; only an answer proves that it is not. */
  #armPing(): void {
    this.#cancelPing = this.#clock.after(PING_INTERVAL_MS, () => {
      if (this.#isOpen) this.#ping()
      if (!this.#isClosed) this.#armPing()
    })
  }

  /** Its answer is not looked at: the client ends a connection that owes one for too long, and tells why. */
  #ping(): void {
    this.#redis.ping().catch(() => undefined)
  }
}
