import { z } from 'zod'
import { REGISTRATIONS, type RegistrationMode } from '../accounts/sign-in.ts'
import { ALGORITHMS, type Algorithm } from '../auth/token.ts'
import { publicKeys, secretKey, type VerificationKey } from '../auth/verification-key.ts'
import { reasonOf } from '../lib/errors.ts'
import { isLoopback } from '../lib/loopback.ts'
import { oneOf, optional, variable, wholeNumber } from './kinds.ts'

type Texts = Readonly<Record<string, string | undefined>>

const secret = z.string()
/** What a header can hold behind the word `Bearer`, and a scraper sends as it is written. */
const BEARER = /^[!-~]{16,}$/
const aSecret = { expects: 'a text of 32 bytes or more' }

const LONGEST_LIFE_SECONDS = 31_536_000
const MOST_LEEWAY_SECONDS = 300
/** So long a token can be good under any configuration. */
export const LONGEST_GOOD_SECONDS = LONGEST_LIFE_SECONDS + MOST_LEEWAY_SECONDS

/** What the tokens of the operator's own issuer look like. */
export const authVariables = {
  AUTH: oneOf(
    ['none', 'jwt', 'accounts'],
    'none',
    'who is asking: `none` believes everybody, and on a `HOST` that is not loopback must be set explicitly; `jwt` verifies tokens; `accounts`: people register and sign in here',
  ),
  REGISTRATION: oneOf(
    REGISTRATIONS,
    'invite',
    'with `AUTH=accounts`, who may make an account: whoever has an invite, everybody, or nobody',
  ),
  JWT_SECRET: optional(secret, 'none', {
    ...aSecret,
    meaning: 'verifies HS256 tokens, and signs those of `POST /api/auth/tokens`',
  }),
  JWT_SECRET_PREVIOUS: optional(secret, 'none', {
    ...aSecret,
    meaning: 'still verifies tokens while the secret is changed',
  }),
  JWT_PUBLIC_KEY: optional(z.string(), 'none', {
    expects: 'one or more public keys as PEM, a JWK or a JWK set (RSA of 2048 bits, EC P-256, Ed25519)',
    meaning: 'verifies RS256, ES256 and EdDSA tokens; `\\n` in it is a line end',
  }),
  JWT_JWKS_URL: optional(z.string().refine(isKeySetUrl), 'none', {
    expects: 'an https:// address, or an http:// address of this machine',
    meaning: 'key set of the issuer; needs `JWT_ISSUER` and `JWT_AUDIENCE`',
  }),
  JWT_ALGORITHMS: optional(
    z
      .string()
      .transform((text) => text.split(',').map((one) => one.trim()))
      .pipe(z.array(z.enum(ALGORITHMS))),
    'what the keys can do',
    { expects: `a list of ${ALGORITHMS.join(', ')}`, meaning: 'accepted algorithms' },
  ),
  JWT_ISSUER: optional(z.string(), 'none: not checked', { expects: 'text', meaning: 'exact `iss` of a token' }),
  JWT_AUDIENCE: optional(z.string(), 'none: not checked', { expects: 'text', meaning: 'must be in `aud` of a token' }),
  JWT_USER_CLAIM: variable(z.string(), 'sub', {
    expects: 'the name of a claim',
    meaning: 'claim that holds the user id',
  }),
  JWT_USER_ESCAPE: oneOf(
    ['off', 'on'],
    'off',
    '`on` turns subjects such as `auth0|7` into user ids (`auth0_7C7`), a different one for each',
  ),
  JWT_LEEWAY_SECONDS: wholeNumber(0, MOST_LEEWAY_SECONDS, 30, 'how far the clocks of issuer and database may differ'),
  JWT_MAX_LIFETIME_SECONDS: wholeNumber(60, LONGEST_LIFE_SECONDS, 86_400, 'longest life of a token'),
  USER_SEARCH: oneOf(['off', 'on'], 'off', 'with `AUTH=jwt`: whether people may search the directory of people'),
  METRICS_TOKEN: optional(z.string().regex(BEARER), 'none: loopback alone', {
    expects: '16 or more ASCII characters, no blank among them',
    meaning: 'bearer that `/metrics` takes from other machines',
  }),
}

