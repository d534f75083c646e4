import type { Revocations } from '../auth/revocations.ts'
import type { TokenIssuer } from '../auth/token-issuer.ts'
import type { Clock } from '../lib/clock.ts'
import { Semaphore } from '../lib/semaphore.ts'
import type { UserId } from '../protocol/message.ts'
import type { OpenSession } from './account-store.ts'
import { type Asker, actorOf } from './asker.ts'
import type { Guesses } from './guesses.ts'
import { type KnownSessions, MAX_KNOWN, type SessionKey } from './known-sessions.ts'
import { isGenuine, parseRefreshToken, type RefreshToken, refreshToken } from './refresh-token.ts'
import { AccountRefusal } from './refusal.ts'
import { hashOf } from './secrets.ts'
import type { Session } from './session.ts'
import type { RefreshState, SessionStore } from './session-store.ts'
import { ACCESS_SECONDS } from './sign-in.ts'

export interface OpenSessionsOptions {
  readonly store: SessionStore
  readonly tokens: Pick<TokenIssuer, 'issue'>
  readonly revocations: Pick<Revocations, 'added'>
  readonly guesses: Pick<Guesses, 'attempt' | 'waitMs'>
  readonly known: KnownSessions
  readonly clock: Clock
}

export interface IssuedToken {
  readonly token: string
  readonly expiresAtMs: number
}

/**
 * Lookups for sessions that are not known here: an attempt counts as a guess while it is under way, and a crowd behind one address is
 * none. More at once would wait for a connection all the same.
 */
const NEWCOMERS_AT_ONCE = 8
/** Lookups that may wait for those before them, and for how long: while the database hangs each takes seconds. */
const MAX_WAITING = 1_024
const WAIT_LIMIT_MS = 10_000
/** How old a login may be for what a borrowed phone must not do. */
const FRESH_SECONDS = 300
/** A second process of one client may come with a token that the first has just used; so long after its use nobody is thrown out. */
const IN_PROGRESS_MS = 10_000

type Renewed = IssuedToken & { readonly refreshToken: string }

/** What goes on after a login: access tokens are renewed, and sessions end. Rejects with an AccountRefusal. */
export class OpenSessions {
  readonly #options: OpenSessionsOptions
  readonly #newcomers = new Semaphore(NEWCOMERS_AT_ONCE)
  /** For who leaves from a network that is wrong too often, by a cookie that is not known here. */
  readonly #leaving = new Semaphore(1)

  constructor(options: OpenSessionsOptions) {
    this.#options = options
  }

  /** Those that went on before this process began, or all of a network would wait there for one that guesses. */
  async remember(): Promise<void> {
    const { store, known } = this.#options
    known.addOlder(await store.usedLast(MAX_KNOWN))
  }

  /** A page's cookie gets an access token; the cookie stays as it is, so tabs cannot race. */
  async tokenByCookie(cookie: string, asker: Asker): Promise<IssuedToken> {
    const hash = hashOf(cookie)
    return this.#issue(await this.#attempt('cookie', { key: hash, asker }, () => this.#byCookie(hash)))
  }

  /**
   * The session that somebody leaves. Nobody is told to wait because others of their network are wrong: all such cookies get one look
   * at a time.
   */
  leaving(cookie: string, asker: Asker): Promise<OpenSession> {
    const { guesses, known } = this.#options
    const hash = hashOf(cookie)
    const look = (): Promise<OpenSession> => this.#byCookie(hash)
    if (known.has(hash)) return guesses.attempt('cookie', undefined, look)
    const isOver = (): boolean => guesses.waitMs(asker) > 0
    // Asked again at its turn: others of the network may have been wrong meanwhile.
    const visit = (): Promise<OpenSession> => guesses.attempt('cookie', isOver() ? undefined : asker, look)
    return this.#inTurn(isOver() ? this.#leaving : this.#newcomers, visit)
  }

