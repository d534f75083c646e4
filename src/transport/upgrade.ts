import { randomUUID } from 'node:crypto'
import type { AdmittedSocket, UpgradeHandler } from '../gateway/admission.ts'
import { errorAnswer, type RestAnswer, type RestRequest } from '../gateway/rest-exchange.ts'
import type { SocketListener } from '../gateway/socket.ts'
import { addressBehind, Exchange, framingFault, type HttpServing, readHeaders } from './http.ts'
import type { HttpRequest, HttpResponse } from './uws.ts'
import type { SocketHolder, UwsSocket } from './websocket.ts'

interface Upgrade {
  readonly res: HttpResponse
  readonly req: HttpRequest
  readonly context: Parameters<HttpResponse['upgrade']>[4]
}

export interface UpgradeServing {
  readonly handler: UpgradeHandler
  /** How a request that becomes no socket is answered. */
  readonly http: HttpServing
  makeSocket(listener: SocketListener, isBinary: boolean): UwsSocket
}

/** Turns an upgrade request into a socket within the call, or answers it after; without ever throwing. */
export function serveUpgrade({ res, req, context }: Upgrade, { handler, makeSocket, http }: UpgradeServing): void {
  const requestId = randomUUID()
  const refuse = (answer: RestAnswer, isUnasked = true): void => {
    const exchange = new Exchange(res, 'GET', http, requestId)
    if (isUnasked) exchange.refuseUnasked(answer)
    else exchange.refuseLater(answer)
    exchange.callIsOver()
  }
  let admitted: AdmittedSocket | undefined
  try {
    const key = req.getHeader('sec-websocket-key')
    const { headers, repeated } = readHeaders(req)
    if (key === '' || !isHandshake(headers)) {
      return refuse(errorAnswer('upgrade_required', requestId, { headers: { 'Sec-WebSocket-Version': '13' } }))
    }
    const request: RestRequest = {
      method: 'GET',
      path: req.getUrl(),
      query: req.getQuery(),
      headers,
      body: '',
      requestId,
      address: addressBehind(res, headers, http.addressOf),
    }
    const fault = framingFault(request, repeated)
    if (fault) return refuse(errorAnswer('invalid_request', requestId, { message: fault }))
    const admission = handler(request)
    if ('refused' in admission) return refuse(admission.refused, false)
    admitted = admission
    res.upgrade<SocketHolder>(
      { socket: makeSocket(admission.listener, admission.isBinary) },
      key,
      admission.subprotocol,
      '',
      context,
    )
  } catch (error) {
    admitted?.abandoned()
    http.logger.error({ err: error, request_id: requestId }, 'an upgrade failed')
    refuse(errorAnswer('internal', requestId))
  }
}

/** uWebSockets asks for no more than a key. */
function isHandshake(headers: ReadonlyMap<string, string>): boolean {
  const lists = (name: string, wanted: RegExp): boolean => wanted.test(headers.get(name) ?? '')
  return (
    headers.get('sec-websocket-version') === '13' &&
    lists('upgrade', /(^|,)\s*websocket\s*(,|$)/i) &&
    lists('connection', /(^|,)\s*upgrade\s*(,|$)/i)
  )
}