/** An issuer in the same network is usual; without TLS anybody between could give keys of their own. */
function isKeySetUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username } = new URL(text)
  if (username !== '') return false
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, '')))
}

const SYMMETRIC = ['JWT_SECRET', 'JWT_SECRET_PREVIOUS']
const SOURCES = ['JWT_SECRET', 'JWT_PUBLIC_KEY', 'JWT_JWKS_URL']

/** What would be unsafe or could never work, each with the name of the variable; no text of a secret. */
export function authMistakes(given: Texts): string[] {
  if (given['AUTH'] === undefined) return unsaidMistakes(given)
  if (given['AUTH'] !== 'jwt') return []
  const sources = SOURCES.filter((name) => given[name] !== undefined)
  return [
    ...(sources.length === 0 ? [`JWT_SECRET: is missing; AUTH=jwt needs one of ${SOURCES.join(', ')}`] : []),
    // With both, a token signed with the public key as a secret is one mistake away from being good.
    ...(sources.length > 1 ? [`${sources[1]}: cannot be set beside ${sources[0]}; AUTH=jwt takes one of them`] : []),
    ...(given['JWT_SECRET_PREVIOUS'] !== undefined && given['JWT_SECRET'] === undefined
      ? ['JWT_SECRET: is missing beside JWT_SECRET_PREVIOUS']
      : []),
    ...SYMMETRIC.flatMap((name) => keyMistake(name, given[name], secretKey)),
    ...keyMistake('JWT_PUBLIC_KEY', given['JWT_PUBLIC_KEY'], (text) => publicKeys(unescaped(text))),
    ...(given['JWT_JWKS_URL'] === undefined
      ? []
      : ['JWT_ISSUER', 'JWT_AUDIENCE']
          .filter((name) => given[name] === undefined)
          .map(
            (name) => `${name}: is missing beside JWT_JWKS_URL; without it any token of that issuer would be good here`,
          )),
    ...algorithmMistakes(given),
  ]
}

/** Whoever says how people prove who they are does not mean that everybody is believed. */
function unsaidMistakes(given: Texts): string[] {
  const [said] = [...SOURCES, 'JWT_SECRET_PREVIOUS', 'REGISTRATION'].filter((name) => given[name] !== undefined)
  if (said === undefined) return []
  const meant = said === 'REGISTRATION' ? 'accounts' : 'jwt'
  return [`AUTH: is missing beside ${said}; say AUTH=${meant}, or AUTH=none to believe everybody`]
}

function keyMistake(name: string, text: string | undefined, read: (text: string) => unknown): string[] {
  if (text === undefined) return []
  try {
    read(text)
    return []
  } catch (error) {
    return [`${name}: ${reasonOf(error)}`]
  }
}

function algorithmMistakes(given: Texts): string[] {
  const named = given['JWT_ALGORITHMS']?.split(',').map((one) => one.trim())
  if (!named) return []
  const isSymmetric = given['JWT_SECRET'] !== undefined
  const wrong = named.filter((one) => ALGORITHMS.some((known) => known === one) && (one === 'HS256') !== isSymmetric)
  if (wrong.length === 0) return unkeyedMistakes(named, given['JWT_PUBLIC_KEY'])
  const source = SOURCES.find((name) => given[name] !== undefined) ?? 'JWT_SECRET'
  return [`JWT_ALGORITHMS: ${wrong.join(', ')} cannot be verified with ${source}`]
}

/** Where no key has any of the algorithms every token would be refused. */
function unkeyedMistakes(named: readonly string[], text: string | undefined): string[] {
  if (text === undefined || keyMistake('JWT_PUBLIC_KEY', text, (one) => publicKeys(unescaped(one))).length > 0)
    return []
  const possible = publicKeys(unescaped(text)).map(({ algorithm }) => algorithm)
  if (possible.some((one) => named.includes(one))) return []
  return [
    `JWT_ALGORITHMS: ${named.join(', ')} cannot be verified with JWT_PUBLIC_KEY, which is for ${possible.join(', ')}`,
  ]
}

