import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { UserId } from '../protocol/message.ts'
import type { Redis } from '../redis/client.ts'
import type { Subscriptions } from '../redis/subscriptions.ts'
import { type OnlinePage, type Presence, type PresenceState, PresenceUnknown } from './presence.ts'
import { presenceScripts } from './scripts.redis.ts'

export interface RedisPresenceOptions {
  readonly commands: Redis
  readonly subscriptions: Subscriptions
  readonly instanceId: string
  readonly prefix: string
  readonly clock: Clock
  readonly logger: Logger
  /** Another instance is gone; what it committed since then (milliseconds since the epoch) it may not have announced. */
  instanceLost(sinceMs: number): void
}

const RENEW_INTERVAL_MS = 3_000
/** With a renewal of whoever sweeps, and the grace of those who watch: how long a killed instance's users look online. */
const LEASE_MS = 11_000
/** How long after Redis was found wiped it may lack what other instances have yet to list again. */
const REFILL_MS = RENEW_INTERVAL_MS + 1_000
/** Users of one script call: a longer one would hold Redis up for everybody. */
const USERS_PER_CALL = 500

/**
 * Presence in two levels: a user is online on the instances that list them, and an instance counts while it renews its lease,
 * so a heartbeat costs by the instance and not by the user. Any instance clears up after a dead one. Everything in Redis can
 * be made again from the instances' own connections, and is, whenever a lease is found missing.
 */
export class RedisPresence implements Presence {
  /** Resolves when Redis has listed this instance, or was found to be away. */
  readonly joined: Promise<void>
  readonly #options: RedisPresenceOptions
  readonly #scripts: ReturnType<typeof presenceScripts>
  readonly #channel: string
  readonly #connections = new Map<UserId, number>()
  #listener: { changed(state: PresenceState): void; refresh(): void } | undefined
  #others = new Set<string>()
  #renewedMs = 0
  #isKnown = false
  /** The latest renewal has been answered, or failed. */
  #leaseRenewed: Promise<unknown> = Promise.resolve()
  /** Redis was wiped: until then it may lack users of other instances. */
  #incompleteUntilMs = 0
  /** What Redis holds of this instance may differ from what is: to be made equal at the next renewal. */
  #isStale = true
  #cancelRenewal: (() => void) | undefined
  #isClosed = false
  #isDraining = false
  #joined: () => void = () => undefined

  constructor(options: RedisPresenceOptions) {
    this.#options = options
    this.joined = new Promise((resolve) => {
      this.#joined = resolve
    })
    this.#scripts = presenceScripts(options.commands)
    this.#channel = `${options.prefix}presence:`
    options.subscriptions.onMessage(this.#channel, (userId, payload) => this.#heard(userId, payload))
    options.subscriptions.onGap(() => this.#listener?.refresh())
    options.commands.on('ready', () => {
      this.#isStale = true
      this.#renewNow()
    })
    options.commands.on('close', () => this.#becameUnknown())
    if (options.commands.status === 'ready') this.#renewNow()
    else this.#armRenewal()
  }

  connected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    this.#connections.set(userId, known + 1)
    if (known === 0) this.#tell('join', [userId])
  }

  disconnected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    if (known > 1) this.#connections.set(userId, known - 1)
    else if (this.#connections.delete(userId) && !this.#isDraining) this.#tell('leave', [userId])
  }

  drain(): void {
    this.#isDraining = true
  }

  async online(limit: number, cursor?: string): Promise<OnlinePage> {
    this.#requireKnown()
    const { commands, prefix } = this.#options
    const from = cursor === undefined ? '-' : `(${cursor}`
    try {
      const [users, count] = await Promise.all([
        commands.zrangebylex(`${prefix}online`, from, '+', 'LIMIT', 0, limit + 1),
        commands.zcard(`${prefix}online`),
        this.#requireLease(),
      ])
      await this.#requireWhole()
      const hasMore = users.length > limit
      if (hasMore) users.length = limit
      return { users, count, nextCursor: hasMore ? (users.at(-1) ?? null) : null }
    } catch (error) {
      throw new PresenceUnknown('Redis did not answer', { cause: error })
    }
  }

  async states(userIds: readonly UserId[]): Promise<PresenceState[]> {
    if (userIds.length === 0) return []
    const { commands, prefix, logger } = this.#options
    try {
      this.#requireKnown()
      const [online, seen] = await Promise.all([
        commands.zmscore(`${prefix}online`, ...userIds),
        commands.mget(...userIds.map((userId) => `${prefix}seen:${userId}`)),
        this.#requireLease(),
      ])
      await this.#requireWhole()
      return userIds.map((userId, index) => stateOf(userId, online[index] ?? null, seen[index] ?? null))
    } catch (error) {
      // Whoever is told so must hear of it when it is known again.
      this.#isKnown = false
      logger.debug({ err: error }, 'presence is not known')
      return userIds.map((userId) => ({ userId, status: 'unknown' }))
    }
  }

  watch(userId: UserId): Promise<void> {
    return this.#options.subscriptions.add(this.#channel + userId)
  }

  unwatch(userId: UserId): void {
    this.#options.subscriptions.remove(this.#channel + userId)
  }

  listen(listener: { changed(state: PresenceState): void; refresh(): void }): void {
    this.#listener = listener
  }

  /** The lease is left to run out: whoever has come back to another instance by then was never offline. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancelRenewal?.()
  }

  #requireKnown(): void {
    const { commands } = this.#options
    if (commands.status !== 'ready' || !this.#isFresh()) throw new PresenceUnknown('Redis is away')
  }

  #isFresh(): boolean {
    return this.#options.clock.now() - this.#renewedMs < 2 * RENEW_INTERVAL_MS
  }

  /** Asked after what it vouches for: without our lease in it, Redis was wiped, and those it lacks are not offline. */
  async #requireLease(): Promise<void> {
    const { commands, prefix, instanceId } = this.#options
    if (Number(await commands.zscore(`${prefix}instances`, instanceId)) > 0) return
    this.#renewNow()
    throw new PresenceUnknown('Redis was wiped')
  }

  /** Asked after the answer came: a renewal on its way before it may have found Redis wiped, and put our lease back. */
  async #requireWhole(): Promise<void> {
    await this.#leaseRenewed
    if (this.#options.clock.now() < this.#incompleteUntilMs) throw new PresenceUnknown('Redis was wiped')
  }

  #becameUnknown(): void {
    this.#isKnown = false
    this.#joined()
    this.#listener?.refresh()
  }

