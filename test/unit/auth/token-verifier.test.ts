import { sign } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { escapedUserId, subjectOf } from '../../../src/auth/claims.ts'
import { fixedKeys, type KeySource } from '../../../src/auth/key-source.ts'
import { ALGORITHMS, type Algorithm, MAX_TOKEN_BYTES } from '../../../src/auth/token.ts'
import { TokenIssuer } from '../../../src/auth/token-issuer.ts'
import { TokenVerifier } from '../../../src/auth/token-verifier.ts'
import { jwkKey, KeyError, publicKeys, secretKey, type VerificationKey } from '../../../src/auth/verification-key.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import {
  AUDIENCE,
  base64url,
  compact,
  goodClaims,
  hmacSigner,
  ISSUER,
  type KeyPair,
  keyPair,
  rsaPair,
  SECRET,
  tokenOf,
} from '../../support/tokens.ts'

const rules = {
  issuer: ISSUER,
  audiences: [AUDIENCE],
  userClaim: 'sub',
  escapesUser: false,
  leewaySeconds: 30,
  maxLifetimeSeconds: 3600,
}
const clock = new FakeClock()
const NOW = clock.now() / 1000
const good = (more: object = {}) => goodClaims(NOW, more)

let pairs: Record<'RS256' | 'ES256' | 'EdDSA', KeyPair>
beforeAll(() => {
  pairs = { RS256: keyPair('RS256'), ES256: keyPair('ES256'), EdDSA: keyPair('EdDSA') }
})

function verifier({
  keys = [secretKey(SECRET)] as readonly VerificationKey[],
  source = fixedKeys(keys) as KeySource,
  algorithms = ALGORITHMS as readonly Algorithm[],
  time = clock,
  escapesUser = false,
} = {}): TokenVerifier {
  return new TokenVerifier({ keys: source, algorithms, rules: { ...rules, escapesUser }, time })
}

const pem = (pair: KeyPair): string => pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const verifierOf = (pair: KeyPair): TokenVerifier => verifier({ keys: publicKeys(pem(pair)) })

describe('a good token', () => {
  test('names its user, its end, and what it can be revoked by', () => {
    const token = tokenOf(good({ sid: 'session', jti: 'token' }))
    expect(verifier().verify(token)).toEqual({
      identity: {
        userId: 'ann',
        expiresAtMs: (NOW + 600) * 1000,
        issuedAtSeconds: NOW,
        sessionId: 'session',
        tokenId: 'token',
      },
    })
  })

  test.each(['RS256', 'ES256', 'EdDSA'] as const)('is accepted when signed with %s', (algorithm) => {
    const pair = pairs[algorithm]
    expect(verifierOf(pair).verify(tokenOf(good(), pair))).toMatchObject({ identity: { userId: 'ann' } })
  })

  test.each<[string, string]>([
    ['without typ', compact('{"alg":"HS256"}', JSON.stringify(good()))],
    ['with typ at+jwt', tokenOf(good(), hmacSigner(), { typ: 'at+JWT' })],
    ['with a key id that no key has', tokenOf(good(), hmacSigner(), { kid: '../../etc/passwd' })],
    ['for several audiences', tokenOf(good({ aud: ['other', AUDIENCE] }))],
    ['that ended within the leeway', tokenOf(good({ iat: NOW - 600, exp: NOW - 29 }))],
    ['that begins within the leeway', tokenOf(good({ nbf: NOW + 30, iat: NOW + 30 }))],
    ['without iat', tokenOf(good({ iat: undefined }))],
    ['of the longest life', tokenOf(good({ exp: NOW + 3600 }))],
    ['of the longest life with the leeway, without iat', tokenOf(good({ iat: undefined, exp: NOW + 3630 }))],
    ['with a scope, which means nothing', tokenOf(good({ scope: 'admin send:any' }))],
  ])('is accepted %s', (_, token) => {
    expect(verifier().verify(token)).toMatchObject({ identity: { userId: 'ann' } })
  })

  test('is accepted under the previous secret while both are configured', () => {
    const both = verifier({ keys: [secretKey('the secret that came after the other one'), secretKey(SECRET)] })
    expect(both.verify(tokenOf(good()))).toMatchObject({ identity: { userId: 'ann' } })
  })
})

