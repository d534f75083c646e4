import { timingSafeEqual } from 'node:crypto'
import { isLoopback } from '../lib/loopback.ts'
import { errorAnswer, jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import type { RouteServices } from './route.ts'

/** `GET /readyz`: whether a balancer should send people here. */
export async function readyRoute(_request: RestRequest, { readiness }: RouteServices): Promise<RestAnswer> {
  const { reasons, degraded } = await readiness()
  const more = degraded.length > 0 ? { degraded } : {}
  if (reasons.length === 0) return jsonAnswer(200, { status: 'ready', ...more })
  return jsonAnswer(503, { status: 'unready', reasons, ...more }, { 'Retry-After': '1' })
}

/** `GET /metrics`: for this machine, and for callers that have the token. */
export async function metricsRoute(
  request: RestRequest,
  { metrics, metricsToken }: RouteServices,
): Promise<RestAnswer> {
  if (!mayReadMetrics(request, metricsToken)) {
    if (metricsToken === undefined) throw new RequestError('forbidden', { message: FOREIGN_READER })
    throw new RequestError('unauthorized')
  }
  const headers = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }
  return { status: 200, body: await metrics(), headers }
}

const FOREIGN_READER = 'Metrics are read from this machine alone; set METRICS_TOKEN to read them from another.'

function mayReadMetrics({ headers, address }: RestRequest, token: string | undefined): boolean {
  const [, bearer] = /^bearer +(\S+)$/i.exec(headers.get('authorization') ?? '') ?? []
  if (token !== undefined && bearer !== undefined) return isSame(bearer, token)
  // A proxy on this machine that is not listed as trusted would make everybody local.
  return isLoopback(address()) && !headers.has('x-forwarded-for') && !headers.has('forwarded')
}

function isSame(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)]
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}

/** `GET /api/server`: what a client has to know before it can say who it is. */
export function serverRoute(
  _request: RestRequest,
  { auth, accounts, push, loginUrl, version, maxContentBytes }: RouteServices,
): RestAnswer {
  return jsonAnswer(200, {
    name: 'messaging-server',
    version,
    auth: accounts ? 'accounts' : auth ? 'jwt' : 'none',
    ...(accounts && { registration: accounts.signIn.registration }),
    ...(auth && !accounts && loginUrl !== undefined && { login_url: loginUrl }),
    push: push !== undefined,
    max_content_bytes: maxContentBytes,
  })
}

/** `GET /ws` without an upgrade: the WebSocket route takes every upgrade before the table is asked. */
export function upgradeRequiredRoute({ requestId }: RestRequest): RestAnswer {
  return errorAnswer('upgrade_required', requestId, { headers: { Upgrade: 'websocket' } })
}