  async #byCookie(hash: Buffer): Promise<OpenSession> {
    const session = await this.#options.store.byCookie(hash)
    if (!session) throw new AccountRefusal('unauthorized')
    return session
  }

  /**
   * A program's refresh token gets an access token and its successor. `attempt` is a UUID that the client kept before the call: the
   * same one gets the same successor again, however often and however late its answer was lost. A used token with another attempt
   * was copied, so the session ends; in the first seconds after its use it may be a second process, which is told to look at what
   * the first kept. What is used since does not prolong them, or a thief who goes on fast enough would never be noticed.
   */
  refresh(text: string, attempt: string, asker: Asker): Promise<Renewed> {
    const given = parseRefreshToken(text)
    return this.#attempt('refresh_token', { key: given?.sessionId ?? '', asker }, () =>
      this.#refresh(given, attempt, asker),
    )
  }

  async #refresh(given: RefreshToken | undefined, attempt: string, asker: Asker): Promise<Renewed> {
    const { store } = this.#options
    const before = given && (await store.refreshState(given.sessionId))
    if (!given || !before || !isGenuine(given, before.macKey)) throw new AccountRefusal('unauthorized')
    // Above the counter only where the database was set back: no one but this service signs.
    const rotated =
      given.counter >= before.counter ? await store.rotate(given.sessionId, given.counter, attempt) : undefined
    if (rotated) return this.#renewed(rotated, given.counter + 1, before)
    const now = await store.refreshState(given.sessionId)
    if (!now) throw new AccountRefusal('unauthorized')
    if (given.counter === now.counter - 1 && attempt === now.lastAttempt) return this.#renewed(now, now.counter, now)
    const usedAgoMs = now.usedAgoMs[now.counter - 1 - given.counter] ?? Number.POSITIVE_INFINITY
    if (usedAgoMs < IN_PROGRESS_MS) throw new AccountRefusal('refresh_in_progress')
    await this.#endStolen(now, asker)
    throw new AccountRefusal('unauthorized')
  }

  list(userId: UserId): Promise<Session[]> {
    return this.#options.store.list(userId)
  }

  /** Ends one session of this person; false when there is no such session. */
  async end(userId: UserId, sessionId: string, because: 'logout' | 'session_end', asker: Asker): Promise<boolean> {
    return this.#ended(await this.#options.store.end(userId, sessionId, { because, actor: actorOf(asker, userId) }))
  }

  async endAll(userId: UserId, asker: Asker): Promise<void> {
    const end = { because: 'logout_all', actor: actorOf(asker, userId) } as const
    await this.#options.store.end(userId, undefined, end)
    // Also where no session was open: tokens without one have ended.
    await this.#options.revocations.added()
  }

  /** Throws unless the login is at most five minutes old: for what a borrowed phone must not be able to do. */
  async requireFresh(sessionId: string | undefined): Promise<void> {
    if (sessionId !== undefined && (await this.#options.store.isFresh(sessionId, FRESH_SECONDS))) return
    throw new AccountRefusal('reauthentication_required')
  }

  /** What a session goes on by. One that was right of late waits for nobody; one that is not is as any other from then on. */
  async #attempt<T>(
    what: 'cookie' | 'refresh_token',
    { key, asker }: { readonly key: SessionKey; readonly asker: Asker },
    work: () => Promise<T>,
  ): Promise<T> {
    const { guesses, known } = this.#options
    const visit = (): Promise<T> => guesses.attempt(what, known.has(key) ? undefined : asker, work)
    // Who is not looked up keeps nobody waiting.
    const isAtOnce = known.has(key) || guesses.waitMs(asker) > 0
    try {
      const result = await (isAtOnce ? visit() : this.#inTurn(this.#newcomers, visit))
      known.add(key)
      return result
    } catch (error) {
      if (error instanceof AccountRefusal && error.code === 'unauthorized') known.delete(key)
      throw error
    }
  }

  /** Rejects with `overloaded` where too many wait, and with `Unavailable` after so long. */
  async #inTurn<T>(turns: Semaphore, work: () => Promise<T>): Promise<T> {
    if (turns.waiting >= MAX_WAITING) throw new AccountRefusal('overloaded')
    return turns.run(work, { clock: this.#options.clock, ms: WAIT_LIMIT_MS })
  }

  async #ended(count: number): Promise<boolean> {
    if (count > 0) await this.#options.revocations.added()
    return count > 0
  }

  async #endStolen({ userId, sessionId }: RefreshState, asker: Asker): Promise<void> {
    const actor = actorOf(asker)
    await this.#ended(await this.#options.store.end(userId, sessionId, { because: 'refresh_reuse', actor }))
  }

  #renewed(session: OpenSession, counter: number, { macKey }: Pick<RefreshState, 'macKey'>) {
    return { ...this.#issue(session), refreshToken: refreshToken(session.sessionId, counter, macKey) }
  }

  #issue(session: OpenSession): IssuedToken {
    return this.#options.tokens.issue(session.userId, ACCESS_SECONDS, session)
  }
}
