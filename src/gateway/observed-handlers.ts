import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { UpgradeHandler } from './admission.ts'
import type { HttpHandler, RestAnswer, RestRequest } from './rest-exchange.ts'
import { patternOf, ROUTE_METHODS } from './route-table.ts'

export interface Handlers {
  readonly http: HttpHandler
  readonly upgrade: UpgradeHandler
}

export interface ObservedHandlers extends Handlers {
  /** The transport refused a request without asking a handler. */
  answeredUnasked(method: string, answer: RestAnswer): void
}

/** One request that was answered, without anything that a client could have made up. */
export interface AnsweredRequest {
  readonly method: string
  /** The row of the route table. */
  readonly route: string
  readonly status: number
  /** Of a refusal. */
  readonly code: ErrorCode | undefined
}

export interface RequestObserver {
  /** `ms`: until the answer was there to be written; milliseconds. */
  requestAnswered(request: AnsweredRequest, ms: number): void
}

/** Stands for every path, and every method, that is none of ours: what a client writes there may be anything. */
const UNKNOWN = '*'
const METHODS = new Set(['OPTIONS', 'HEAD', ...ROUTE_METHODS.flatMap(({ methods }) => methods)])
const SWITCHING_PROTOCOLS = 101

/** The same handlers, which tell the observer of every request, and at debug the log with the id of each. */
export function observed(
  { http, upgrade }: Handlers,
  observer: RequestObserver,
  debugLog: Logger | undefined,
): ObservedHandlers {
  const methodOf = (method: string): string => (METHODS.has(method) ? method : UNKNOWN)
  const tell = ({ method, path, requestId }: RestRequest, answer: Partial<RestAnswer>, startedMs: number): void => {
    const ms = performance.now() - startedMs
    // A query is never told: it names people and may hold a token.
    const route = patternOf(path) ?? UNKNOWN
    const { status = SWITCHING_PROTOCOLS, code } = answer
    observer.requestAnswered({ method: methodOf(method), route, status, code }, ms)
    debugLog?.debug({ request_id: requestId, method, route, status, ms: Math.round(ms * 10) / 10 }, 'request')
  }
  return {
    http: (request) => {
      const startedMs = performance.now()
      const told = (answer: RestAnswer): RestAnswer => {
        tell(request, answer, startedMs)
        return answer
      }
      const answer = http(request)
      return answer instanceof Promise ? answer.then(told) : told(answer)
    },
    upgrade: (request) => {
      const startedMs = performance.now()
      const admission = upgrade(request)
      tell(request, 'refused' in admission ? admission.refused : {}, startedMs)
      return admission
    },
    // The path is not looked at: such a request may be framed so that two readers read two of them.
    answeredUnasked: (method, { status, code }) =>
      observer.requestAnswered({ method: methodOf(method), route: UNKNOWN, status, code }, 0),
  }
}
