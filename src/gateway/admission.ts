import { randomUUID } from 'node:crypto'
import { claimedIdentity } from '../auth/identity.ts'
import { CODECS, SUBPROTOCOLS, type Subprotocol } from '../protocol/codec.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import type { ConnectionServices } from './client.ts'
import { Connection } from './connection.ts'
import { errorAnswer, type HttpAnswer, type HttpQuestion } from './http.ts'
import { isOriginAllowed, type OriginPolicy } from './origin.ts'
import type { SocketListener } from './socket.ts'

/** What becomes of an upgrade request: a connection, or an HTTP answer that says why not. */
export type Admission =
  | { readonly listener: SocketListener; readonly subprotocol: Subprotocol | ''; readonly isBinary: boolean }
  | { readonly refused: HttpAnswer }

export type UpgradeHandler = (question: HttpQuestion) => Admission

/** Decides synchronously: an asynchronous upgrade can lose the socket between the two halves. */
export function createUpgradeHandler(
  services: ConnectionServices,
  origins: OriginPolicy,
  isDraining: () => boolean,
): UpgradeHandler {
  return ({ query, headers, requestId, address: addressOf }) => {
    if (isDraining()) return refusedBecause('unavailable', requestId, 'The service is restarting.')
    if (!isOriginAllowed(headers.get('origin'), headers.get('host'), origins)) {
      return refusedBecause('forbidden', requestId, 'This Origin may not connect; see ALLOWED_ORIGINS.')
    }
    const address = addressOf()
    const limit = services.guard.refusal(address)
    if (limit) return refusedBecause(limit, requestId, 'No further connection can be opened now.')
    const userId = new URLSearchParams(query).get('user_id') ?? undefined
    if (userId === undefined) return refusedField('user_id', 'user_id is required in the query.', requestId)
    const identity = claimedIdentity([{ field: 'user_id', value: userId }])
    if ('wrong' in identity) return refusedField('user_id', 'user_id is not a user id.', requestId)
    const subprotocol = chooseSubprotocol(headers.get('sec-websocket-protocol'))
    if (subprotocol === undefined) {
      const offered = `Offer one of ${Object.keys(SUBPROTOCOLS).join(', ')}, or none.`
      return refusedField('Sec-WebSocket-Protocol', offered, requestId)
    }
    const codec = CODECS[subprotocol === '' ? 'json' : SUBPROTOCOLS[subprotocol]]
    const connection = {
      userId: identity.userId,
      connectionId: randomUUID(),
      address,
      codec,
      implicit: subprotocol === '',
    }
    return { listener: new Connection(connection, services), subprotocol, isBinary: codec.binary }
  }
}

/** The first offered subprotocol that we speak; empty when none is offered, undefined when none is ours. */
function chooseSubprotocol(header: string | undefined): Subprotocol | '' | undefined {
  const offered = (header ?? '').split(',').map((name) => name.trim())
  // A token may be offered beside the protocol's name; it chooses no protocol.
  const names = offered.filter((name) => name !== '' && !name.startsWith('bearer.'))
  if (names.length === 0) return ''
  return names.find((name): name is Subprotocol => Object.hasOwn(SUBPROTOCOLS, name))
}

function refusedBecause(code: ErrorCode, requestId: string, message: string): Admission {
  return { refused: errorAnswer(code, requestId, { message }) }
}

function refusedField(field: string, message: string, requestId: string): Admission {
  return { refused: errorAnswer('invalid_request', requestId, { message, field }) }
}