/** A string with its character at `at` replaced. */
const withCharacter = (text: string, at: number, character: string): string =>
  text.slice(0, at) + character + text.slice(at + 1)

/** Every one is refused, and for this reason. */
function forgeries(): [string, string, string][] {
  const parts = tokenOf(good()).split('.')
  const [head = '', body = '', signature = ''] = parts
  const header = (more: object): string => tokenOf(good(), hmacSigner(), more)
  const claims = (more: object): string => tokenOf(good(more))
  const unsigned = (alg: string): string => `${base64url(JSON.stringify({ alg }))}.${body}.`
  const rsaPem = pem(pairs.RS256)
  return [
    ['nothing', '', 'malformed'],
    ['dots alone', '..', 'malformed'],
    ['two parts', `${head}.${body}`, 'malformed'],
    ['four parts', `${head}.${body}.${signature}.`, 'malformed'],
    ['five parts, as an encrypted one', `${head}.${body}.${signature}.${body}.${body}`, 'malformed'],
    ['no header', `.${body}.${signature}`, 'malformed'],
    ['padding', `${head}.${body}.${signature}=`, 'malformed'],
    ['the alphabet of plain base64', `${head}.${body}.${withCharacter(signature, 3, '+')}`, 'malformed'],
    ['a space', `${head}.${body}. ${signature}`, 'malformed'],
    ['a line break', `${head}.${body}.${signature}\n`, 'malformed'],
    ['NUL', `${head}.${body}.${withCharacter(signature, 3, '\0')}`, 'malformed'],
    ['a letter beyond ASCII', `${head}.${body}.${withCharacter(signature, 3, 'Ā')}`, 'malformed'],
    [
      'bits beyond the last byte',
      `${head}.${body}.${withCharacter(signature, signature.length - 1, '_')}`,
      'malformed',
    ],
    ['one character too many for bytes', `${head}.${body}.${signature}AA`, 'malformed'],
    ['more bytes than a token may have', tokenOf(good({ x: 'x'.repeat(MAX_TOKEN_BYTES) })), 'too_long'],
    ['alg none', unsigned('none'), 'algorithm'],
    ['alg None', unsigned('None'), 'algorithm'],
    ['alg nOnE with a signature', `${base64url('{"alg":"nOnE"}')}.${body}.${signature}`, 'algorithm'],
    ['alg missing', compact('{"typ":"JWT"}', JSON.stringify(good())), 'algorithm'],
    ['alg empty', header({ alg: '' }), 'algorithm'],
    ['alg as a list', header({ alg: ['HS256'] }), 'algorithm'],
    ['alg in lower case', header({ alg: 'hs256' }), 'algorithm'],
    ['alg HS512', header({ alg: 'HS512' }), 'algorithm'],
    ['alg PS256', header({ alg: 'PS256' }), 'algorithm'],
    ['alg __proto__', header({ alg: '__proto__' }), 'algorithm'],
    ['alg RS256 for a secret', header({ alg: 'RS256' }), 'unknown_key'],
    ['crit', header({ crit: ['exp'] }), 'header'],
    ['b64', header({ b64: false }), 'header'],
    ['zip', header({ zip: 'DEF' }), 'header'],
    ['jku', header({ jku: 'http://127.0.0.1:1/keys' }), 'header'],
    ['jwk', header({ jwk: pairs.RS256.publicKey.export({ format: 'jwk' }) }), 'header'],
    ['x5u', header({ x5u: 'http://127.0.0.1:1/' }), 'header'],
    ['x5c', header({ x5c: ['AAAA'] }), 'header'],
    ['cty', header({ cty: 'JWT' }), 'header'],
    ['a member named __proto__', compact('{"alg":"HS256","__proto__":{}}', JSON.stringify(good())), 'header'],
    ['typ JWE', header({ typ: 'JWE' }), 'header'],
    ['typ as a number', header({ typ: 1 }), 'header'],
    ['kid as a number', header({ kid: 1 }), 'header'],
    ['kid too long', header({ kid: 'k'.repeat(129) }), 'header'],
    ['a header beyond 512 bytes', compact(`{"alg":"HS256"${' '.repeat(512)}}`, JSON.stringify(good())), 'header'],
    ['a header that is a list', compact('["HS256"]', JSON.stringify(good())), 'header'],
    ['a header that is no JSON', compact('alg=HS256', JSON.stringify(good())), 'header'],
    ['a header that is no UTF-8', compact(Buffer.from([0x7b, 0xff, 0x7d]), JSON.stringify(good())), 'header'],
    ['another secret', tokenOf(good(), hmacSigner('a secret of somebody else, also 32 bytes')), 'signature'],
    ['an empty signature', `${head}.${body}.`, 'signature'],
    ['half of a signature', `${head}.${body}.${signature.slice(0, 20)}`, 'signature'],
    [
      'a signature of other claims',
      `${head}.${base64url(JSON.stringify(good({ sub: 'bob' })))}.${signature}`,
      'signature',
    ],
    ['the public key as a secret', tokenOf(good(), hmacSigner(rsaPem)), 'signature'],
    ['a payload that is no JSON', compact('{"alg":"HS256"}', 'ann'), 'claims'],
    ['a payload that is null', compact('{"alg":"HS256"}', 'null'), 'claims'],
    ['a payload that is a list', compact('{"alg":"HS256"}', '[]'), 'claims'],
    ['a payload that is no UTF-8', compact('{"alg":"HS256"}', Buffer.from([0x7b, 0xff, 0x7d])), 'claims'],
    ['no exp', claims({ exp: undefined }), 'claims'],
    ['exp as text', claims({ exp: String(NOW + 600) }), 'claims'],
    ['exp as a fraction', claims({ exp: NOW + 600.5 }), 'claims'],
    ['exp beyond numbers', compact('{"alg":"HS256"}', '{"sub":"ann","exp":1e400}'), 'claims'],
    ['exp below zero', claims({ exp: -1 }), 'claims'],
    ['exp null', claims({ exp: null }), 'claims'],
    ['iat as text', claims({ iat: 'now' }), 'claims'],
    ['nbf as a list', claims({ nbf: [NOW] }), 'claims'],
    ['sid as a number', claims({ sid: 7 }), 'claims'],
    ['jti empty', claims({ jti: '' }), 'claims'],
    ['the end passed, with the leeway', claims({ iat: NOW - 600, exp: NOW - 30 }), 'expired'],
    ['iat in the future', claims({ iat: NOW + 31 }), 'not_yet_valid'],
    ['nbf in the future', claims({ nbf: NOW + 31 }), 'not_yet_valid'],
    ['a life beyond the longest', claims({ exp: NOW + 3601 }), 'lifetime'],
    ['a life beyond the longest, without iat', claims({ iat: undefined, exp: NOW + 3631 }), 'lifetime'],
    ['no iss', claims({ iss: undefined }), 'issuer'],
    ['iss with a slash more', claims({ iss: `${ISSUER}/` }), 'issuer'],
    ['iss as a list', claims({ iss: [ISSUER] }), 'issuer'],
    ['no aud', claims({ aud: undefined }), 'audience'],
    ['aud of another service', claims({ aud: 'shop' }), 'audience'],
    ['aud as an object', claims({ aud: { [AUDIENCE]: true } }), 'audience'],
    ['no sub', claims({ sub: undefined }), 'subject'],
    ['sub as a number', claims({ sub: 7 }), 'subject'],
    ['sub empty', claims({ sub: '' }), 'subject'],
    ['sub that is no user id', claims({ sub: 'auth0|7' }), 'subject'],
    ['sub with a line break at its end', claims({ sub: 'ann\n' }), 'subject'],
    ['sub too long', claims({ sub: 'a'.repeat(129) }), 'subject'],
  ]
}

