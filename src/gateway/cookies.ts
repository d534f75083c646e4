import type { PublicAddress } from './public-address.ts'
import { RequestError, type RestRequest } from './rest-exchange.ts'

/** Seconds. A session ends on the server long before. */
const SESSION_COOKIE_SECONDS = 180 * 86_400
const DEVICE_COOKIE_SECONDS = 400 * 86_400

type Kind = 'session' | 'device'

/** The value of the cookie, where it came along once; two of one name may be somebody else's attempt to choose. */
export function cookieIn(
  { headers }: Pick<RestRequest, 'headers'>,
  kind: Kind,
  address: PublicAddress,
): string | undefined {
  const name = `${address.cookieName(kind)}=`
  const values = (headers.get('cookie') ?? '')
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one.startsWith(name))
  return values.length === 1 ? values[0]?.slice(name.length) : undefined
}

/** What makes a browser keep it, out of the reach of scripts and of other sites. */
export function cookieToSet(kind: Kind, value: string, address: PublicAddress): string {
  const seconds = kind === 'session' ? SESSION_COOKIE_SECONDS : DEVICE_COOKIE_SECONDS
  return cookieLine(kind, value, seconds, address)
}

export function cookieToForget(kind: Kind, address: PublicAddress): string {
  return cookieLine(kind, '', 0, address)
}

function cookieLine(kind: Kind, value: string, seconds: number, address: PublicAddress): string {
  const secure = address.isSecure ? '; Secure' : ''
  return `${address.cookieName(kind)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`
}

/**
 * Whether a page of the own origin sent the request, as the browser tells: `Sec-Fetch-Site`, which no page can set, else the
 * `Origin`. Browsers send neither where the site has no certificate and is old; then the cookie is not believed.
 */
export function isOwnPage({ headers }: Pick<RestRequest, 'headers'>, address: PublicAddress): boolean {
  const site = headers.get('sec-fetch-site')
  return site === undefined ? headers.get('origin') === address.origin : site === 'same-origin'
}

/** The session cookie of a request that may use it. Throws a RequestError for a page of anybody else. */
export function ownSessionCookie(request: Pick<RestRequest, 'headers'>, address: PublicAddress): string | undefined {
  if (isOwnPage(request, address)) return cookieIn(request, 'session', address)
  throw new RequestError('forbidden', { message: 'The session cookie is for pages of this service; see PUBLIC_URL.' })
}
