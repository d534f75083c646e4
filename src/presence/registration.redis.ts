import { chunks } from '../lib/chunks.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { Logger } from '../lib/logger.ts'
import type { UserId } from '../protocol/message.ts'
import { type Commands, isHalfMoved, isRefusal } from '../redis/client.ts'
import type { ChannelSubscriptions } from '../redis/subscriptions.ts'
import { BEHIND_MARKS, MARK, parseRenewal, type presenceScripts, type Renewal } from './scripts.redis.ts'

/** Of a lease there are between two renewals so much: three of them may fail. */
const RENEWALS_PER_LEASE = 11 / 3
/** How long after Redis was found wiped it may lack what other instances have yet to list again; in renewals. */
const REFILL_RENEWALS = 4 / 3
/** Users of one script call: a longer one would hold Redis up for everybody. */
const USERS_PER_CALL = 500
/** After so many renewals watchers ask again: an event on its way to them may be lost without a sign. */
const RENEWALS_PER_REFRESH = 10
const PART = 'presence'
const HALF_MOVED = new Error('the slot of presence is half moved: who is online is unknown until it has gone')

export interface RedisPresenceOptions {
  readonly commands: Commands
  readonly subscriptions: ChannelSubscriptions
  readonly instanceId: string
  /** In a cluster all that begins with it must lie in one slot. */
  readonly prefix: string
  /** Channels belong to the slots of a cluster. */
  readonly isSharded: boolean
  readonly clock: Clock
  readonly logger: Logger
  /** Told why presence cannot be kept. */
  readonly health: DependencyLog
  /**
   * How long an instance counts as living after its last renewal, in milliseconds. With a renewal of the instance that sweeps, and the
   * grace of watchers: how long a killed instance's users look online.
   */
  readonly leaseMs: number
  /** Another instance is gone; what it committed last it may not have announced. */
  instanceLost(): void
}

export interface RegistrationOptions extends RedisPresenceOptions {
  readonly scripts: ReturnType<typeof presenceScripts>
  /** Everybody connected to this instance, with how often. */
  readonly connections: ReadonlyMap<UserId, number>
  /** What Redis says cannot be believed from now on. */
  becameUnknown(): void
  /** What Redis says can be believed, or will be when all instances have had the time to list their users. */
  becameKnown(afterMs: number): void
  /** Events may have been lost. */
  refresh(): void
}

/**
 * What Redis holds of this instance: its lease, renewed again and again, and its users. With each renewal what Redis holds
 * is compared with what is: all of it when a mark of ours is gone, else a part in turn, so that an entry that Redis loses is
 * found and made again. Users whom no instance has are taken off in the same way.
 */
export class Registration {
  readonly #options: RegistrationOptions
  readonly #renewIntervalMs: number
  #others = new Set<string>()
  /** Before the first answer: never. */
  #renewedMs = 0
  /** Redis answers, and takes nothing; of a cluster that is so while the slot is half moved. */
  #isRefused = false
  #renewals = 0
  /** Renewals under way, with what they list again. */
  #renewing = 0
  #isKnown = false
  /** The latest renewal has been answered, or failed. */
  #leaseRenewed: Promise<unknown> = Promise.resolve()
  /** Redis has lost something, or could not be told: until then it may lack users of other instances. */
  #incompleteUntilMs = 0
  /** What ended our lease may have ended those of instances that live: until then they are given the time to renew them. */
  #sparedUntilMs = 0
  /** What Redis holds of this instance may differ from what is: to be made equal at the next renewal. */
  #isStale = true
  /** Up to where our users, and those who are online, were compared. */
  #comparedTo = 0
  #prunedTo = BEHIND_MARKS
  #isDraining = false
  #cancelRenewal: (() => void) | undefined
  #isClosed = false

  constructor(options: RegistrationOptions) {
    this.#options = options
    this.#renewIntervalMs = Math.round(options.leaseMs / RENEWALS_PER_LEASE)
  }