describe('a forged or twisted token', () => {
  test('is refused in each of its kinds, for its own reason', () => {
    const all = forgeries()
    expect(all.length).toBeGreaterThan(60)
    const verdicts = all.map(([name, token]) => [name, verifier().verify(token)])
    expect(verdicts).toEqual(all.map(([name, , fault]) => [name, { fault }]))
  })

  test('signed with the public key as a secret is refused where the public key verifies', () => {
    const confused = tokenOf(good(), hmacSigner(pem(pairs.RS256)))
    expect(verifierOf(pairs.RS256).verify(confused)).toEqual({ fault: 'unknown_key' })
  })

  test('of an algorithm that is not allowed is refused although its key is there', () => {
    const strict = verifier({ keys: publicKeys(pem(pairs.RS256)), algorithms: ['ES256'] })
    expect(strict.verify(tokenOf(good(), pairs.RS256))).toEqual({ fault: 'algorithm' })
  })

  test('with an ES256 signature in DER is refused', () => {
    const der = {
      ...pairs.ES256,
      sign: (signed: string) => sign('sha256', Buffer.from(signed), pairs.ES256.privateKey),
    }
    expect(verifierOf(pairs.ES256).verify(tokenOf(good(), der))).toEqual({ fault: 'signature' })
  })

  test('with an ES256 signature of nothing but zeros is refused', () => {
    const zeros = { ...pairs.ES256, sign: () => Buffer.alloc(64) }
    expect(verifierOf(pairs.ES256).verify(tokenOf(good(), zeros))).toEqual({ fault: 'signature' })
  })

  test('is refused under another key of the same kind', () => {
    expect(verifierOf(keyPair('EdDSA')).verify(tokenOf(good(), pairs.EdDSA))).toEqual({ fault: 'signature' })
  })
})

