import { randomUUID } from 'node:crypto'
import type { UpgradeHandler } from '../gateway/admission.ts'
import { errorAnswer, type HttpAnswer, type HttpQuestion } from '../gateway/http.ts'
import type { SocketListener } from '../gateway/socket.ts'
import type { Logger } from '../lib/logger.ts'
import type { AddressOf } from './address.ts'
import { addressBehind, answerHttp, framingFault, readHeaders } from './http.ts'
import type { HttpRequest, HttpResponse } from './uws.ts'
import type { SocketHolder, UwsSocket } from './websocket.ts'

interface Upgrade {
  readonly res: HttpResponse
  readonly req: HttpRequest
  readonly context: Parameters<HttpResponse['upgrade']>[4]
}

export interface UpgradeServing {
  readonly handler: UpgradeHandler
  readonly addressOf: AddressOf
  readonly logger: Logger
  makeSocket(listener: SocketListener, isBinary: boolean): UwsSocket
}

/** Turns an upgrade request into a socket, or answers it; all within the call, and without ever throwing. */
export function serveUpgrade(
  { res, req, context }: Upgrade,
  { handler, makeSocket, addressOf, logger }: UpgradeServing,
): void {
  const requestId = randomUUID()
  const refuse = (answer: HttpAnswer): void => answerHttp(res, { ...answer, close: true }, requestId, 'GET')
  try {
    const key = req.getHeader('sec-websocket-key')
    if (!isHandshake(req)) {
      return refuse(errorAnswer('upgrade_required', requestId, { headers: { 'Sec-WebSocket-Version': '13' } }))
    }
    const { headers, repeated } = readHeaders(req)
    const question: HttpQuestion = {
      method: 'GET',
      path: req.getUrl(),
      query: req.getQuery(),
      headers,
      body: '',
      requestId,
      address: addressBehind(res, headers, addressOf),
    }
    const fault = framingFault(question, repeated)
    if (fault) return refuse(errorAnswer('invalid_request', requestId, { message: fault }))
    const admission = handler(question)
    if ('refused' in admission) return refuse(admission.refused)
    res.upgrade<SocketHolder>(
      { socket: makeSocket(admission.listener, admission.isBinary) },
      key,
      admission.subprotocol,
      '',
      context,
    )
  } catch (error) {
    logger.error({ err: error, request_id: requestId }, 'an upgrade failed')
    refuse(errorAnswer('internal', requestId))
  }
}

/** uWebSockets asks for no more than a key. */
function isHandshake(req: HttpRequest): boolean {
  return (
    req.getHeader('sec-websocket-key') !== '' &&
    req.getHeader('sec-websocket-version') === '13' &&
    req.getHeader('upgrade').toLowerCase() === 'websocket' &&
    /(^|,)\s*upgrade\s*(,|$)/i.test(req.getHeader('connection'))
  )
}
