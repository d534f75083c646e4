import type { UserId } from '../protocol/message.ts'
import { type OnlinePage, type Presence, type PresenceState, PresenceUnknown } from './presence.ts'
import { heardState, timeIn } from './presence-payload.ts'
import { type RedisPresenceOptions, Registration } from './registration.redis.ts'
import { BEHIND_MARKS, MARK, neverSet, presenceScripts } from './scripts.redis.ts'

/**
 * Presence in two levels: a user is online on the instances that list them, and an instance counts while it renews its lease,
 * so a heartbeat costs by the instance and not by the user. Any instance clears up after a dead one. Everything in Redis can
 * be made again from the instances' own connections, and is, whenever some of it is found missing.
 */
export class RedisPresence implements Presence {
  /** Resolves when Redis has listed this instance, or was found to be away. */
  readonly joined: Promise<void>
  readonly #options: RedisPresenceOptions
  readonly #registration: Registration
  readonly #channel: string
  readonly #connections = new Map<UserId, number>()
  #listener: { changed(state: PresenceState): void; refresh(): void } | undefined
  #isDraining = false
  #joined: () => void = () => undefined

  constructor(options: RedisPresenceOptions) {
    this.#options = options
    this.joined = new Promise((resolve) => {
      this.#joined = resolve
    })
    this.#channel = `${options.prefix}presence:`
    this.#registration = new Registration({
      ...options,
      scripts: presenceScripts(options.commands, options.isSharded),
      connections: this.#connections,
      becameUnknown: () => this.#becameUnknown(),
      becameKnown: (afterMs) => this.#becameKnown(afterMs),
      refresh: () => this.#listener?.refresh(),
    })
    options.subscriptions.onMessage(this.#channel, (userId, payload) => this.#heard(userId, payload))
    options.subscriptions.onGap(() => this.#listener?.refresh())
    this.#registration.start()
  }

  connected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    this.#connections.set(userId, known + 1)
    if (known === 0) this.#registration.tell('join', userId)
  }

  disconnected(userId: UserId): void {
    const known = this.#connections.get(userId) ?? 0
    if (known > 1) this.#connections.set(userId, known - 1)
    else if (this.#connections.delete(userId) && !this.#isDraining) this.#registration.tell('leave', userId)
  }

  drain(): void {
    this.#isDraining = true
    this.#registration.drain()
  }

  async online(limit: number, cursor?: string): Promise<OnlinePage> {
    this.#requireKnown()
    const { commands, prefix } = this.#options
    const after = cursor === undefined || cursor < BEHIND_MARKS ? BEHIND_MARKS : cursor
    try {
      const [users, count] = await Promise.all([
        commands.zrangebylex(`${prefix}online`, `(${after}`, '+', 'LIMIT', 0, limit + 1),
        commands.zlexcount(`${prefix}online`, `(${BEHIND_MARKS}`, '+'),
        this.#requireMarks(),
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
        this.#requireMarks(),
      ])
      await this.#requireWhole()
      return userIds.map((userId, index) => this.#stateOf(userId, online[index] ?? null, seen[index] ?? null))
    } catch (error) {
      // A watcher that is told so must hear of it when it is known again.
      this.#registration.distrust()
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

  /** The lease is left to run out: a user who has come back to another instance by then was never offline. */
  async close(): Promise<void> {
    this.#registration.close()
  }

  #requireKnown(): void {
    const isKnown = this.#options.commands.status === 'ready' && this.#registration.isFresh
    if (!isKnown) throw new PresenceUnknown('Redis is away')
  }

  /**
   * Asked after what they vouch for: where ours is missing Redis has lost something, and those it lacks are not offline. While the slot
   * is half moved nobody can be listed, and a cluster refuses the last one.
   */
  async #requireMarks(): Promise<void> {
    const { commands, prefix, instanceId, isSharded } = this.#options
    const [lease, mark] = await Promise.all([
      commands.zscore(`${prefix}instances`, instanceId),
      commands.zscore(`${prefix}online`, MARK + instanceId),
      isSharded ? commands.mget(...neverSet(prefix)) : undefined,
    ])
    if (Number(lease) > 0 && mark !== null) return
    this.#registration.marksLost()
    throw new PresenceUnknown('Redis was wiped')
  }

  /** Asked after the answer came: a renewal on its way before it may have found marks missing, and put them back. */
  async #requireWhole(): Promise<void> {
    await this.#registration.renewed()
    if (this.#registration.isIncomplete) throw new PresenceUnknown('Redis was wiped')
  }

  #becameUnknown(): void {
    this.#joined()
    this.#listener?.refresh()
  }

  /** Watchers look again once every instance has had the time to list its users. */
  #becameKnown(afterMs: number): void {
    this.#joined()
    this.#options.clock.after(afterMs, () => this.#listener?.refresh())
  }

  #heard(userId: UserId, payload: string): void {
    const state = heardState(userId, payload)
    if (state) this.#listener?.changed(state)
  }

  /** A user who is connected to this instance is online, whether or not Redis could be told yet. */
  #stateOf(userId: UserId, score: string | number | null, seen: string | null): PresenceState {
    if (score !== null || this.#connections.has(userId)) return { userId, status: 'online' }
    const lastSeenMs = timeIn(seen)
    return { userId, status: 'offline', ...(lastSeenMs !== undefined && { lastSeenMs }) }
  }
}
