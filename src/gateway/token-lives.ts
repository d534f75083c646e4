import { type Authenticator, type Verification, verified } from '../auth/authenticator.ts'
import type { TokenIdentity } from '../auth/claims.ts'
import type { RevocationTarget } from '../auth/revocation-store.ts'
import type { Clock, TimeOfDay } from '../lib/clock.ts'
import { isoTime } from '../lib/iso-time.ts'
import { MultiMap } from '../lib/multi-map.ts'
import type { TimerWheel } from '../lib/timer-wheel.ts'
import type { Ref } from '../protocol/commands.ts'
import type { UserId } from '../protocol/message.ts'
import type { Caller } from './caller.ts'

export interface TokenLivesOptions {
  readonly authenticator: Authenticator
  readonly wheel: TimerWheel
  readonly clock: Pick<Clock, 'now'>
  /** By which tokens end. */
  readonly time: TimeOfDay
  /** How long a token is good beyond its end. */
  readonly leewaySeconds: number
}

/** What is held of one open connection. */
interface Life {
  identity: TokenIdentity
  /** Of the warning, and from then on of the end: most connections are closed before either. */
  cancel: () => void
  /** When `auth` was last heard. */
  renewedAtMs: number
}

type Holder = Pick<Caller, 'identity' | 'isOpen' | 'reply' | 'refuse' | 'close'>

const NOTHING = (): void => undefined

/** How long before its end a client is told that its token ends, milliseconds. */
const WARNING_MS = 60_000
/** A client that renews more often has no reason to; each costs a signature. */
const RENEWAL_INTERVAL_MS = 5_000

/** The tokens of open connections: warns before they end, ends connections with them, and takes new ones in band. */
export class TokenLives {
  readonly #options: TokenLivesOptions
  readonly #lives = new Map<Holder, Life>()
  /** Whom a revocation concerns: each logout is one, and may not look at every connection there is. */
  readonly #byUser = new MultiMap<UserId, Holder>()
  readonly #bySession = new MultiMap<string, Holder>()
  readonly #byToken = new MultiMap<string, Holder>()

  constructor(options: TokenLivesOptions) {
    this.#options = options
  }

  /** A connection was opened by this token, and told so. */
  started(holder: Holder, identity: TokenIdentity): void {
    const life = { identity, cancel: NOTHING, renewedAtMs: Number.NEGATIVE_INFINITY }
    this.#lives.set(holder, life)
    this.#index(holder, identity)
    this.#schedule(holder, life)
    // It may have been revoked after it was verified, and before this connection could be found.
    if (this.#options.authenticator.isRevoked(identity)) this.#endRevoked(holder, identity)
  }

  ended(holder: Holder): void {
    const life = this.#lives.get(holder)
    if (!life) return
    this.#lives.delete(holder)
    this.#unindex(holder, life.identity)
    life.cancel()
  }

  /** `auth` on an open connection: another token of the same user takes the place of the one before. */
  renew(holder: Holder, token: string, ref: Ref | undefined): void {
    const life = this.#lives.get(holder)
    if (!life) return
    const { authenticator, clock } = this.#options
    const waitMs = life.renewedAtMs + RENEWAL_INTERVAL_MS - clock.now()
    if (waitMs > 0) return holder.refuse({ code: 'rate_limited', ref, retryAfterMs: waitMs })
    life.renewedAtMs = clock.now()
    const verification = verified(authenticator, token)
    if (verification instanceof Promise) void verification.then((outcome) => this.#renewWith(holder, outcome, ref))
    else this.#renewWith(holder, verification, ref)
  }

  /** These are no longer to be believed: their connections end, but for those whose token came later. */
  revoked(targets: readonly RevocationTarget[]): void {
    for (const holder of new Set(targets.flatMap((target) => this.#heldBy(target)))) {
      const identity = this.#lives.get(holder)?.identity
      if (identity && this.#options.authenticator.isRevoked(identity)) this.#endRevoked(holder, identity)
    }
  }

  #heldBy(target: RevocationTarget): readonly Holder[] {
    if ('user_id' in target) return this.#byUser.of(target.user_id)
    if ('session_id' in target) return this.#bySession.of(target.session_id)
    // A key opens no socket.
    return 'jti' in target ? this.#byToken.of(target.jti) : []
  }

  #index(holder: Holder, { userId, sessionId, tokenId }: TokenIdentity): void {
    this.#byUser.add(userId, holder)
    if (sessionId !== undefined) this.#bySession.add(sessionId, holder)
    if (tokenId !== undefined) this.#byToken.add(tokenId, holder)
  }

  #unindex(holder: Holder, { userId, sessionId, tokenId }: TokenIdentity): void {
    this.#byUser.delete(userId, holder)
    if (sessionId !== undefined) this.#bySession.delete(sessionId, holder)
    if (tokenId !== undefined) this.#byToken.delete(tokenId, holder)
  }

  /** A suspended person is told so: their client need not try to come back. */
  #endRevoked(holder: Holder, identity: TokenIdentity): void {
    if (this.#options.authenticator.isSuspended(identity)) holder.close('forbidden', 'account_suspended')
    else holder.close('unauthorized', 'session_revoked')
  }

  #renewWith(holder: Holder, verification: Verification, ref: Ref | undefined): void {
    const life = this.#lives.get(holder)
    if (!life) return
    if ('fault' in verification) {
      // A failure of our own ends no connection: the token before is still good.
      if (verification.fault === 'unavailable') return holder.refuse({ code: 'unavailable', ref })
      holder.refuse({ code: 'unauthorized', ref })
      return holder.close('unauthorized')
    }
    const { identity } = verification
    if (identity.userId !== life.identity.userId) return holder.refuse({ code: 'forbidden', ref })
    life.cancel()
    this.#unindex(holder, life.identity)
    this.#index(holder, identity)
    life.identity = identity
    holder.reply({ type: 'authenticated', ref, expires_at: isoTime(identity.expiresAtMs) })
    this.#schedule(holder, life)
  }

  #schedule(holder: Holder, life: Life): void {
    const { wheel, time, leewaySeconds } = this.#options
    const { expiresAtMs } = life.identity
    const warn = (): void => {
      life.cancel = wheel.at(expiresAtMs + leewaySeconds * 1000, () => holder.close('unauthorized', 'token_expired'))
      holder.reply({ type: 'auth_expiring', in_ms: Math.max(0, expiresAtMs - time.epochMs()) })
    }
    if (expiresAtMs - WARNING_MS > time.epochMs()) life.cancel = wheel.at(expiresAtMs - WARNING_MS, warn)
    else warn()
  }
}
