import type { Actor } from '../accounts/audit.ts'
import type { Authenticator } from '../auth/authenticator.ts'
import type { RevocationTarget } from '../auth/revocation-store.ts'
import type { Revocations } from '../auth/revocations.ts'
import { revokeServiceKey, type ServiceKeyStore } from '../auth/service-key.ts'
import { issueTicket, TICKET_SECONDS, type TicketStore } from '../auth/tickets.ts'
import type { TokenIssuer } from '../auth/token-issuer.ts'
import type { UserId } from '../protocol/message.ts'
import type { Credential } from './credential.ts'
import { parseBody, parseNoFields } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import * as wire from './wire/identity.ts'

/** What the routes below `/api/auth/` act on; there are none under `AUTH=none`. */
export interface AuthServices {
  readonly authenticator: Authenticator
  readonly revocations: Revocations
  readonly tickets: TicketStore
  readonly serviceKeys: ServiceKeyStore
  /** None without a secret that signs. */
  readonly issuer: TokenIssuer | undefined
  /**
   * When a token for this user is issued: the second, by the database's clock, from which no revocation refuses it. Undefined
   * where there are accounts and this person has none that is active; elsewhere the issuer alone knows who there is. With accounts
   * the audit notes who asked, and for how long.
   */
  readonly issuedAt: (userId: UserId, by: Actor, seconds: number | undefined) => Promise<number | undefined>
}

/** `POST /api/auth/ticket`: a person with a token gets what opens one socket, for where a token cannot be sent. */
export async function ticketRoute(
  request: RestRequest,
  { tickets }: AuthServices,
  credential: Credential,
): Promise<RestAnswer> {
  if (credential.kind !== 'person') throw new RequestError('forbidden')
  parseNoFields(request)
  const ticket = await issueTicket(tickets, credential.identity)
  return jsonAnswer(200, { ticket, expires_in: TICKET_SECONDS })
}

/** `POST /api/auth/tokens`: for backends that want no token library. */
export async function tokensRoute(
  request: RestRequest,
  { issuer, issuedAt }: AuthServices,
  credential: Credential,
): Promise<RestAnswer> {
  if (!issuer) throw new RequestError('not_found')
  if (credential.kind !== 'key') throw new RequestError('forbidden')
  const { user_id, expires_in } = parseBody(wire.tokenBody, request)
  if (expires_in !== undefined && expires_in > issuer.maxLifetimeSeconds) {
    const message = `expires_in may be ${issuer.maxLifetimeSeconds} at most.`
    throw new RequestError('invalid_request', { message, field: 'expires_in' })
  }
  if (!issuer.canName(user_id)) {
    const message = 'user_id must come of a subject: JWT_USER_ESCAPE is on, and no subject becomes this id.'
    throw new RequestError('invalid_request', { message, field: 'user_id' })
  }
  const { requestId } = request
  const by = { kind: 'key', id: credential.key.keyId, address: request.address(), requestId } as const
  const issuedAtSeconds = await issuedAt(user_id, by, expires_in)
  if (issuedAtSeconds === undefined) throw new RequestError('not_found', { field: 'user_id' })
  const { token, expiresAtMs } = issuer.issue(user_id, expires_in, { issuedAtSeconds })
  return jsonAnswer(200, { token, expires_at: new Date(expiresAtMs).toISOString() })
}

/** `POST /api/auth/revoke`: answered once it is durable and holds here; on every other instance within two seconds. */
export async function revokeRoute(
  request: RestRequest,
  { revocations, serviceKeys }: AuthServices,
  credential: Credential,
): Promise<RestAnswer> {
  const target = targetOf(parseBody(wire.revokeBody, request))
  const by = { actor: nameOf(credential), address: request.address(), requestId: request.requestId }
  const refuse = (one: RevocationTarget): Promise<void> => revocations.revoke(one, by)
  if (!('key_id' in target)) await refuse(target)
  else if (!(await revokeServiceKey(target.key_id, serviceKeys, refuse))) {
    throw new RequestError('not_found', { message: 'There is no such key that is not revoked.', field: 'key_id' })
  }
  return { status: 204, body: '', headers: {} }
}

/** As `revocations` and the audit name them. */
function nameOf(credential: Credential): string {
  if (credential.kind === 'key') return `key ${credential.key.keyId}`
  return credential.kind === 'person' ? credential.identity.userId : credential.kind
}

function targetOf(body: Readonly<Record<string, string | undefined>>): RevocationTarget {
  const { user_id, session_id, jti, key_id } = body
  const targets = [
    ...(user_id === undefined ? [] : [{ user_id }]),
    ...(session_id === undefined ? [] : [{ session_id }]),
    ...(jti === undefined ? [] : [{ jti }]),
    ...(key_id === undefined ? [] : [{ key_id }]),
  ]
  const [target, ...more] = targets
  if (target && more.length === 0) return target
  throw new RequestError('invalid_request', { message: 'Name one of user_id, session_id, jti and key_id.' })
}
