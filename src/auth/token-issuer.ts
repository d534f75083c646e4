import { createHmac, type KeyObject, randomUUID } from 'node:crypto'
import { encodeJson } from '../lib/base64url.ts'
import type { TimeOfDay } from '../lib/clock.ts'
import type { UserId } from '../protocol/message.ts'
import { subjectOf } from './claims.ts'

export interface TokenIssuerOptions {
  /** The current secret; the previous one only verifies. Asked for with each token: the built-in one changes with the epoch. */
  readonly signer: () => { readonly key: KeyObject; readonly keyId?: string | undefined }
  readonly userClaim: string
  /** Whether the verifier escapes subjects: then the subject of a user id is written. */
  readonly escapesUser: boolean
  readonly issuer: string | undefined
  readonly audience: string | undefined
  /** How long a token may live, seconds. */
  readonly maxLifetimeSeconds: number
  readonly time: TimeOfDay
}

/** Seconds that a token lives unless something else is asked for. */
export const DEFAULT_TOKEN_SECONDS = 3_600

/** Makes tokens (HS256) that the verifier of the same configuration accepts, for backends that want no token library. */
export class TokenIssuer {
  readonly #options: TokenIssuerOptions

  constructor(options: TokenIssuerOptions) {
    this.#options = options
  }

  get maxLifetimeSeconds(): number {
    return this.#options.maxLifetimeSeconds
  }

  /** Whether a token can name this user: where subjects are escaped, an id that comes of none would be read as another one. */
  canName(userId: UserId): boolean {
    return this.#subject(userId) !== undefined
  }

  /**
   * A token of `lifetimeSeconds`, from 1 on; beyond `maxLifetimeSeconds` it has that many. The login, and when it is issued, may be
   * said by whoever knows. Throws for a user that no token can name.
   */
  issue(
    userId: UserId,
    lifetimeSeconds = Math.min(DEFAULT_TOKEN_SECONDS, this.#options.maxLifetimeSeconds),
    { sessionId, issuedAtSeconds }: { readonly sessionId?: string; readonly issuedAtSeconds?: number } = {},
  ): { token: string; expiresAtMs: number } {
    const { signer, userClaim, issuer, audience, maxLifetimeSeconds, time } = this.#options
    const { key, keyId } = signer()
    const subject = this.#subject(userId)
    if (subject === undefined) throw new Error('no token can name this user')
    const iat = issuedAtSeconds ?? Math.floor(time.epochMs() / 1000)
    const exp = iat + Math.min(lifetimeSeconds, maxLifetimeSeconds)
    const claims = {
      ...(userClaim !== 'sub' && { sub: subject }),
      [userClaim]: subject,
      iat,
      exp,
      jti: randomUUID(),
      ...(sessionId !== undefined && { sid: sessionId }),
      ...(issuer !== undefined && { iss: issuer }),
      ...(audience !== undefined && { aud: audience }),
    }
    const signed = `${encodeJson({ alg: 'HS256', typ: 'JWT', ...(keyId !== undefined && { kid: keyId }) })}.${encodeJson(claims)}`
    const signature = createHmac('sha256', key).update(signed).digest('base64url')
    return { token: `${signed}.${signature}`, expiresAtMs: exp * 1000 }
  }

  #subject(userId: UserId): string | undefined {
    return this.#options.escapesUser ? subjectOf(userId) : userId
  }
}
