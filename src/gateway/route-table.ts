import { claimedIdentity } from '../auth/identity.ts'
import type { Logger } from '../lib/logger.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { MessageService } from '../messages/service.ts'
import { StoreUnavailable } from '../messages/store.ts'
import { type OnlinePage, type Presence, PresenceUnknown } from '../presence/presence.ts'
import { messageJson, pageJson } from '../protocol/codec.ts'
import type { UserId } from '../protocol/message.ts'
import { openApiDocument } from '../protocol/openapi.ts'
import * as rest from '../protocol/rest.ts'
import { contentFault } from '../protocol/text.ts'
import type { Guard } from './guard.ts'
import {
  errorAnswer,
  type HttpAnswer,
  type HttpHandler,
  type HttpQuestion,
  jsonAnswer,
  jsonTextAnswer,
  RequestError,
} from './http.ts'
import { crossOriginHeaders, type OriginPolicy } from './origin.ts'
import { parseBody, parseQuery } from './request.ts'

export interface RouteServices {
  readonly messages: MessageService
  readonly presence: Presence
  readonly logger: Logger
  readonly maxContentBytes: number
  readonly guard: Guard
  readonly origins: OriginPolicy
  /** Prometheus text. */
  metrics(): Promise<string>
  /** Why the service can not store right now; empty when it can. */
  unreadyReasons(): Promise<readonly string[]>
}

type Route = (question: HttpQuestion, services: RouteServices) => HttpAnswer | Promise<HttpAnswer>

/** The whole REST API: path, method, meaning. */
const ROUTES: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
  '/api/send_message': { POST: sendMessage },
  '/api/messages': {
    GET: async (question, { messages }) => {
      const query = parseQuery(rest.messagesQuery, question)
      const page = await messages.history(asker(question, query.user_id), query.with, query)
      return jsonTextAnswer(200, `{${pageJson(page.messages, page.hasMore)}}`)
    },
  },
  '/api/conversations': {
    GET: async (question, { messages }) => {
      const query = parseQuery(rest.conversationsQuery, question)
      const page = await messages.conversations(asker(question, query.user_id), query.limit, query.cursor)
      return jsonAnswer(200, { conversations: page.conversations, next_cursor: page.nextCursor })
    },
  },
  '/api/online_users': {
    GET: (question, { presence }) => {
      const { limit, cursor } = parseQuery(rest.onlineUsersQuery, question)
      const page = presence.online(limit, cursor)
      return page instanceof Promise ? page.then(onlineAnswer) : onlineAnswer(page)
    },
  },
  '/healthz': { GET: () => jsonAnswer(200, { status: 'ok' }) },
  '/readyz': {
    GET: async (_question, { unreadyReasons }) => {
      const reasons = await unreadyReasons()
      if (reasons.length === 0) return jsonAnswer(200, { status: 'ready' })
      return jsonAnswer(503, { status: 'unready', reasons }, { 'Retry-After': '1' })
    },
  },
  '/metrics': {
    GET: async (_question, { metrics }) => ({
      status: 200,
      body: await metrics(),
      headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' },
    }),
  },
  '/openapi.json': { GET: () => jsonAnswer(200, openApiDocument) },
  // The WebSocket route takes every upgrade before this table is asked.
  '/ws': {
    GET: ({ requestId }) => errorAnswer('upgrade_required', requestId, { headers: { Upgrade: 'websocket' } }),
  },
}

/** Every path and its methods, as registered. */
export const ROUTE_METHODS = Object.entries(ROUTES).map(([path, methods]) => ({ path, methods: Object.keys(methods) }))

/** One handler for every request: finds the route, and turns whatever goes wrong into the protocol's errors. */
export function createHttpHandler(services: RouteServices): HttpHandler {
  return (question) => {
    const extra = crossOriginHeaders(question.headers.get('origin'), services.origins)
    // What a browser asks before a page of another origin may send its real request.
    if (question.method === 'OPTIONS' && Object.keys(extra).length > 0) return { status: 204, body: '', headers: extra }
    const answer = answerOf(question, services)
    if (answer instanceof Promise) return answer.then((settled) => withHeaders(settled, extra))
    return withHeaders(answer, extra)
  }
}

function answerOf(question: HttpQuestion, services: RouteServices): HttpAnswer | Promise<HttpAnswer> {
  try {
    // Probes of a load balancer come from the address of all its clients.
    const isLimited = question.path.startsWith('/api/')
    const retryAfterMs = isLimited ? services.guard.request(question.address) : 0
    if (retryAfterMs > 0) throw new RequestError('rate_limited', { retryAfterMs })
    const answer = routeOf(question)(question, services)
    return answer instanceof Promise ? answer.catch((error: unknown) => failed(error, question, services)) : answer
  } catch (error) {
    return failed(error, question, services)
  }
}

