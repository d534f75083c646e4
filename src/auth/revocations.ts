import { type Clock, machineTime, type TimeOfDay } from '../lib/clock.ts'
import { reasonOf } from '../lib/errors.ts'
import type { Logger } from '../lib/logger.ts'
import type { TokenIdentity } from './claims.ts'
import {
  type Revocation,
  type RevocationStore,
  type RevocationTarget,
  type Revoker,
  targetKey,
} from './revocation-store.ts'

export interface RevocationsOptions {
  readonly store: RevocationStore
  readonly clock: Clock
  readonly logger: Logger
  /** How long the longest token may live, seconds: a revocation need not outlive it. */
  readonly lifetimeSeconds: number
}

/** Between two looks, so that a revocation is seen on every instance within two seconds without Redis. */
const LOOK_INTERVAL_MS = 1_000
/**
 * Ids and times are given before the commit, so a row may appear behind one that was seen: so long may a transaction take until its
 * COMMIT. By the database's clock.
 */
const COMMIT_SLACK_MS = 10_000
/** After so long without a successful look nobody is believed any more. */
const STALE_AFTER_MS = 5_000
const CLEAN_UP_INTERVAL_MS = 60 * 60_000

/**
 * The credentials that are no longer believed. PostgreSQL holds the rows, each instance looks each second, from its last *successful* look
 * on by the database's time; a hint from another instance only makes the look earlier. When looks fail for 5 s nothing can be
 * said about anybody: `isStale`, and the doors stay shut.
 */
export class Revocations implements TimeOfDay {
  readonly #options: RevocationsOptions
  /** By target, all that was said of it. */
  readonly #known = new Map<string, Refused>()
  /** By the database's time; of the last successful look. */
  #seenUntilMs: number | undefined
  /** By the same: what is dated earlier was seen by that look, or is by the next, or never will be. */
  #completeToMs = 0
  /** From where on the next look reads: a COMMIT that waits no more is seen a moment later. */
  #readsFromMs = 0
  /** Everything unexpired is to be read. A look that began before this was asked for does not answer it. */
  #isAllWanted = true
  #lookedAtMs: number | undefined
  /** When it was answered. */
  #heardAtMs: number | undefined
  #looking: Promise<void> | undefined
  #next: Promise<void> | undefined
  #cancelNext = (): void => undefined
  #cancelCleanUp = (): void => undefined
  #isClosed = false
  #lastFailure: string | undefined
  #tellOthers = (): void => undefined
  #listener: (targets: readonly RevocationTarget[]) => void = () => undefined

  constructor(options: RevocationsOptions) {
    this.#options = options
  }

  /** Whether looks have failed for so long that a revocation could have been missed. */
  get isStale(): boolean {
    return this.#lookedAtMs === undefined || this.#options.clock.now() - this.#lookedAtMs > STALE_AFTER_MS
  }

