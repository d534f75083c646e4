import { AccountRefusal } from '../accounts/refusal.ts'
import { Unavailable, UnstorableText } from '../lib/errors.ts'
import { InvalidCursor } from '../messages/store.ts'
import { PresenceUnknown } from '../presence/presence.ts'
import { assertAccess, assertOwnNames, type Credential, credentialOf, slowedDown } from './credential.ts'
import { FOREIGN_HOST, type HostRule } from './host.ts'
import { crossOriginHeaders, type OriginPolicy } from './origin.ts'
import { parseQuery, refused } from './request.ts'
import { errorAnswer, type HttpHandler, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import type { Route, RouteServices } from './route.ts'
import { routeOf } from './route-table.ts'
import { CURSOR_FAULT } from './wire/faults.ts'
import { userQuery } from './wire/identity.ts'

export interface HttpHandlerOptions extends RouteServices {
  readonly origins: OriginPolicy
  readonly hostRule: HostRule
}

/** One handler for every request: finds the route, and turns every failure into one of the protocol's errors. */
export function createHttpHandler(services: HttpHandlerOptions): HttpHandler {
  return (request) => {
    if (!services.hostRule(request.headers.get('host'))) {
      return errorAnswer('forbidden', request.requestId, { message: FOREIGN_HOST })
    }
    const extra = crossOriginHeaders(request.headers.get('origin'), services.origins)
    // What a browser asks before a page of another origin may send its real request.
    if (request.method === 'OPTIONS' && Object.keys(extra).length > 0) return { status: 204, body: '', headers: extra }
    const answer = answerOf(request, services)
    if (answer instanceof Promise) return answer.then((settled) => withHeaders(settled, extra))
    return withHeaders(answer, extra)
  }
}

function answerOf(request: RestRequest, services: RouteServices): RestAnswer | Promise<RestAnswer> {
  try {
    // Probes of a load balancer come from the address of all its clients.
    const isLimited = request.path.startsWith('/api/')
    const retryAfterMs = isLimited ? services.guard.request(request.address) : 0
    if (retryAfterMs > 0) throw new RequestError('rate_limited', { retryAfterMs })
    const answer = answerBy(routeOf(request), request, services)
    return answer instanceof Promise ? answer.catch((error: unknown) => failed(error, request, services)) : answer
  } catch (error) {
    return failed(error, request, services)
  }
}

function withHeaders(answer: RestAnswer, extra: Readonly<Record<string, string>>): RestAnswer {
  return Object.keys(extra).length === 0 ? answer : { ...answer, headers: { ...answer.headers, ...extra } }
}

/** The caller is known before anything else of the request is looked at, so that a stranger learns nothing from its faults. */
function answerBy(route: Route, request: RestRequest, services: RouteServices): RestAnswer | Promise<RestAnswer> {
  const handle = (credential: Credential): RestAnswer | Promise<RestAnswer> => {
    assertAccess(credential, route.access)
    assertOwnNames(credential, request)
    if (route.parsesQuery !== true) parseQuery(userQuery, request)
    return route.handle(request, services, credential)
  }
  if (route.access.who === 'anyone') return route.handle(request, services, NOBODY)
  const credential = credentialOf(request, services.auth?.authenticator)
  if (!(credential instanceof Promise)) return handle(credential)
  // Now, while it can be found: the audit tells from where also of a caller who hangs up meanwhile.
  request.address()
  request.isBehindUnlistedProxy?.()
  return credential.then(handle)
}

/** Stands for the caller of a route that is open to anyone. */
const NOBODY: Credential = { kind: 'claimed' }

function failed(error: unknown, request: RestRequest, services: RouteServices): RestAnswer {
  const { requestId, path } = request
  const { logger, guard } = services
  if (error instanceof RequestError) {
    const { code, detail } = slowedDown(error, request, guard)
    return errorAnswer(code, requestId, detail)
  }
  if (error instanceof AccountRefusal) return failed(new RequestError(error.code, error.detail), request, services)
  if (error instanceof InvalidCursor) return failed(refused(CURSOR_FAULT), request, services)
  if (error instanceof UnstorableText) {
    return errorAnswer('invalid_request', requestId, { message: 'A text must not hold the character U+0000.' })
  }
  if (error instanceof PresenceUnknown) return errorAnswer('presence_unknown', requestId)
  if (error instanceof Unavailable) {
    logger.debug({ err: error, request_id: requestId, path }, 'a request could not reach the database')
    return errorAnswer('unavailable', requestId)
  }
  logger.error({ err: error, request_id: requestId, path }, 'a request failed')
  return errorAnswer('internal', requestId)
}