describe('what was verified', () => {
  test('is not taken for a token that differs in one bit', () => {
    const one = verifier()
    const token = tokenOf(good())
    one.verify(token)
    const other = withCharacter(token, token.length - 3, token.at(-3) === 'A' ? 'B' : 'A')
    expect(one.verify(other)).toEqual({ fault: 'signature' })
  })

  test('ends with the token, to the millisecond', async () => {
    const time = new FakeClock()
    const one = verifier({ time })
    const token = tokenOf(goodClaims(NOW, { exp: NOW + 60 }))
    one.verify(token)
    await time.advance(90_000 - 1)
    expect(one.verify(token)).toHaveProperty('identity')
    await time.advance(1)
    expect(one.verify(token)).toEqual({ fault: 'expired' })
  })

  test('is verified once, however often it comes', () => {
    let verifications = 0
    const keys = fixedKeys([secretKey(SECRET)])
    const candidates: KeySource['candidates'] = (...wanted) => {
      verifications += 1
      return keys.candidates(...wanted)
    }
    const one = verifier({ source: { generation: 1, candidates, lookAgain: () => undefined } })
    const token = tokenOf(good())
    for (let time = 0; time < 4; time += 1) expect(one.verify(token)).toHaveProperty('identity')
    expect(verifications).toBe(1)
  })

  test('is verified again once keys have changed', () => {
    let keys = [secretKey(SECRET)]
    let generation = 1
    const source: KeySource = {
      get generation() {
        return generation
      },
      candidates: (algorithm, keyId) => fixedKeys(keys).candidates(algorithm, keyId),
      lookAgain: () => undefined,
    }
    const one = verifier({ source })
    const token = tokenOf(good())
    expect(one.verify(token)).toHaveProperty('identity')
    keys = []
    generation = 2
    expect(one.verify(token)).toEqual({ fault: 'unknown_key' })
  })
})

