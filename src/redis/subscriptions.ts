import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Redis } from './client.ts'

type MessageHandler = (rest: string, payload: string) => void

/** How often the connection must show that it lives; one that owes an answer for too long is ended by the client. */
const PING_INTERVAL_MS = 1_000
/** Channels of one SUBSCRIBE: a longer command would hold Redis up for everybody. */
const CHANNELS_PER_COMMAND = 500

/**
 * The channels one connection is subscribed to. What is wanted is kept here and brought about in the background, many
 * channels a command, again after every reconnect.
 */
export class Subscriptions {
  readonly #redis: Redis
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #wanted = new Set<string>()
  /** What Redis was asked for last, by channel: only the answer to that says what is. */
  #asked = new Map<string, { isConfirmed: boolean }>()
  readonly #handlers: { prefix: string; handler: MessageHandler }[] = []
  readonly #gapListeners: ((sinceMs: number) => void)[] = []
  #changed = new Set<string>()
  #waiting = new Map<string, (() => void)[]>()
  #applying = false
  /** When it was last known that nothing was missed. */
  #aliveMs: number
  #isConnected = false
  #cancelPing: (() => void) | undefined
  #isClosed = false

  constructor(redis: Redis, clock: Clock, logger: Logger) {
    this.#redis = redis
    this.#clock = clock
    this.#logger = logger
    this.#aliveMs = clock.now()
    redis.on('message', (channel: string, payload: string) => this.#dispatch(channel, payload))
    redis.on('ready', () => void this.#connected())
    redis.on('close', () => this.#lost())
    if (redis.status === 'ready') void this.#connected()
    this.#armPing()
  }

  /** True while messages arrive. */
  get isConnected(): boolean {
    return this.#isConnected
  }

  /** Calls back with what follows the prefix in the channel's name. */
  onMessage(prefix: string, handler: MessageHandler): void {
    this.#handlers.push({ prefix, handler })
  }

  /** Calls back after every time in which messages may have been lost, once all channels are subscribed again. */
  onGap(listener: (sinceMs: number) => void): void {
    this.#gapListeners.push(listener)
  }

  /** Resolves when Redis has confirmed, or at once while it is away. */
  add(channel: string): Promise<void> {
    this.#wanted.add(channel)
    if (this.#asked.get(channel)?.isConfirmed || !this.#isConnected) return Promise.resolve()
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
    this.#changed.add(channel)
    this.#settle(channel)
    this.#apply()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelPing?.()
    this.#redis.disconnect()
  }

  #dispatch(channel: string, payload: string): void {
    for (const { prefix, handler } of this.#handlers) {
      if (channel.startsWith(prefix)) return handler(channel.slice(prefix.length), payload)
    }
  }

  async #connected(): Promise<void> {
    this.#asked = new Map()
    this.#changed = new Set(this.#wanted)
    this.#isConnected = true
    const sinceMs = this.#aliveMs
    await this.#applyChanges()
    if (!this.#isConnected) return
    this.#aliveMs = this.#clock.now()
    for (const listener of this.#gapListeners) listener(sinceMs)
  }

  #lost(): void {
    if (this.#isConnected && !this.#isClosed)
      this.#logger.warn({}, 'lost Redis; other instances are polled through PostgreSQL')
    this.#isConnected = false
    this.#asked = new Map()
    for (const resolvers of this.#waiting.values()) for (const resolve of resolvers) resolve()
    this.#waiting = new Map()
  }

  #apply(): void {
    if (this.#applying || !this.#isConnected) return
    this.#applying = true
    // Everything asked for in this turn goes in one command.
    setImmediate(() => {
      this.#applying = false
      void this.#applyChanges()
    })
  }

  async #applyChanges(): Promise<void> {
    const changed = [...this.#changed]
    this.#changed = new Set()
    const toAdd = changed.filter((channel) => this.#wanted.has(channel) && !this.#asked.has(channel))
    const toRemove = changed.filter((channel) => !this.#wanted.has(channel) && this.#asked.has(channel))
    try {
      // Redis handles the commands of one connection in order, so nothing has to wait for an answer to be right.
      await Promise.all([
        ...chunks(toAdd, CHANNELS_PER_COMMAND).map((channels) => this.#subscribe(channels)),
        ...chunks(toRemove, CHANNELS_PER_COMMAND).map((channels) => this.#unsubscribe(channels)),
      ])
    } catch (error) {
      // Whether they took effect is not known; a new connection starts from what is wanted.
      this.#logger.debug({ err: error }, 'subscribing failed')
      this.#redis.disconnect(true)
    }
  }

  async #subscribe(channels: readonly string[]): Promise<void> {
    const asked = { isConfirmed: false }
    for (const channel of channels) this.#asked.set(channel, asked)
    await this.#redis.subscribe(...channels)
    asked.isConfirmed = true
    for (const channel of channels) if (this.#asked.get(channel) === asked) this.#settle(channel)
  }

  async #unsubscribe(channels: readonly string[]): Promise<void> {
    for (const channel of channels) this.#asked.delete(channel)
    await this.#redis.unsubscribe(...channels)
  }

  /** Whoever waits for this channel waits no longer. */
  #settle(channel: string): void {
    const waiting = this.#waiting.get(channel)
    if (!waiting) return
    this.#waiting.delete(channel)
    for (const resolve of waiting) resolve()
  }

  /** A connection that Redis or the network has forgotten looks idle; only an answer proves that it is not. */
  #armPing(): void {
    this.#cancelPing = this.#clock.after(PING_INTERVAL_MS, () => {
      if (this.#isConnected) void this.#ping()
      if (!this.#isClosed) this.#armPing()
    })
  }

  async #ping(): Promise<void> {
    const sentMs = this.#clock.now()
    try {
      await this.#redis.ping()
      this.#aliveMs = sentMs
    } catch (error) {
      this.#logger.debug({ err: error }, 'a ping of the subscriber failed')
    }
  }
}
