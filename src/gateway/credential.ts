import { type Authenticator, type Verification, verified } from '../auth/authenticator.ts'
import type { TokenIdentity } from '../auth/claims.ts'
import { type Claim, claimedIdentity } from '../auth/identity.ts'
import { isServiceKey, type Scope, type ServiceKey } from '../auth/service-key.ts'
import type { UserId } from '../protocol/message.ts'
import type { Guard } from './guard.ts'
import { refused } from './request.ts'
import { RequestError, type RestRequest } from './rest-exchange.ts'
import { wrongField } from './wire/faults.ts'
import { USER_ID } from './wire/fields.ts'

/** What a request proved. `claimed`: nothing, under `AUTH=none`, where everybody is believed. */
export type Credential =
  | { readonly kind: 'claimed' }
  | { readonly kind: 'person'; readonly identity: TokenIdentity }
  | { readonly kind: 'key'; readonly key: ServiceKey }

/** The callers that may use a route. */
export type Access =
  /** Every client that reaches the port. */
  | { readonly who: 'anyone' }
  /** A person for themselves, or a key with this scope; without a scope no key. */
  | { readonly who: 'person'; readonly scope?: Scope }
  /** A key with this scope alone, or one with `admin` where the route says so. */
  | { readonly who: 'key'; readonly scope: Scope }
  /** A person whose account is an administrator's, which the route looks up, or a key with this scope. */
  | { readonly who: 'admin'; readonly scope: Scope }

const CLAIMED: Credential = { kind: 'claimed' }

/** One answer for every fault of a credential: a forger learns nothing from it. */
export function unauthorized(): RequestError {
  return new RequestError('unauthorized')
}

/** What is answered to a request that was refused: whoever sends one wrong credential after another is told to wait. */
export function slowedDown(
  error: RequestError,
  { headers, address }: Pick<RestRequest, 'headers' | 'address'>,
  guard: Pick<Guard, 'credentialRefused'>,
): RequestError {
  // Without a credential nothing was guessed.
  if (error.code !== 'unauthorized' || !headers.has('authorization')) return error
  const retryAfterMs = guard.credentialRefused(address())
  return retryAfterMs > 0 ? new RequestError('rate_limited', { retryAfterMs }) : error
}

/**
 * What the bearer of a request proves. Throws, or rejects with, a RequestError. It is a promise only where a service key or an
 * unknown key id has to be looked up. Under `AUTH=none` (no authenticator) the header is not looked at.
 */
export function credentialOf(
  { headers }: Pick<RestRequest, 'headers'>,
  authenticator: Authenticator | undefined,
): Credential | Promise<Credential> {
  if (!authenticator) return CLAIMED
  const [, bearer] = /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '') ?? []
  if (bearer === undefined) throw unauthorized()
  return isServiceKey(bearer) ? keyCredential(bearer, authenticator) : personCredential(bearer, authenticator)
}

function personCredential(token: string, authenticator: Authenticator): Credential | Promise<Credential> {
  const verification = verified(authenticator, token)
  return verification instanceof Promise ? verification.then(personIn) : personIn(verification)
}

function personIn(verification: Verification): Credential {
  if ('identity' in verification) return { kind: 'person', identity: verification.identity }
  throw refusal(verification.fault)
}

async function keyCredential(text: string, authenticator: Authenticator): Promise<Credential> {
  const verified = await authenticator.verifyKey(text)
  if ('key' in verified) return { kind: 'key', key: verified.key }
  throw refusal(verified.fault)
}

function refusal(fault: string): RequestError {
  return fault === 'unavailable' ? new RequestError('unavailable') : unauthorized()
}

/** Throws a RequestError when a credential does not open a route. */
export function assertAccess(credential: Credential, access: Access): void {
  if (access.who === 'anyone') return
  if (credential.kind === 'key') {
    if (access.scope === undefined || !hasScope(credential.key, access.scope)) throw new RequestError('forbidden')
  } else if (access.who === 'key' && credential.kind === 'person') {
    throw new RequestError('forbidden')
  }
}

export function hasScope({ scopes }: ServiceKey, scope: Scope): boolean {
  return scopes.includes(scope)
}

/** Names in a request that say for whom it is, in falling order of weight; `undefined` where the request says nothing. */
export interface NamedUsers {
  readonly user_id?: string | undefined
  readonly sender_id?: string | undefined
}

/**
 * The user that a request is for. A person may name themselves or leave it out; a key has to name a user, so that a forgotten field is no
 * message in the wrong name; under `AUTH=none` the first name counts.
 */
export function userOf(credential: Credential, { headers }: Pick<RestRequest, 'headers'>, named: NamedUsers): UserId {
  const claims = [
    { field: 'user_id', value: named.user_id },
    { field: 'X-User-Id', value: headers.get('x-user-id') },
    { field: 'sender_id', value: named.sender_id },
  ]
  if (credential.kind === 'person') return ownName(credential.identity.userId, claims)
  const given = claims.find(({ value }) => value !== undefined)
  if (credential.kind === 'key' && given === undefined) {
    const field = 'sender_id' in named ? 'sender_id' : 'user_id'
    throw new RequestError('invalid_request', { message: `${field} is required with a service key.`, field })
  }
  const identity = claimedIdentity(claims)
  if ('userId' in identity) return identity.userId
  throw refused(wrongField(identity.wrong, USER_ID))
}

/**
 * Throws where a person's request names somebody else in its query or a header, whatever the route makes of these. It is asked
 * before the route, so that none can forget it; names in a body are the route's.
 */
export function assertOwnNames(
  credential: Credential,
  { query, headers }: Pick<RestRequest, 'query' | 'headers'>,
): void {
  if (credential.kind !== 'person') return
  const named = query === '' ? [] : new URLSearchParams(query).getAll('user_id')
  ownName(credential.identity.userId, [
    ...named.map((value) => ({ field: 'user_id', value })),
    { field: 'X-User-Id', value: headers.get('x-user-id') },
  ])
}

function ownName(userId: UserId, claims: readonly Claim[]): UserId {
  const foreign = claims.find(({ value }) => value !== undefined && value !== userId)
  if (foreign) throw new RequestError('forbidden', { field: foreign.field })
  return userId
}
