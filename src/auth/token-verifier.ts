import { hash } from 'node:crypto'
import { decodeBase64url } from '../lib/base64url.ts'
import type { TimeOfDay } from '../lib/clock.ts'
import { dropOldest } from '../lib/drop-oldest.ts'
import { type ClaimRules, readClaims, type TokenIdentity } from './claims.ts'
import type { KeySource } from './key-source.ts'
import { type Algorithm, MAX_TOKEN_BYTES, type ParsedToken, parseToken, TokenError, type TokenFault } from './token.ts'
import { isSignedBy } from './verification-key.ts'

export interface TokenVerifierOptions {
  readonly keys: KeySource
  readonly algorithms: readonly Algorithm[]
  readonly rules: ClaimRules
  readonly time: TimeOfDay
}

export type Verdict =
  | { readonly identity: TokenIdentity }
  /** `later`: the key is being looked for; ask again once it resolves. */
  | { readonly fault: TokenFault; readonly later?: Promise<void> }

interface Verified {
  readonly identity: TokenIdentity
  readonly untilMs: number
}

/** Some 300 bytes each. */
const MAX_REMEMBERED = 50_000
/** So long a key that was removed may go on at most: its removal also empties the memory. */
const REMEMBERED_MS = 5 * 60_000

/**
 * Verifies tokens in the call: a signature costs 15 µs (HMAC) to 120 µs (Ed25519), a token that was verified before the
 * 4 µs of its digest. Refusals are not remembered. Whether a token was revoked is not asked here: that changes at any time.
 */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions
  /** By the SHA-256 of the whole token: a shorter key could make two tokens one. The least recently used comes first. */
  readonly #verified = new Map<string, Verified>()
  #generation = 0

  constructor(options: TokenVerifierOptions) {
    this.#options = options
  }

  verify(token: string): Verdict {
    if (token.length > MAX_TOKEN_BYTES) return { fault: 'too_long' }
    const { keys, time } = this.#options
    if (keys.generation !== this.#generation) {
      this.#verified.clear()
      this.#generation = keys.generation
    }
    const now = time.epochMs()
    const digest = hash('sha256', token, 'base64')
    const known = this.#recall(digest, now)
    if (known) return { identity: known }
    try {
      return this.#verifyAnew(token, digest, now)
    } catch (error) {
      if (error instanceof TokenError) return { fault: error.fault }
      throw error
    }
  }

  #verifyAnew(token: string, digest: string, now: number): Verdict {
    const { keys, algorithms, rules } = this.#options
    const parsed = parseToken(token)
    if (!algorithms.includes(parsed.algorithm)) return { fault: 'algorithm' }
    const candidates = keys.candidates(parsed.algorithm, parsed.keyId)
    if (candidates.length === 0) return this.#unknownKey(parsed)
    if (!candidates.some((key) => isSignedBy(parsed, key))) return { fault: unsignedFault(parsed) }
    const payload = decodeBase64url(parsed.payload)
    if (!payload) return { fault: 'malformed' }
    const identity = readClaims(payload, rules, now)
    this.#remember(digest, identity, now)
    return { identity }
  }

  #unknownKey({ keyId }: ParsedToken): Verdict {
    const later = this.#options.keys.lookAgain(keyId)
    return later !== undefined ? { fault: 'unknown_key', later } : { fault: 'unknown_key' }
  }

  #recall(digest: string, now: number): TokenIdentity | undefined {
    const known = this.#verified.get(digest)
    if (!known) return undefined
    this.#verified.delete(digest)
    if (known.untilMs <= now) return undefined
    this.#verified.set(digest, known)
    return known.identity
  }

  #remember(digest: string, identity: TokenIdentity, now: number): void {
    const untilMs = Math.min(now + REMEMBERED_MS, identity.expiresAtMs + this.#options.rules.leewaySeconds * 1000)
    this.#verified.set(digest, { identity, untilMs })
    dropOldest(this.#verified, MAX_REMEMBERED)
  }
}

/** Decoded only here: what a key signed is as its issuer wrote it. */
function unsignedFault({ payload, signature }: ParsedToken): TokenFault {
  return decodeBase64url(payload) && decodeBase64url(signature) ? 'signature' : 'malformed'
}
