/** Which web pages may use the service from a browser. */
export interface OriginPolicy {
  /** Any page. */
  readonly any: boolean
  /** Origins as browsers write them, such as `https://app.example.com`. */
  readonly exact: readonly string[]
  /** Every name below a domain. */
  readonly wildcards: readonly WildcardOrigin[]
}

/** `https://*.example.com:8443`: what stands before and after the star, and any name in its place. */
interface WildcardOrigin {
  readonly start: string
  readonly end: string
}

const ORIGIN = /^([a-z][a-z\d+.-]*):\/\/([^\s/?#@\\*]+)$/i
const WILDCARD = /^(https?:\/\/)\*\.(.+)$/i
/** Browsers write `null` for pages of these, or have no pages of them. */
const WITHOUT_ORIGIN = ['file:', 'ftp:', 'ws:', 'wss:']

/**
 * The origin as a browser writes it: in lower case, without the default port. Undefined when the text is no origin: there is
 * nothing but a scheme, a host and perhaps a port. Apps have schemes of their own (`capacitor://localhost`).
 */
export function originOf(text: string): string | undefined {
  if (!ORIGIN.test(text) || !URL.canParse(text)) return undefined
  const { protocol, host, origin } = new URL(text)
  if (WITHOUT_ORIGIN.includes(protocol)) return undefined
  // The URL standard gives other schemes than the web's no origin; browsers write their scheme and host.
  return origin === 'null' ? `${protocol}//${host}`.toLowerCase() : origin
}

/** Reads a list of origins, of wildcards such as `https://*.example.com`, and of `*` for any. Undefined when one is neither. */
export function parseOrigins(list: readonly string[]): OriginPolicy | undefined {
  const exact: string[] = []
  const wildcards: WildcardOrigin[] = []
  for (const one of list) {
    if (one === '*') continue
    const origin = originOf(one)
    const wildcard = wildcardOf(one)
    if (origin !== undefined) exact.push(origin)
    else if (wildcard) wildcards.push(wildcard)
    else return undefined
  }
  return { any: list.includes('*'), exact, wildcards }
}

function wildcardOf(text: string): WildcardOrigin | undefined {
  const [, start = '', domain = ''] = WILDCARD.exec(text) ?? []
  const origin = originOf(start + domain)
  if (origin === undefined) return undefined
  const { protocol, hostname, host } = new URL(origin)
  // A whole top-level domain has no single owner, and an address has no names below it.
  const isDomain = hostname === 'localhost' || (/\../.test(hostname) && !/^\[|\.\d+$/.test(hostname))
  return isDomain ? { start: `${protocol}//`, end: `.${host}` } : undefined
}

/**
 * Whether a request with this Origin may open a socket. A browser sends Origin with every upgrade and lets any page connect
 * anywhere, so a foreign one has to be refused here; programs send none. Pages of the service's own host always may.
 */
export function isOriginAllowed(origin: string | undefined, host: string | undefined, policy: OriginPolicy): boolean {
  return !origin || isListed(origin, policy) || isOwn(origin, host)
}

function isListed(origin: string, { any, exact, wildcards }: OriginPolicy): boolean {
  if (any || exact.includes(origin)) return true
  const isBelow = ({ start, end }: WildcardOrigin) =>
    origin.startsWith(start) && origin.endsWith(end) && origin.length > start.length + end.length
  return wildcards.some(isBelow) && originOf(origin) === origin
}

/** A proxy may end TLS, so either scheme counts; `Host` may name the default port and comes in any case. */
function isOwn(origin: string, host: string | undefined): boolean {
  return host !== undefined && ['http', 'https'].some((scheme) => originOf(`${scheme}://${host}`) === origin)
}

/** Headers that let the pages of a listed origin read the answer (CORS). */
export function crossOriginHeaders(origin: string | undefined, policy: OriginPolicy): Readonly<Record<string, string>> {
  if (!origin || !isListed(origin, policy)) return {}
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': 'GET, POST, PUT, PATCH, DELETE',
    'Access-Control-Allow-Headers': 'Content-Type, Authorization, Idempotency-Key, X-User-Id',
    'Access-Control-Expose-Headers': 'Retry-After, X-Request-Id',
    'Access-Control-Max-Age': '600',
    Vary: 'Origin',
  }
}