  /** Whoever watches looks again once everybody has had the time to list their users. */
  #becameKnown(): void {
    const { clock } = this.#options
    this.#isKnown = true
    this.#joined()
    clock.after(Math.max(0, this.#incompleteUntilMs - clock.now()), () => this.#listener?.refresh())
  }

  #heard(userId: UserId, payload: string): void {
    const [status, ms] = payload.split(' ')
    if (status === 'online') this.#listener?.changed({ userId, status })
    if (status === 'offline') this.#listener?.changed({ userId, status, lastSeenMs: Number(ms) })
  }

  #tell(what: 'join' | 'leave', userIds: readonly UserId[]): void {
    this.#call(what, userIds).catch(() => {
      this.#isStale = true
    })
  }

  #call(what: 'join' | 'leave', userIds: readonly UserId[]): Promise<unknown> {
    const { prefix, instanceId } = this.#options
    return this.#scripts[what](`${prefix}instances`, prefix, instanceId, ...userIds)
  }

  #renewNow(): void {
    this.#cancelRenewal?.()
    void this.#renew().finally(() => {
      if (!this.#isClosed) this.#armRenewal()
    })
  }

  #armRenewal(): void {
    this.#cancelRenewal?.()
    this.#cancelRenewal = this.#options.clock.after(RENEW_INTERVAL_MS, () => this.#renewNow())
  }

  async #renew(): Promise<void> {
    const { clock, logger } = this.#options
    try {
      const renewal = this.#renewLease()
      this.#leaseRenewed = renewal.catch(() => undefined)
      const { stood, isWiped, living, dead } = await renewal
      if (!stood || this.#isStale) await this.#register()
      this.#renewedMs = clock.now()
      if (isWiped || !this.#isKnown) this.#becameKnown()
      this.#compareInstances(living)
      for (const other of dead) await this.#sweep(other)
    } catch (error) {
      this.#isStale = true
      if (!this.#isFresh()) this.#becameUnknown()
      logger.debug({ err: error }, 'the lease could not be renewed')
    }
  }

  async #renewLease(): Promise<Renewal & { readonly isWiped: boolean }> {
    const { prefix, instanceId, clock } = this.#options
    const answer = await this.#scripts.renew(`${prefix}instances`, prefix, instanceId, LEASE_MS)
    const renewal = parseRenewal(answer)
    const isWiped = !renewal.stood && this.#renewedMs > 0
    if (isWiped) this.#incompleteUntilMs = clock.now() + REFILL_MS
    return { ...renewal, isWiped }
  }

  /** Makes what Redis holds of this instance equal to what is. */
  async #register(): Promise<void> {
    const { commands, prefix, instanceId } = this.#options
    const listed = await commands.smembers(`${prefix}instance:${instanceId}`)
    this.#isStale = false
    // Sent in the turn in which the difference was found: whoever connects later joins later.
    const gone = this.#isDraining ? [] : listed.filter((userId) => !this.#connections.has(userId))
    const calls = [
      ...chunks(gone, USERS_PER_CALL).map((users) => this.#call('leave', users)),
      ...chunks([...this.#connections.keys()], USERS_PER_CALL).map((users) => this.#call('join', users)),
    ]
    await Promise.all(calls)
  }

  #compareInstances(living: readonly string[]): void {
    const { instanceId, clock, instanceLost } = this.#options
    const others = new Set(living.filter((id) => id !== instanceId))
    const isOneLost = [...this.#others].some((id) => !others.has(id))
    this.#others = others
    // Its lease ran from its last renewal; whatever it did after that it may not have told.
    if (isOneLost) instanceLost(clock.now() - LEASE_MS - 2 * RENEW_INTERVAL_MS)
  }

  async #sweep(instanceId: string): Promise<void> {
    const { prefix, logger } = this.#options
    logger.warn({ instance: instanceId }, 'clearing up after an instance whose lease ran out')
    let taken: number
    do {
      taken = Number(await this.#scripts.sweep(`${prefix}instances`, prefix, instanceId, USERS_PER_CALL))
    } while (taken === USERS_PER_CALL)
  }
}

function stateOf(userId: UserId, score: string | number | null, seen: string | null): PresenceState {
  if (score !== null) return { userId, status: 'online' }
  return seen === null ? { userId, status: 'offline' } : { userId, status: 'offline', lastSeenMs: Number(seen) }
}

interface Renewal {
  /** The lease had not run out. */
  readonly stood: boolean
  readonly living: readonly string[]
  readonly dead: readonly string[]
}

function parseRenewal(answer: unknown): Renewal {
  const [stood, living, dead] = Array.isArray(answer) ? answer : []
  return { stood: stood === 1, living: texts(living), dead: texts(dead) }
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
