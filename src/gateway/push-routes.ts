import type { PushService } from '../push/service.ts'
import { type Credential, userOf } from './credential.ts'
import { parseBody, parseNoFields, parseQuery } from './request.ts'
import { jsonAnswer, RequestError, type RestAnswer, type RestRequest } from './rest-exchange.ts'
import { userQuery } from './wire/identity.ts'
import * as wire from './wire/push.ts'

const DONE: RestAnswer = { status: 204, body: '', headers: {} }

/** `GET /api/push/key`: what a browser subscribes with. */
export function pushKeyRoute(_request: RestRequest, push: PushService): RestAnswer {
  return jsonAnswer(200, { public_key: push.publicKey })
}

/** `PUT /api/push/subscription`: the whole state of one browser. */
export async function subscribeRoute(
  request: RestRequest,
  push: PushService,
  credential: Credential,
): Promise<RestAnswer> {
  const userId = askerOf(request, credential)
  const { subscription, content = 'sender', locale } = parseBody(wire.subscriptionBody, request)
  const { endpoint, keys, expirationTime } = subscription
  const fault = await push.declare({
    userId,
    sessionId: credential.kind === 'person' ? credential.identity.sessionId : undefined,
    subscription: { endpoint, ...keys, expiresAtMs: expirationTime ?? undefined },
    content,
    locale,
  })
  if (!fault) return DONE
  const message = `${fault.field} ${fault.fault}.`
  throw new RequestError('invalid_request', { message, field: `subscription.${fault.field}` })
}

/** `DELETE /api/push/subscription`: also of one that is not there. */
export async function unsubscribeRoute(
  request: RestRequest,
  push: PushService,
  credential: Credential,
): Promise<RestAnswer> {
  const userId = askerOf(request, credential)
  await push.remove(userId, parseBody(wire.endpointBody, request).endpoint)
  return DONE
}

/** `POST /api/push/test`: one notification on every device of this user. */
export async function pushTestRoute(
  request: RestRequest,
  push: PushService,
  credential: Credential,
): Promise<RestAnswer> {
  const userId = askerOf(request, credential)
  parseNoFields(request)
  const outcome = await push.test(userId)
  if (outcome === 'none') throw new RequestError('not_found', { message: 'There is no subscription.' })
  if (outcome === 'wait') throw new RequestError('rate_limited', { retryAfterMs: 10_000 })
  return { status: 202, body: '', headers: {} }
}

function askerOf(request: RestRequest, credential: Credential): string {
  return userOf(credential, request, parseQuery(userQuery, request))
}
