/** Which web pages may use the service from a browser. */
export interface OriginPolicy {
  /** Exact origins, such as `https://app.example.com`; empty: only pages of the service's own origin. */
  readonly allowed: readonly string[]
  /** Any page. */
  readonly any: boolean
}

/**
 * Whether a request with this Origin may open a socket. A browser sends Origin with every upgrade and lets any page connect
 * anywhere, so a foreign one has to be refused here; programs send none.
 */
export function isOriginAllowed(origin: string | undefined, host: string | undefined, policy: OriginPolicy): boolean {
  if (!origin || policy.any) return true
  if (policy.allowed.includes(origin)) return true
  return policy.allowed.length === 0 && (origin === `http://${host}` || origin === `https://${host}`)
}

/** Headers that let the pages of a listed origin read the answer (CORS). */
export function crossOriginHeaders(origin: string | undefined, policy: OriginPolicy): Readonly<Record<string, string>> {
  if (!origin || !(policy.any || policy.allowed.includes(origin))) return {}
  return {
    'Access-Control-Allow-Origin': origin,
    'Access-Control-Allow-Methods': 'GET, POST',
    'Access-Control-Allow-Headers': 'Content-Type, Authorization, Idempotency-Key, X-User-Id',
    'Access-Control-Max-Age': '600',
    Vary: 'Origin',
  }
}