const OF_ISSUERS = [
  ...[...SOURCES, 'JWT_SECRET_PREVIOUS', 'JWT_ALGORITHMS', 'JWT_ISSUER', 'JWT_AUDIENCE'],
  ...['JWT_USER_CLAIM', 'JWT_USER_ESCAPE', 'USER_SEARCH'],
]
const OF_TOKENS = ['JWT_LEEWAY_SECONDS', 'JWT_MAX_LIFETIME_SECONDS']

/** What is set and changes nothing under this AUTH, by which somebody may think that it does. */
export function unusedAuthVariables(given: Texts): string[] {
  const { AUTH = 'none' } = given
  const unused = [
    ...(AUTH === 'jwt' ? [] : OF_ISSUERS),
    ...(AUTH === 'none' ? OF_TOKENS : []),
    ...(AUTH === 'accounts' ? [] : ['REGISTRATION']),
  ]
  return unused.filter((name) => given[name] !== undefined)
}

/** A PEM in one line of an environment file. */
function unescaped(text: string): string {
  return text.replaceAll('\\n', '\n')
}

export interface TokenConfig {
  /** Empty with a key set. */
  readonly keys: readonly VerificationKey[]
  readonly keySetUrl: string | undefined
  readonly algorithms: readonly Algorithm[]
  readonly issuer: string | undefined
  readonly audience: string | undefined
  readonly userClaim: string
  readonly escapesUser: boolean
  readonly leewaySeconds: number
  readonly maxLifetimeSeconds: number
}

/** `none`, how tokens of somebody else are verified, or how people sign in here. */
export type AuthConfig = {
  /** Whether people may search the directory of people; a key with `read:any` always may. */
  readonly hasUserSearch: boolean
} & (
  | { readonly mode: 'none' }
  | ({ readonly mode: 'jwt' } & TokenConfig)
  | ({ readonly mode: 'accounts' } & AccountsConfig)
)

export type AccountsConfig = Pick<TokenConfig, 'leewaySeconds' | 'maxLifetimeSeconds'> & {
  readonly registration: RegistrationMode
}

const authShape = z.object(authVariables)

export function toAuthConfig(given: z.infer<typeof authShape>): AuthConfig {
  if (given.AUTH === 'none') return Object.freeze({ mode: 'none', hasUserSearch: true })
  if (given.AUTH === 'accounts') {
    return Object.freeze({
      mode: 'accounts',
      registration: given.REGISTRATION,
      leewaySeconds: given.JWT_LEEWAY_SECONDS,
      maxLifetimeSeconds: given.JWT_MAX_LIFETIME_SECONDS,
      hasUserSearch: true,
    })
  }
  const secrets = [given.JWT_SECRET, given.JWT_SECRET_PREVIOUS].filter((one) => one !== undefined)
  const keys = given.JWT_PUBLIC_KEY === undefined ? secrets.map(secretKey) : publicKeys(unescaped(given.JWT_PUBLIC_KEY))
  const possible = secrets.length > 0 ? (['HS256'] as const) : (['RS256', 'ES256', 'EdDSA'] as const)
  return Object.freeze({
    mode: 'jwt',
    keys: Object.freeze(keys),
    keySetUrl: given.JWT_JWKS_URL,
    algorithms: Object.freeze(given.JWT_ALGORITHMS ?? possible),
    issuer: given.JWT_ISSUER,
    audience: given.JWT_AUDIENCE,
    userClaim: given.JWT_USER_CLAIM,
    escapesUser: given.JWT_USER_ESCAPE === 'on',
    leewaySeconds: given.JWT_LEEWAY_SECONDS,
    maxLifetimeSeconds: given.JWT_MAX_LIFETIME_SECONDS,
    hasUserSearch: given.USER_SEARCH === 'on',
  })
}

/** Texts that must not stand in the log. */
export function authSecrets(given: z.infer<typeof authShape>): string[] {
  return [given.JWT_SECRET, given.JWT_SECRET_PREVIOUS, given.METRICS_TOKEN].filter((one) => one !== undefined)
}
