import type { Asker } from '../accounts/asker.ts'
import type { TokenIdentity } from '../auth/claims.ts'
import { type AccountServices, askerOf, DONE, tokenToWire } from './account-routes.ts'
import type { AuthServices } from './auth-routes.ts'
import { cookieToForget, ownSessionCookie } from './cookies.ts'
import { assertOwnNames, type Credential, credentialOf, unauthorized } from './credential.ts'
import { parseBody, parseNoFields } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import * as wire from './wire/accounts.ts'

/** `POST /api/auth/token`: the page's cookie for an access token. */
export async function cookieTokenRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const cookie = ownSessionCookie(request, services.address)
  parseNoFields(request)
  if (cookie === undefined) throw unauthorized()
  return jsonAnswer(200, tokenToWire(await services.sessions.tokenByCookie(cookie, askerOf(request, services))))
}

/** `POST /api/auth/refresh`: a program's refresh token for an access token and the next refresh token. */
export async function refreshRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const { refresh_token, attempt } = parseBody(wire.refreshBody, request)
  const renewed = await services.sessions.refresh(refresh_token, attempt.toLowerCase(), askerOf(request, services))
  return jsonAnswer(200, { ...tokenToWire(renewed), refresh_token: renewed.refreshToken })
}

interface OwnSession {
  readonly userId: string
  readonly sessionId: string | undefined
}

/** The session that a request ends: the bearer's, else the cookie's, where a page of the own origin sends it. */
async function sessionOf(
  request: RestRequest,
  asker: Asker,
  { accounts, auth }: { readonly accounts: AccountServices; readonly auth: AuthServices },
): Promise<OwnSession> {
  if (request.headers.has('authorization')) {
    const credential = await credentialOf(request, auth.authenticator)
    if (credential.kind !== 'person') throw new RequestError('forbidden')
    assertOwnNames(credential, request)
    return credential.identity
  }
  const cookie = ownSessionCookie(request, accounts.address)
  if (cookie === undefined) throw unauthorized()
  return accounts.sessions.leaving(cookie, asker)
}

/** `POST /api/auth/logout` */
export async function logoutRoute(
  request: RestRequest,
  accounts: AccountServices,
  auth: AuthServices,
): Promise<RestAnswer> {
  const asker = askerOf(request, accounts)
  parseNoFields(request)
  const { userId, sessionId } = await sessionOf(request, asker, { accounts, auth })
  if (sessionId === undefined) throw new RequestError('forbidden', { message: 'This token belongs to no login.' })
  await accounts.sessions.end(userId, sessionId, 'logout', asker)
  return { ...DONE, cookies: [cookieToForget('session', accounts.address)] }
}

/** `POST /api/auth/logout_all` */
export async function logoutAllRoute(
  request: RestRequest,
  accounts: AccountServices,
  auth: AuthServices,
): Promise<RestAnswer> {
  const asker = askerOf(request, accounts)
  parseNoFields(request)
  const { userId } = await sessionOf(request, asker, { accounts, auth })
  await accounts.sessions.endAll(userId, asker)
  return { ...DONE, cookies: [cookieToForget('session', accounts.address)] }
}

/** `GET /api/auth/sessions` */
export async function sessionsRoute(
  _request: RestRequest,
  { sessions }: AccountServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { userId, sessionId } = personOf(credential)
  const open = await sessions.list(userId)
  return jsonAnswer(200, {
    sessions: open.map((session) => ({
      session_id: session.sessionId,
      device_name: session.deviceName ?? null,
      created_at: new Date(session.createdAtMs).toISOString(),
      last_used_at: new Date(session.lastUsedAtMs).toISOString(),
      current: session.sessionId === sessionId,
    })),
  })
}

/** `DELETE /api/auth/sessions/{session_id}` */
export async function endSessionRoute(
  request: RestRequest,
  services: AccountServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { userId } = personOf(credential)
  const sessionId = request.path.slice(request.path.lastIndexOf('/') + 1)
  const asker = askerOf(request, services)
  if (await services.sessions.end(userId, sessionId, 'session_end', asker)) return DONE
  throw new RequestError('not_found')
}

/** `POST /api/auth/password` */
export async function passwordRoute(
  request: RestRequest,
  services: AccountServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { userId, sessionId } = personOf(credential)
  const { current, new: next } = parseBody(wire.passwordBody, request)
  await services.changes.changePassword(userId, sessionId, { current, next }, askerOf(request, services))
  return DONE
}

/** `POST /api/users/me/recovery_codes` */
export async function recoveryCodesRoute(
  request: RestRequest,
  { sessions, changes, networks }: AccountServices,
  credential: Credential,
): Promise<RestAnswer> {
  const { userId, sessionId } = personOf(credential)
  const asker = askerOf(request, { networks })
  parseNoFields(request)
  await sessions.requireFresh(sessionId)
  return jsonAnswer(200, { recovery_codes: await changes.newRecoveryCodes(userId, asker) })
}

/** A person: no service key acts for somebody here. */
export function personOf(credential: Credential): TokenIdentity {
  if (credential.kind === 'person') return credential.identity
  throw new RequestError('forbidden')
}
