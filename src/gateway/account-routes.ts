import type { Account } from '../accounts/account.ts'
import type { Administration } from '../accounts/administration.ts'
import type { Asker } from '../accounts/asker.ts'
import type { CredentialChanges } from '../accounts/credential-changes.ts'
import type { IssuedToken, OpenSessions } from '../accounts/open-sessions.ts'
import type { Profiles } from '../accounts/profiles.ts'
import type { Client, SignedIn, SignIn } from '../accounts/sign-in.ts'
import { cookieIn, cookieToSet, isOwnPage } from './cookies.ts'
import type { NetworkCount } from './network-count.ts'
import type { PublicAddress } from './public-address.ts'
import { parseBody } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import * as wire from './wire/accounts.ts'

/** What the routes of the built-in accounts act on. */
export interface AccountServices {
  readonly signIn: SignIn
  readonly sessions: OpenSessions
  readonly changes: CredentialChanges
  readonly profiles: Profiles
  readonly administration: Administration
  readonly address: PublicAddress
  readonly networks: NetworkCount
}

/** Where a request comes from; to be asked before the first wait. */
export function askerOf(request: RestRequest, { networks }: Pick<AccountServices, 'networks'>): Asker {
  return {
    address: request.address(),
    isNetworkShared: networks.isShared(request),
    userAgent: request.headers.get('user-agent'),
    requestId: request.requestId,
  }
}

/** `POST /api/auth/register` */
export async function registerRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const { username, password, display_name, invite, ...body } = parseBody(wire.registerBody, request)
  const client = clientOf(body, request, services)
  const given = { username, password, displayName: display_name, code: invite }
  return signedInAnswer(201, await services.signIn.register(given, client, askerOf(request, services)), services)
}

/** `POST /api/auth/login` */
export async function loginRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const { username, password, ...body } = parseBody(wire.loginBody, request)
  const client = clientOf(body, request, services)
  return signedInAnswer(
    200,
    await services.signIn.login({ username, password }, client, askerOf(request, services)),
    services,
  )
}

function clientOf(
  body: {
    client?: 'cookie' | 'token' | undefined
    device_name?: string | undefined
    device_token?: string | undefined
  },
  request: RestRequest,
  { address }: AccountServices,
): Client {
  const { client: kind = 'cookie', device_name, device_token } = body
  const isBrowser = request.headers.has('sec-fetch-site') || request.headers.has('origin')
  // Else another page could sign somebody in as whom it likes, and read what they then write.
  if (kind === 'cookie' && isBrowser && !isOwnPage(request, address)) {
    throw new RequestError('forbidden', { message: 'A page of another origin signs in with client "token".' })
  }
  return {
    kind,
    deviceName: device_name,
    deviceToken: device_token ?? (kind === 'cookie' ? cookieIn(request, 'device', address) : undefined),
    cookie: kind === 'cookie' ? cookieIn(request, 'session', address) : undefined,
  }
}

function signedInAnswer(status: number, signedIn: SignedIn, { address }: AccountServices): RestAnswer {
  const { account, cookie, refreshToken, deviceToken } = signedIn
  const body = { user: accountToWire(account), ...tokenToWire(signedIn) }
  if (cookie === undefined)
    return jsonAnswer(status, { ...body, refresh_token: refreshToken, device_token: deviceToken })
  const cookies = [cookieToSet('session', cookie, address), cookieToSet('device', deviceToken, address)]
  return { ...jsonAnswer(status, body), cookies }
}

/** How an account is told to its owner and to administrators. */
export function accountToWire({ userId, username, displayName, avatarUrl, role }: Account) {
  return {
    user_id: userId,
    username,
    display_name: displayName,
    ...(avatarUrl !== undefined && { avatar: avatarUrl }),
    role,
  }
}

export function tokenToWire({ token, expiresAtMs }: IssuedToken) {
  return { token, expires_at: new Date(expiresAtMs).toISOString() }
}

/** `POST /api/auth/recover` */
export async function recoverRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const { username, recovery_code, new: next } = parseBody(wire.recoverBody, request)
  await services.changes.recover({ username, code: recovery_code, next }, askerOf(request, services))
  return DONE
}

/** `POST /api/auth/reset` */
export async function resetRoute(request: RestRequest, services: AccountServices): Promise<RestAnswer> {
  const { link_token, new: next } = parseBody(wire.resetBody, request)
  await services.changes.reset({ link: link_token, next }, askerOf(request, services))
  return DONE
}

export const DONE: RestAnswer = { status: 204, body: '', headers: { 'Cache-Control': 'no-store' } }
