import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Algorithm } from '../../src/auth/token.ts'

export const SECRET = 'a secret of this test, at least 32 bytes'
export const ISSUER = 'https://issuer.example'
export const AUDIENCE = 'chat'

export interface Signer {
  readonly algorithm: Algorithm
  readonly sign: (signed: string) => Buffer
}

export function hmacSigner(secret = SECRET): Signer {
  return { algorithm: 'HS256', sign: (signed) => createHmac('sha256', secret).update(signed).digest() }
}

export interface KeyPair extends Signer {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** A new pair of keys for an asymmetric algorithm. */
export function keyPair(algorithm: Exclude<Algorithm, 'HS256'>): KeyPair {
  if (algorithm === 'RS256') return rsaPair(2048)
  if (algorithm === 'ES256') {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const input = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
    return { ...pair, algorithm, sign: (signed) => sign('sha256', Buffer.from(signed), input) }
  }
  const pair = generateKeyPairSync('ed25519')
  return { ...pair, algorithm, sign: (signed) => sign(null, Buffer.from(signed), pair.privateKey) }
}

export function rsaPair(modulusLength: number): KeyPair {
  const pair = generateKeyPairSync('rsa', { modulusLength })
  return { ...pair, algorithm: 'RS256', sign: (signed) => sign('sha256', Buffer.from(signed), pair.privateKey) }
}

export const base64url = (text: string | Buffer): string => Buffer.from(text).toString('base64url')

/** What a good token says at this time, seconds since the epoch. */
export function goodClaims(nowSeconds: number, more: object = {}): object {
  return { sub: 'ann', iat: nowSeconds, exp: nowSeconds + 600, iss: ISSUER, aud: AUDIENCE, ...more }
}

/** A token of these claims; `header` is merged over the one of the signer's algorithm. */
export function tokenOf(claims: unknown, signer: Signer = hmacSigner(), header: object = {}): string {
  return compact(JSON.stringify({ alg: signer.algorithm, typ: 'JWT', ...header }), JSON.stringify(claims), signer)
}

/** What a page or a socket of this user may be given: good from now on, for ten minutes, whoever has the secret of the tests. */
export function tokenFor(userId: string, more: object = {}, signer = hmacSigner()): string {
  const nowSeconds = Math.floor(Date.now() / 1000)
  return tokenOf(goodClaims(nowSeconds, { sub: userId, iss: undefined, aud: undefined, ...more }), signer)
}

/** A token whose header and payload are given as text. */
export function compact(header: string | Buffer, payload: string | Buffer, signer: Signer = hmacSigner()): string {
  const signed = `${base64url(header)}.${base64url(payload)}`
  return `${signed}.${base64url(signer.sign(signed))}`
}