  /**
   * By the database's clock, with which whatever is judged here agrees on every instance: its time at the last successful look,
   * and what has passed here since. So it follows within a second when the machine was suspended, or its clock was set.
   */
  epochMs(): number {
    if (this.#seenUntilMs === undefined || this.#heardAtMs === undefined) return machineTime.epochMs()
    return this.#seenUntilMs + (this.#options.clock.now() - this.#heardAtMs)
  }

  /** `listener` is told of targets when they are first seen, whoever revoked them: open sockets have to be looked through. */
  whenRevoked(listener: (targets: readonly RevocationTarget[]) => void): void {
    this.#listener = listener
  }

  /** `listener` may make the other instances look at once; without it they look within a second. */
  whenRevokedHere(listener: () => void): void {
    this.#tellOthers = listener
  }

  /** Resolves after the first look, whatever comes of it. */
  async start(): Promise<void> {
    this.#scheduleCleanUp()
    await this.look()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelNext()
    this.#cancelCleanUp()
  }

  isRevoked(identity: Omit<TokenIdentity, 'expiresAtMs'>): boolean {
    // Nearly always.
    if (this.#known.size === 0) return false
    const { sessionId, tokenId } = identity
    if (this.#isOfRevokedUser(identity)) return true
    if (sessionId !== undefined && this.#known.has(targetKey({ session_id: sessionId }))) return true
    return tokenId !== undefined && this.#known.has(targetKey({ jti: tokenId }))
  }

  /** Whether the account was suspended or deleted since, whatever else was revoked, and in whichever order. */
  isSuspended({ userId, issuedAtSeconds }: Omit<TokenIdentity, 'expiresAtMs'>): boolean {
    const ofUser = this.#known.get(targetKey({ user_id: userId }))
    return ofUser !== undefined && (issuedAtSeconds ?? 0) <= ofUser.suspendedUpToSeconds
  }

  #isOfRevokedUser({ userId, issuedAtSeconds = 0, sessionId }: Omit<TokenIdentity, 'expiresAtMs'>): boolean {
    const ofUser = this.#known.get(targetKey({ user_id: userId }))
    if (ofUser === undefined) return false
    // `iat` has whole seconds: a token of the same second may be older than the revocation, so it is refused.
    if (issuedAtSeconds <= ofUser.upToSeconds) return true
    return sessionId === undefined && issuedAtSeconds <= ofUser.withoutLoginUpToSeconds
  }

  isKeyRevoked(keyId: string): boolean {
    return this.#known.has(targetKey({ key_id: keyId }))
  }

  /** Resolves when the revocation is durable and holds on this instance; the others follow within two seconds. */
  async revoke(target: RevocationTarget, by: Revoker): Promise<void> {
    const { store, lifetimeSeconds } = this.#options
    this.#learn([await store.add(target, { ...by, lifetimeSeconds })])
    this.#tellOthers()
  }

  /** Rows were added by somebody's transaction, which has committed. Resolves when they hold here; the others are told. */
  async added(): Promise<void> {
    await this.look()
    this.#tellOthers()
  }

  /** The database's history may be another one now (`epoch`): everything unexpired is read again. What is known stays. */
  readAll(): Promise<void> {
    this.#isAllWanted = true
    return this.look()
  }

  /**
   * Resolves after a look that began no earlier than this call. Callers that come while one is under way share the next, so that none
   * waits for more than two, however fast they come. Never rejects.
   */
  look(): Promise<void> {
    if (this.#next !== undefined) return this.#next
    if (this.#looking === undefined) return this.#begin()
    this.#next = this.#looking.then(() => {
      this.#next = undefined
      return this.#begin()
    })
    return this.#next
  }

  #begin(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    this.#cancelNext()
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = undefined
      if (!this.#isClosed) this.#cancelNext = this.#options.clock.after(LOOK_INTERVAL_MS, () => void this.look())
    })
    return this.#looking
  }

  async #lookOnce(): Promise<void> {
    const { store, clock, logger } = this.#options
    const startedAtMs = clock.now()
    const isAllRead = this.#isAllWanted || this.#seenUntilMs === undefined
    const sinceMs = isAllRead ? undefined : this.#readsFromMs
    this.#isAllWanted = false
    try {
      const { revocations, serverTimeMs, waitingSinceMs = serverTimeMs } = await store.since(sinceMs)
      this.#learn(revocations)
      this.#forgetExpired(serverTimeMs)
      this.#seenUntilMs = serverTimeMs
      const completeToMs = Math.min(serverTimeMs - COMMIT_SLACK_MS, waitingSinceMs)
      this.#readsFromMs = Math.min(completeToMs, isAllRead ? completeToMs : this.#completeToMs)
      this.#completeToMs = completeToMs
      // The beginning counts: what was committed while the answer was on its way is not in it.
      this.#lookedAtMs = startedAtMs
      // For the time the end does: it may be late by the way of the answer, and nothing ends before it is due.
      this.#heardAtMs = clock.now()
      if (this.#lastFailure !== undefined) logger.info({}, 'revocations are read again')
      this.#lastFailure = undefined
    } catch (error) {
      this.#isAllWanted ||= isAllRead
      const reason = reasonOf(error)
      if (reason !== this.#lastFailure) logger.warn({ reason }, 'revocations cannot be read')
      this.#lastFailure = reason
    }
  }

  #learn(revocations: readonly Revocation[]): void {
    const news: RevocationTarget[] = []
    for (const revocation of revocations) {
      const key = targetKey(revocation.target)
      const known = this.#known.get(key)
      const both = joined(revocation, known)
      this.#known.set(key, both)
      if (isMore(both, known)) news.push(revocation.target)
    }
    // Only now: why a connection ends is told by all that was read together.
    if (news.length > 0) this.#listener(news)
  }

  #forgetExpired(serverTimeMs: number): void {
    for (const [key, { expiresAtMs }] of this.#known) if (expiresAtMs <= serverTimeMs) this.#known.delete(key)
  }

  #scheduleCleanUp(): void {
    const { clock, store, logger } = this.#options
    this.#cancelCleanUp = clock.after(CLEAN_UP_INTERVAL_MS, () => {
      store
        .removeExpired()
        .catch((error: unknown) => logger.warn({ err: error }, 'expired revocations were not removed'))
      this.#scheduleCleanUp()
    })
  }
}

/** All that is known of one target. */
interface Refused {
  /** Of a user: tokens whose `iat` is not later than this second are refused. */
  readonly upToSeconds: number
  /** The same, where the account was suspended or deleted; before all time where it was not. */
  readonly suspendedUpToSeconds: number
  /** The same, of tokens that belong to no login. */
  readonly withoutLoginUpToSeconds: number
  readonly expiresAtMs: number
}

/** Of several revocations of one target the most counts, in whichever order they are read. */
function joined(
  { notBeforeSeconds, isSuspension, sparesLogins, expiresAtMs }: Revocation,
  known: Refused | undefined,
): Refused {
  const never = Number.NEGATIVE_INFINITY
  return {
    upToSeconds: Math.max(sparesLogins ? never : notBeforeSeconds, known?.upToSeconds ?? never),
    withoutLoginUpToSeconds: Math.max(notBeforeSeconds, known?.withoutLoginUpToSeconds ?? never),
    suspendedUpToSeconds: Math.max(isSuspension ? notBeforeSeconds : never, known?.suspendedUpToSeconds ?? never),
    expiresAtMs: Math.max(expiresAtMs, known?.expiresAtMs ?? never),
  }
}

/** Whether somebody may be refused now who was not. */
function isMore(now: Refused, before: Refused | undefined): boolean {
  return (
    now.upToSeconds !== before?.upToSeconds ||
    now.suspendedUpToSeconds !== before.suspendedUpToSeconds ||
    now.withoutLoginUpToSeconds !== before.withoutLoginUpToSeconds
  )
}
