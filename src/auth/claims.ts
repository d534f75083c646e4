import { USER_ID_PATTERN } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import { parseObject, TokenError } from './token.ts'

/** A person who was proven to be the one. */
export interface TokenIdentity {
  readonly userId: UserId
  /** When the token ends, milliseconds since the epoch, without leeway. */
  readonly expiresAtMs: number
  /** `iat` in whole seconds; a token without one falls to every revocation of its user. */
  readonly issuedAtSeconds: number | undefined
  /** `sid`: the login that the token belongs to. */
  readonly sessionId: string | undefined
  readonly tokenId: string | undefined
}

export interface ClaimRules {
  /** Exact `iss`; not checked when undefined. */
  readonly issuer: string | undefined
  /** One of these must be in `aud`; not checked when empty. */
  readonly audiences: readonly string[]
  /** Which claim names the user. */
  readonly userClaim: string
  /** Turns a subject that is no user id into one; see `escapedUserId`. */
  readonly escapesUser: boolean
  /** How far the issuer's clock may differ from ours, seconds. */
  readonly leewaySeconds: number
  /** How long a token may live, seconds. */
  readonly maxLifetimeSeconds: number
}

const MAX_ID_LENGTH = 256
/** Tokens that are made here are dated by the database's clock, and up to a second ahead: see `revocation-times.ts`. */
const IAT_LEEWAY_SECONDS = 5

/** Checks the claims of a token whose signature was verified. Throws a TokenError. */
export function readClaims(payload: Buffer, rules: ClaimRules, nowMs: number): TokenIdentity {
  const claims = parseObject(payload)
  if (!claims) throw new TokenError('claims')
  const exp = seconds(claims['exp'])
  const iat = optional(claims['iat'], seconds)
  const nbf = optional(claims['nbf'], seconds)
  const sessionId = optional(claims['sid'], shortText)
  const tokenId = optional(claims['jti'], shortText)
  const nowSeconds = nowMs / 1000
  const { leewaySeconds, maxLifetimeSeconds } = rules
  if (exp + leewaySeconds <= nowSeconds) throw new TokenError('expired')
  const earlySeconds = Math.max(leewaySeconds, IAT_LEEWAY_SECONDS)
  if ((nbf ?? 0) > nowSeconds + leewaySeconds || (iat ?? 0) > nowSeconds + earlySeconds)
    throw new TokenError('not_yet_valid')
  // Without `iat` what is left of its life is all that can be told.
  const lifetime = iat === undefined ? exp - nowSeconds - leewaySeconds : exp - iat
  if (lifetime > maxLifetimeSeconds) throw new TokenError('lifetime')
  if (rules.issuer !== undefined && claims['iss'] !== rules.issuer) throw new TokenError('issuer')
  if (!isForUs(claims['aud'], rules.audiences)) throw new TokenError('audience')
  const userId = userIdOf(claims[rules.userClaim], rules.escapesUser)
  return { userId, expiresAtMs: exp * 1000, issuedAtSeconds: iat, sessionId, tokenId }
}

function optional<T>(value: unknown, check: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : check(value)
}

/** A NumericDate (RFC 7519 §2) that is a whole number, as every issuer writes it. */
function seconds(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TokenError('claims')
  return value
}

function shortText(value: unknown): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > MAX_ID_LENGTH) throw new TokenError('claims')
  return value
}

function isForUs(aud: unknown, audiences: readonly string[]): boolean {
  if (audiences.length === 0) return true
  const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  return audiences.some((audience) => named.includes(audience))
}

function userIdOf(subject: unknown, escapes: boolean): UserId {
  // All lone surrogates have the same bytes, so two subjects could meet.
  if (typeof subject !== 'string' || subject === '' || !subject.isWellFormed()) throw new TokenError('subject')
  const userId = escapes ? escapedUserId(subject) : subject
  if (!USER_ID_PATTERN.test(userId)) throw new TokenError('subject')
  return userId
}

/** The subject that `escapedUserId` turns into this id; undefined for an id that it makes of none. */
export function subjectOf(userId: UserId): string | undefined {
  const text = userId.startsWith('0__') ? userId.slice(2) : userId
  const bytes = text.replace(/_([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
  const subject = Buffer.from(bytes, 'latin1').toString('utf8')
  // Whatever has no such origin, as `a_b` or bytes that are no UTF-8, comes back as another id.
  return escapedUserId(subject) === userId ? subject : undefined
}

/**
 * A user id for any subject, a different one for each: `_` and every byte of UTF-8 that a user id cannot hold where it stands
 * become `_` and two hexadecimal digits; so `auth0|7` is `auth0_7C7`. What grows beyond 128 characters is no user id.
 */
export function escapedUserId(subject: string): string {
  let escaped = ''
  for (const byte of Buffer.from(subject, 'utf8')) {
    const character = String.fromCharCode(byte)
    const isKept = escaped === '' ? /[A-Za-z0-9]/.test(character) : /[A-Za-z0-9.@+-]/.test(character)
    escaped += isKept ? character : `_${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  // A user id begins with a letter or digit. Elsewhere two digits follow every `_`, so no other subject begins with `0__`.
  return escaped.startsWith('_') ? `0_${escaped}` : escaped
}
