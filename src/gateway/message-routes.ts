import { decodeBase64url } from '../lib/base64url.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import { InvalidCursor } from '../messages/store.ts'
import type { OnlinePage } from '../presence/presence.ts'
import { USER_ID_PATTERN } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import { type Credential, userOf } from './credential.ts'
import type { Guard } from './guard.ts'
import { parseBody, parseQuery, refused } from './request.ts'
import {
  encoded,
  errorAnswer,
  jsonAnswer,
  jsonTextAnswer,
  RequestError,
  type RestAnswer,
  type RestRequest,
} from './rest-exchange.ts'
import type { RouteServices } from './route.ts'
import { sendFault } from './send-fault.ts'
import { messageJson, pageJson } from './wire/codec.ts'
import { contentFaultOf, wrongField } from './wire/faults.ts'
import { UUID } from './wire/fields.ts'
import * as rest from './wire/rest.ts'

/** `GET /api/messages` */
export async function messagesRoute(
  request: RestRequest,
  services: RouteServices,
  credential: Credential,
): Promise<RestAnswer> {
  const query = parseQuery(rest.messagesQuery, request)
  const user = userOf(credential, request, { user_id: query.user_id })
  const page = await inTurn(services, user, () => services.messages.history(user, query.with, query))
  return jsonTextAnswer(200, `{${pageJson(page.messages, page.hasMore)}}`)
}

/** `GET /api/conversations` */
export async function conversationsRoute(
  request: RestRequest,
  services: RouteServices,
  credential: Credential,
): Promise<RestAnswer> {
  const query = parseQuery(rest.conversationsQuery, request)
  const user = userOf(credential, request, { user_id: query.user_id })
  const page = await inTurn(services, user, () => services.messages.conversations(user, query.limit, query.cursor))
  return jsonAnswer(200, { conversations: page.conversations, next_cursor: page.nextCursor })
}

/** A read counts as the command does that reads the same. */
function inTurn<T>({ guard, readTurns }: RouteServices, user: UserId, read: () => Promise<T>): Promise<T> {
  assertCommand(guard, user)
  return readTurns.run(user, read)
}

function assertCommand(guard: Guard, user: UserId): void {
  const retryAfterMs = guard.command(user)
  if (retryAfterMs > 0) throw new RequestError('rate_limited', { retryAfterMs })
}

/** `GET /api/online_users` */
export function onlineUsersRoute(request: RestRequest, { presence }: RouteServices): RestAnswer | Promise<RestAnswer> {
  const { limit, cursor } = parseQuery(rest.onlineUsersQuery, request)
  const page = presence.online(limit, cursor === undefined ? undefined : lastOf(cursor))
  return page instanceof Promise ? page.then(onlineAnswer) : onlineAnswer(page)
}

/** Answers by page: a page that has not changed is not written out again. */
const onlineAnswers = new WeakMap<OnlinePage, RestAnswer>()

function onlineAnswer(page: OnlinePage): RestAnswer {
  const known = onlineAnswers.get(page)
  if (known) return known
  const { users, count, nextCursor } = page
  const answer = encoded(
    jsonAnswer(200, {
      online_users: users,
      count,
      next_cursor: nextCursor === null ? null : cursorAfter(nextCursor),
    }),
  )
  onlineAnswers.set(page, answer)
  return answer
}

/** What a page of users ends with. Marked, so that a text that is no cursor is not taken for a place in the list. */
const CURSOR_MARK = 'after '

function cursorAfter(user: UserId): string {
  return Buffer.from(CURSOR_MARK + user).toString('base64url')
}

/** Throws InvalidCursor for what no page has ended with. */
function lastOf(cursor: string): UserId {
  const text = decodeBase64url(cursor)?.toString('latin1') ?? ''
  const user = text.slice(CURSOR_MARK.length)
  if (!text.startsWith(CURSOR_MARK) || !USER_ID_PATTERN.test(user)) throw new InvalidCursor()
  return user
}

/** `POST /api/send_message`: answered only after the commit. */
export function sendMessageRoute(
  request: RestRequest,
  { messages, maxContentBytes, guard }: RouteServices,
  credential: Credential,
): Promise<RestAnswer> {
  const body = parseBody(rest.sendBody, request)
  const { user_id } = parseQuery(rest.senderQuery, request)
  const sender = userOf(credential, request, { user_id, sender_id: body.sender_id })
  const id = idOf(request, body.id)
  const fault = contentFaultOf(body.content, maxContentBytes)
  if (fault) throw refused(fault)
  assertCommand(guard, sender)
  return new Promise((resolve) => {
    const settled = (send: QueuedSend) => resolve(sendAnswer(send, request.requestId))
    messages.send(sender, { receiver_id: body.receiver_id, content: body.content, id }, { settled })
  })
}

function sendAnswer(send: QueuedSend, requestId: string): RestAnswer {
  const fault = sendFault(send)
  if (fault) return errorAnswer(fault.code, requestId, fault)
  const duplicate = send.fate === 'duplicate'
  return jsonTextAnswer(duplicate ? 200 : 201, `{${messageJson(send)},"duplicate":${duplicate}}`)
}

/** The id may come in the body or as a header; two that differ are a mistake which would store a resend again. */
function idOf({ headers }: RestRequest, bodyId: string | undefined): string | undefined {
  const key = headers.get('idempotency-key')
  if (key === undefined) return bodyId
  const field = 'Idempotency-Key'
  if (!rest.message.shape.id.safeParse(key).success) {
    throw refused(wrongField(field, UUID))
  }
  if (bodyId !== undefined && bodyId.toLowerCase() !== key.toLowerCase()) {
    throw new RequestError('invalid_request', {
      message: 'Idempotency-Key must be the same as id, or one of them be left out.',
      field,
    })
  }
  return key
}
