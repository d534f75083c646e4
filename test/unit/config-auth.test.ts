import { describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config.ts'
import { keyPair, SECRET } from '../support/tokens.ts'

function mistakesOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
}

const pem = keyPair('ES256').publicKey.export({ type: 'spki', format: 'pem' }).toString()
const unsafe = (env: Record<string, string>) => mistakesOf({ AUTH: 'jwt', ...env })

describe('AUTH=jwt', () => {
  test.each<[string, Record<string, string>]>([
    ['a secret', { JWT_SECRET: SECRET }],
    ['a secret and the one before', { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: `${SECRET} before` }],
    ['a public key', { JWT_PUBLIC_KEY: pem }],
    ['a public key in one line', { JWT_PUBLIC_KEY: pem.replaceAll('\n', '\\n') }],
    ['a key set', { JWT_JWKS_URL: 'https://id.example/keys', JWT_ISSUER: 'https://id.example', JWT_AUDIENCE: 'chat' }],
    ['a key set of this machine', { JWT_JWKS_URL: 'http://127.0.0.1:9/keys', JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' }],
    ['fewer algorithms', { JWT_PUBLIC_KEY: pem, JWT_ALGORITHMS: 'ES256, EdDSA' }],
  ])('takes %s', (_, env) => {
    expect(unsafe(env)).toEqual([])
  })

  test.each<[string, string, Record<string, string>]>([
    ['no key', 'JWT_SECRET: is missing; AUTH=jwt needs one of JWT_SECRET, JWT_PUBLIC_KEY, JWT_JWKS_URL', {}],
    ['a short secret', 'JWT_SECRET: has fewer than 32 bytes', { JWT_SECRET: 'short' }],
    [
      'a short previous secret',
      'JWT_SECRET_PREVIOUS: has fewer than 32 bytes',
      { JWT_SECRET: SECRET, JWT_SECRET_PREVIOUS: 'x' },
    ],
    [
      'a secret beside a public key',
      'JWT_PUBLIC_KEY: cannot be set beside JWT_SECRET; AUTH=jwt takes one of them',
      { JWT_SECRET: SECRET, JWT_PUBLIC_KEY: pem },
    ],
    ['a public key that is none', 'JWT_PUBLIC_KEY: holds no public key', { JWT_PUBLIC_KEY: 'x' }],
    [
      'a key set without an audience',
      'JWT_AUDIENCE: is missing beside JWT_JWKS_URL; without it any token of that issuer would be good here',
      { JWT_JWKS_URL: 'https://id.example/keys', JWT_ISSUER: 'https://id.example' },
    ],
    [
      'a key set without TLS elsewhere',
      'JWT_JWKS_URL: the value is not an https:// address, or an http:// address of this machine',
      { JWT_JWKS_URL: 'http://10.0.0.1/keys', JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' },
    ],
    [
      'a key set with a password in its address',
      'JWT_JWKS_URL: the value is not an https:// address, or an http:// address of this machine',
      { JWT_JWKS_URL: 'https://me:x@id.example/keys', JWT_ISSUER: 'i', JWT_AUDIENCE: 'a' },
    ],
    [
      'HS256 for a public key',
      'JWT_ALGORITHMS: HS256 cannot be verified with JWT_PUBLIC_KEY',
      { JWT_PUBLIC_KEY: pem, JWT_ALGORITHMS: 'HS256' },
    ],
    [
      'an algorithm of which no key is',
      'JWT_ALGORITHMS: EdDSA, RS256 cannot be verified with JWT_PUBLIC_KEY, which is for ES256',
      { JWT_PUBLIC_KEY: pem, JWT_ALGORITHMS: 'EdDSA, RS256' },
    ],
    [
      'RS256 for a secret',
      'JWT_ALGORITHMS: RS256 cannot be verified with JWT_SECRET',
      { JWT_SECRET: SECRET, JWT_ALGORITHMS: 'HS256,RS256' },
    ],
    [
      'an algorithm that there is not',
      'JWT_ALGORITHMS: "none" is not a list of HS256, RS256, ES256, EdDSA',
      { JWT_SECRET: SECRET, JWT_ALGORITHMS: 'none' },
    ],
  ])('refuses %s, by the name of the variable', (_, mistake, env) => {
    expect(unsafe(env)).toContain(mistake)
  })

  test('never shows a secret in a mistake', () => {
    const env = { JWT_SECRET: 'canary-secret', JWT_SECRET_PREVIOUS: 'canary-before', METRICS_TOKEN: 'canary' }
    expect(mistakesOf({ AUTH: 'jwt', ...env }).join('\n')).not.toContain('canary')
  })

  test.each([
    'a token of sixteen characters',
    'sixteen-character\tstoken',
    'fünfzehn-und-noch-eins',
    'fifteen-in-all-',
  ])('refuses a token for metrics that no scraper can send: %j', (METRICS_TOKEN) => {
    expect(mistakesOf({ METRICS_TOKEN })[0]).toMatch(/^METRICS_TOKEN: /)
    expect(mistakesOf({ METRICS_TOKEN: `${METRICS_TOKEN.replaceAll(/[^!-~]/g, '-')}-` })).toEqual([])
  })

  test('is not looked at while nobody is asked for a token, and stops a start that does not say so', () => {
    expect(mistakesOf({ AUTH: 'none', JWT_SECRET: 'short' })).toEqual([])
    for (const [name, text, meant] of [
      ['JWT_SECRET', SECRET, 'jwt'],
      ['JWT_PUBLIC_KEY', pem, 'jwt'],
      ['JWT_JWKS_URL', 'https://id.example/keys', 'jwt'],
      ['REGISTRATION', 'open', 'accounts'],
    ] as const) {
      expect(mistakesOf({ [name]: text })).toEqual([
        `AUTH: is missing beside ${name}; say AUTH=${meant}, or AUTH=none to believe everybody`,
      ])
    }
    expect(loadConfig({}).auth).toEqual({ mode: 'none', hasUserSearch: true })
  })
})

test('what is set and not used is named', () => {
  const unused = (env: Record<string, string>) => loadConfig(env).unused
  const tokens = { JWT_SECRET: SECRET, JWT_ISSUER: 'i', JWT_LEEWAY_SECONDS: '5' }
  expect(unused({ AUTH: 'accounts', ...tokens, USER_SEARCH: 'on', REGISTRATION: 'open' })).toEqual([
    'JWT_SECRET',
    'JWT_ISSUER',
    'USER_SEARCH',
  ])
  expect(unused({ AUTH: 'jwt', ...tokens, REGISTRATION: 'open' })).toEqual(['REGISTRATION'])
  expect(unused({ AUTH: 'none', ...tokens })).toEqual(['JWT_SECRET', 'JWT_ISSUER', 'JWT_LEEWAY_SECONDS'])
  expect(unused({})).toEqual([])
})

test('every secret of it is kept from the log', () => {
  const secrets = {
    JWT_SECRET: 'a secret of thirty-two bytes or more',
    JWT_SECRET_PREVIOUS: 'the secret before, as long as it is',
    METRICS_TOKEN: 'a-token-for-the-metrics',
  }
  expect(loadConfig({ AUTH: 'jwt', ...secrets }).log.secrets).toEqual(Object.values(secrets))
})
