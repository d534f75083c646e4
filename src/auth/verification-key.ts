import {
  createHmac,
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { decodeBase64url } from '../lib/base64url.ts'
import { ALGORITHMS, type Algorithm, type ParsedToken } from './token.ts'

/** A key that verifies tokens. It has one algorithm: which one a token claims is never asked of the token alone. */
export interface VerificationKey {
  readonly algorithm: Algorithm
  readonly keyId: string | undefined
  readonly key: KeyObject
}

/** A key that must not be used; its message says why, without the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError'
}

/** NIST SP 800-107 §5.3.4: a key of HMAC-SHA-256 has at least as many bytes as its digest. */
export const MIN_SECRET_BYTES = 32
const MIN_RSA_BITS = 2048
const MAX_KEY_ID_LENGTH = 128

export function secretKey(secret: string): VerificationKey {
  const bytes = Buffer.from(secret, 'utf8')
  if (bytes.byteLength < MIN_SECRET_BYTES) throw new KeyError(`has fewer than ${MIN_SECRET_BYTES} bytes`)
  return { algorithm: 'HS256', keyId: undefined, key: createSecretKey(bytes) }
}

/**
 * Public keys as people have them: one or several PEM blocks, a JWK, a list of JWKs or a JWK set. Throws a KeyError for a private
 * key, a kind of key that is not supported, and when there is none.
 */
export function publicKeys(text: string): VerificationKey[] {
  const trimmed = text.trim()
  const keys = /^[[{]/.test(trimmed) ? jwksIn(trimmed).map(jwkKey) : pemsIn(trimmed).map(pemKey)
  if (keys.length === 0) throw new KeyError('holds no public key')
  return keys
}

function pemsIn(text: string): string[] {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) throw new KeyError('is a private key; the public one is wanted')
  return text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]*?-----END \1-----/g) ?? []
}

function pemKey(pem: string): VerificationKey {
  return keyOf(importKey({ key: pem, format: 'pem' }), undefined)
}

function jwksIn(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text)
    if (Array.isArray(value)) return value
    const keys = (value as { keys?: unknown }).keys
    return Array.isArray(keys) ? keys : [value]
  } catch {
    throw new KeyError('is neither PEM nor JSON')
  }
}

/** One key of a JWK set (RFC 7517). `use` and `alg` may be absent; what they say must fit. */
export function jwkKey(jwk: unknown): VerificationKey {
  if (typeof jwk !== 'object' || jwk === null) throw new KeyError('is not a JWK')
  const { kty, use, alg, kid, key_ops, d } = jwk as Record<string, unknown>
  if (kty === 'oct' || d !== undefined) throw new KeyError('is a secret or private key; a public one is wanted')
  if (use !== undefined && use !== 'sig') throw new KeyError('is not for signatures (use)')
  if (key_ops !== undefined && !(Array.isArray(key_ops) && key_ops.includes('verify'))) {
    throw new KeyError('is not for verifying (key_ops)')
  }
  if (kid !== undefined && !(typeof kid === 'string' && kid.length <= MAX_KEY_ID_LENGTH))
    throw new KeyError('has a wrong kid')
  const key = keyOf(importKey({ key: jwk as JsonWebKey, format: 'jwk' }), kid)
  if (alg !== undefined && alg !== key.algorithm)
    throw new KeyError(`is for another algorithm than ${ALGORITHMS.join(', ')}`)
  return key
}

function importKey(input: Parameters<typeof createPublicKey>[0]): KeyObject {
  try {
    return createPublicKey(input)
  } catch {
    // OpenSSL's own words may quote the text.
    throw new KeyError('cannot be read')
  }
}

function keyOf(key: KeyObject, keyId: string | undefined): VerificationKey {
  return { algorithm: algorithmOf(key), keyId, key }
}

function algorithmOf(key: KeyObject): Algorithm {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < MIN_RSA_BITS) throw new KeyError(`is an RSA key of fewer than ${MIN_RSA_BITS} bits`)
      return 'RS256'
    case 'ec':
      if (namedCurve !== 'prime256v1') throw new KeyError('is an EC key on another curve than P-256')
      return 'ES256'
    case 'ed25519':
      return 'EdDSA'
    default:
      throw new KeyError('is of a kind that is not supported; RSA, EC P-256 and Ed25519 are')
  }
}

/** Whether the key signed the token. The key's algorithm counts; a token of another algorithm is false. */
export function isSignedBy({ algorithm, signed, signature }: ParsedToken, verifier: VerificationKey): boolean {
  if (algorithm !== verifier.algorithm) return false
  return algorithm === 'HS256' ? isMacOf(signed, signature, verifier.key) : isSignatureOf(signed, signature, verifier)
}

/** Compared as text: that there is one spelling for each follows, and neither has to be decoded. */
function isMacOf(signed: string, signature: string, key: KeyObject): boolean {
  const expected = Buffer.from(createHmac('sha256', key).update(signed).digest('base64url'))
  const given = Buffer.from(signature)
  return given.byteLength === expected.byteLength && timingSafeEqual(given, expected)
}

function isSignatureOf(signed: string, signature: string, { algorithm, key }: VerificationKey): boolean {
  const given = decodeBase64url(signature)
  if (!given) return false
  const data = Buffer.from(signed)
  // Two numbers of 32 bytes each (RFC 7518 §3.4). DER, OpenSSL's own form, has many spellings.
  if (algorithm === 'ES256')
    return given.byteLength === 64 && verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, given)
  return verify(algorithm === 'EdDSA' ? null : 'sha256', data, key, given)
}