  start(): void {
    const { commands } = this.#options
    commands.on('ready', () => {
      this.#isStale = true
      this.renewNow()
    })
    commands.on('close', () => this.doubt())
    if (commands.status === 'ready') this.renewNow()
    else this.#armRenewal()
  }

  /** The lease was renewed lately enough to be believed. */
  get isFresh(): boolean {
    return !this.#isRefused && this.#options.clock.now() - this.#renewedMs < 2 * this.#renewIntervalMs
  }

  /** Redis may still lack users of other instances. */
  get isIncomplete(): boolean {
    return this.#options.clock.now() < this.#incompleteUntilMs
  }

  /** Resolves when the renewal that is on its way was answered. */
  async renewed(): Promise<void> {
    await this.#leaseRenewed
  }

  /** Somebody was told that presence is unknown: when it is known again, they must be told. */
  distrust(): void {
    this.#isKnown = false
  }

  doubt(): void {
    this.#isKnown = false
    this.#options.becameUnknown()
  }

  tell(what: 'join' | 'leave', userId: UserId): void {
    this.#call(what, [userId]).catch(() => {
      this.#isStale = true
    })
  }

  drain(): void {
    this.#isDraining = true
  }

  close(): void {
    this.#isClosed = true
    this.#cancelRenewal?.()
  }

  /** A mark of ours is gone. One renewal puts it back, however many notice. */
  marksLost(): void {
    if (this.#renewing === 0) this.renewNow()
  }

  renewNow(): void {
    this.#cancelRenewal?.()
    this.#renewing += 1
    void this.#renew().finally(() => {
      this.#renewing -= 1
      if (!this.#isClosed) this.#armRenewal()
    })
  }

  #armRenewal(): void {
    this.#cancelRenewal?.()
    this.#cancelRenewal = this.#options.clock.after(this.#renewIntervalMs, () => this.renewNow())
  }

  async #renew(): Promise<void> {
    const { clock, health, refresh } = this.#options
    try {
      const renewing = this.#renewLease()
      this.#leaseRenewed = renewing.catch(() => undefined)
      const { stood, onlineStood, listStood, isIncomplete, living, dead } = await renewing
      if (!stood || !onlineStood || !listStood || this.#isStale) await this.#register()
      await this.#compareUsers()
      this.#renewedMs = clock.now()
      this.#isRefused = false
      health.works(PART)
      if (isIncomplete || !this.#isKnown) this.#becameKnown()
      this.#compareInstances(living)
      await this.#clearUp(dead)
      this.#renewals += 1
      // While others have yet to list their users a look finds nothing; one follows when they have had the time.
      if (this.#renewals % RENEWALS_PER_REFRESH === 0 && !this.isIncomplete) refresh()
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    const { health } = this.#options
    this.#isStale = true
    if (!isRefusal(error) && !isHalfMoved(error)) {
      // The connection is gone, which its client tells, or slow, which it survives.
      if (!this.isFresh) this.doubt()
      return
    }
    // No instance can renew or list a user: what Redis says is getting old from now on.
    health.failed(PART, isHalfMoved(error) ? HALF_MOVED : error)
    this.#isRefused = true
    this.doubt()
  }

  async #renewLease(): Promise<Renewal & { readonly isIncomplete: boolean }> {
    const { prefix, instanceId, connections, clock, leaseMs, logger, scripts } = this.#options
    const toList = connections.size
    const answer = await scripts.renew(prefix, instanceId, leaseMs, toList)
    const renewal = parseRenewal(answer)
    const { stood, onlineStood, listStood, unlisted } = renewal
    const isFirst = this.#renewedMs === 0
    // What kept us from renewing kept others from it, and from listing who came meanwhile; ours may be back before theirs.
    const wasAway = !isFirst && !this.isFresh
    const isIncomplete = wasAway || (isFirst ? unlisted > 0 : !stood || !onlineStood)
    const refilledMs = clock.now() + REFILL_RENEWALS * this.#renewIntervalMs
    if (isIncomplete) this.#incompleteUntilMs = refilledMs
    if (isIncomplete || isFirst) this.#sparedUntilMs = refilledMs
    if (!isFirst && !(stood && onlineStood && listStood)) {
      logger.warn(
        { lease: stood, online: onlineStood, users: listStood },
        'Redis has lost presence of this instance; it is registered again',
      )
    }
    return { ...renewal, isIncomplete }
  }

  #becameKnown(): void {
    const { clock, becameKnown } = this.#options
    this.#isKnown = true
    becameKnown(Math.max(0, this.#incompleteUntilMs - clock.now()))
  }

  #call(what: 'join' | 'leave', userIds: readonly UserId[]): Promise<unknown> {
    const { prefix, instanceId, leaseMs, scripts } = this.#options
    if (what === 'leave') return scripts.leave(prefix, instanceId, ...userIds)
    return scripts.join(prefix, instanceId, leaseMs, ...userIds)
  }

  /** Makes what Redis holds of this instance equal to what is. */
  async #register(): Promise<void> {
    const { commands, prefix, instanceId, connections } = this.#options
    const listed = await commands.smembers(`${prefix}instance:${instanceId}`)
    this.#isStale = false
    // Sent in the turn in which the difference was found: a user who connects later joins later.
    const gone = this.#isDraining ? [] : listed.filter((userId) => userId !== MARK && !connections.has(userId))
    const calls = [
      ...chunks(gone, USERS_PER_CALL).map((users) => this.#call('leave', users)),
      ...chunks([...connections.keys()], USERS_PER_CALL).map((users) => this.#call('join', users)),
    ]
    await Promise.all(calls)
    // Not earlier: by these marks others tell that all whom this instance has are there.
    await Promise.all([
      commands.zadd(`${prefix}online`, 0, MARK + instanceId),
      commands.sadd(`${prefix}instance:${instanceId}`, MARK),
    ])
  }

  /** Lists a part of our users again, which changes nothing unless Redis has lost something. */
  async #compareUsers(): Promise<void> {
    const { connections, logger } = this.#options
    const users = [...connections.keys()].slice(this.#comparedTo, this.#comparedTo + USERS_PER_CALL)
    this.#comparedTo = users.length < USERS_PER_CALL ? 0 : this.#comparedTo + USERS_PER_CALL
    if (users.length === 0) return
    const missing = Number(await this.#call('join', users))
    if (missing === 0) return
    logger.warn({ entries: missing }, 'Redis has lost some users of this instance; all are registered again')
    await this.#register()
  }

  #compareInstances(living: readonly string[]): void {
    const { instanceId, instanceLost } = this.#options
    const others = new Set(living.filter((id) => id !== instanceId))
    const isOneLost = [...this.#others].some((id) => !others.has(id))
    this.#others = others
    if (isOneLost) instanceLost()
  }

  async #clearUp(dead: readonly string[]): Promise<void> {
    if (this.#options.clock.now() < this.#sparedUntilMs) return
    for (const other of dead) await this.#sweep(other)
    do await this.#prune()
    while (dead.length > 0 && this.#prunedTo !== BEHIND_MARKS)
  }

  async #sweep(instanceId: string): Promise<void> {
    const { prefix, logger, scripts } = this.#options
    logger.warn({ instance: instanceId }, 'clearing up after an instance whose lease ran out')
    let taken: number
    do {
      taken = Number(await scripts.sweep(prefix, instanceId, USERS_PER_CALL))
    } while (taken === USERS_PER_CALL)
  }

  /** Goes on where it ended last time. */
  async #prune(): Promise<void> {
    const { prefix, instanceId, scripts } = this.#options
    const answer = await scripts.prune(prefix, instanceId, this.#prunedTo, USERS_PER_CALL)
    const [looked, last] = Array.isArray(answer) ? answer : []
    this.#prunedTo = looked === USERS_PER_CALL ? String(last) : BEHIND_MARKS
  }
}