describe('a user id made from any subject', () => {
  test.each([
    ['ann', 'ann'],
    ['auth0|7', 'auth0_7C7'],
    ['a_b', 'a_5Fb'],
    ['é', '0__C3_A9'],
    ['|x', '0__7Cx'],
    ['.x', '0__2Ex'],
  ])('of %s is %s', (subject, userId) => {
    expect(escapedUserId(subject)).toBe(userId)
    expect(subjectOf(userId)).toBe(subject)
  })

  test('is a user id, and no two subjects have the same', () => {
    const subject = fc.oneof(
      fc.string({ minLength: 1, maxLength: 8, unit: fc.constantFrom('_', '0', '5', 'F', '7', 'C', 'a', '|', '.') }),
      fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' }),
    )
    fc.assert(
      fc.property(fc.uniqueArray(subject, { minLength: 2, maxLength: 200 }), (subjects) => {
        const ids = subjects.map(escapedUserId)
        expect(ids.map(subjectOf)).toEqual(subjects.map((one) => one.toWellFormed()))
        for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9][A-Za-z0-9._@+-]*$/)
        expect(new Set(ids).size).toBe(subjects.length)
      }),
      { seed: 18, numRuns: 500 },
    )
  })

  test.each(['a_b', '_7Cx', 'a_7c', 'a_41', 'a_FF', '0__41', 'a_'])('%s comes of none', (userId) => {
    expect(subjectOf(userId)).toBeUndefined()
  })

  test('of a token that is made here is the one that was asked for', () => {
    const rules = { userClaim: 'sub', issuer: ISSUER, audience: AUDIENCE, maxLifetimeSeconds: 60 }
    const signer = () => secretKey(SECRET)
    const escaping = verifier({ escapesUser: true })
    const issuer = new TokenIssuer({ ...rules, signer, escapesUser: true, time: new FakeClock(NOW * 1000) })
    const { token, expiresAtMs } = issuer.issue('auth0_7C7', 600)
    expect(escaping.verify(token)).toMatchObject({ identity: { userId: 'auth0_7C7' } })
    expect([issuer.canName('auth0_7C7'), issuer.canName('a_b')]).toEqual([true, false])
    // Longer than any may live: the verifier would refuse it.
    expect(expiresAtMs).toBe((NOW + 60) * 1000)
  })

  test('is made by the verifier when asked for, and never of a lone surrogate', () => {
    const escaping = verifier({ escapesUser: true })
    expect(escaping.verify(tokenOf(good({ sub: 'auth0|7' })))).toMatchObject({ identity: { userId: 'auth0_7C7' } })
    expect(escaping.verify(tokenOf(good({ sub: '\ud800' })))).toEqual({ fault: 'subject' })
  })
})

describe('a key', () => {
  test.each<[string, () => unknown, string]>([
    ['a secret of 31 bytes', () => secretKey('s'.repeat(31)), 'has fewer than 32 bytes'],
    ['an RSA key of 1,024 bits', () => publicKeys(pem(rsaPair(1024))), 'fewer than 2048 bits'],
    [
      'a private key',
      () => publicKeys(pairs.RS256.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()),
      'private',
    ],
    ['a private JWK', () => jwkKey(pairs.EdDSA.privateKey.export({ format: 'jwk' })), 'private'],
    ['a symmetric JWK', () => jwkKey({ kty: 'oct', k: base64url(SECRET) }), 'secret'],
    ['one for encryption', () => jwkKey({ ...jwk(), use: 'enc' }), 'not for signatures'],
    ['one for signing alone', () => jwkKey({ ...jwk(), key_ops: ['sign'] }), 'not for verifying'],
    ['one of another algorithm', () => jwkKey({ ...jwk(), alg: 'RS512' }), 'another algorithm'],
    ['no key at all', () => publicKeys('hello'), 'no public key'],
  ])('is refused when it is %s', (_, make, why) => {
    expect(make).toThrow(KeyError)
    expect(make).toThrow(why)
  })

  test('of a JWK set may lack use and alg', () => {
    const { use: _use, alg: _alg, ...bare } = jwk()
    expect(publicKeys(JSON.stringify({ keys: [bare] }))).toMatchObject([{ algorithm: 'RS256' }])
  })

  test('list may mix PEM blocks of several kinds', () => {
    const text = [pairs.RS256, pairs.ES256, pairs.EdDSA].map(pem).join('\n')
    expect(publicKeys(text).map(({ algorithm }) => algorithm)).toEqual(['RS256', 'ES256', 'EdDSA'])
  })

  const jwk = () => ({ ...pairs.RS256.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'one' })
})