function withHeaders(answer: HttpAnswer, extra: Readonly<Record<string, string>>): HttpAnswer {
  return Object.keys(extra).length === 0 ? answer : { ...answer, headers: { ...answer.headers, ...extra } }
}

function routeOf({ path, method }: HttpQuestion): Route {
  const methods = Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined
  if (!methods) throw new RequestError('not_found')
  const name = method === 'HEAD' ? 'GET' : method
  const route = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (route) return route
  throw new RequestError('method_not_allowed', { headers: { Allow: allowedMethods(methods) } })
}

function allowedMethods(methods: Readonly<Record<string, Route>>): string {
  return Object.keys(methods)
    .flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : [name]))
    .join(', ')
}

/** Answers by page: a page that has not changed is not written out again. */
const onlineAnswers = new WeakMap<OnlinePage, HttpAnswer>()

function onlineAnswer(page: OnlinePage): HttpAnswer {
  const known = onlineAnswers.get(page)
  if (known) return known
  const { users, count, nextCursor } = page
  const text = jsonAnswer(200, { online_users: users, count, next_cursor: nextCursor })
  const answer = { ...text, body: Buffer.from(text.body) }
  onlineAnswers.set(page, answer)
  return answer
}

function sendMessage(question: HttpQuestion, { messages, maxContentBytes, guard }: RouteServices): Promise<HttpAnswer> {
  const body = parseBody(rest.sendBody, question)
  const { user_id } = parseQuery(rest.senderQuery, question)
  const sender = asker(question, user_id, body.sender_id)
  const id = idOf(question, body.id)
  const fault = contentFault(body.content, maxContentBytes)
  if (fault) throw new RequestError(fault, { field: 'content' })
  const retryAfterMs = guard.command(sender)
  if (retryAfterMs > 0) throw new RequestError('rate_limited', { retryAfterMs })
  return new Promise((resolve) => {
    const settled = (send: QueuedSend) => resolve(sendAnswer(send, question.requestId))
    messages.send(sender, { receiver_id: body.receiver_id, content: body.content, id }, { settled })
  })
}

function sendAnswer(send: QueuedSend, requestId: string): HttpAnswer {
  const { refusal, fate } = send
  if (refusal) return errorAnswer(refusal, requestId)
  if (fate === 'conflict') return errorAnswer('id_conflict', requestId, { field: 'id' })
  const duplicate = fate === 'duplicate'
  return jsonTextAnswer(duplicate ? 200 : 201, `{${messageJson(send)},"duplicate":${duplicate}}`)
}

/** The id may come in the body or as a header; two that differ are a mistake which would store a resend again. */
function idOf({ headers }: HttpQuestion, bodyId: string | undefined): string | undefined {
  const key = headers.get('idempotency-key')
  if (key === undefined) return bodyId
  const field = 'Idempotency-Key'
  if (!rest.message.shape.id.safeParse(key).success) {
    throw new RequestError('invalid_request', { message: 'Idempotency-Key must be a UUID.', field })
  }
  if (bodyId !== undefined && bodyId.toLowerCase() !== key.toLowerCase()) {
    throw new RequestError('invalid_request', { message: 'Idempotency-Key and id are not the same.', field })
  }
  return key
}

function asker({ headers }: HttpQuestion, userId: string | undefined, senderId?: string): UserId {
  const identity = claimedIdentity([
    { field: 'user_id', value: userId },
    { field: 'X-User-Id', value: headers.get('x-user-id') },
    { field: 'sender_id', value: senderId },
  ])
  if ('userId' in identity) return identity.userId
  throw new RequestError('invalid_request', { message: `${identity.wrong} is not a user id.`, field: identity.wrong })
}

function failed(error: unknown, { requestId, path }: HttpQuestion, { logger }: RouteServices): HttpAnswer {
  if (error instanceof RequestError) return errorAnswer(error.code, requestId, error.detail)
  if (error instanceof PresenceUnknown) return errorAnswer('presence_unknown', requestId)
  if (error instanceof StoreUnavailable) {
    logger.warn({ err: error, request_id: requestId, path }, 'a request could not read')
    return errorAnswer('unavailable', requestId)
  }
  logger.error({ err: error, request_id: requestId, path }, 'a request failed')
  return errorAnswer('internal', requestId)
}
