import { expect, test } from 'vitest'
import type { RestRequest } from '../../../src/gateway/rest-exchange.ts'
import { serveHttp } from '../../../src/transport/http.ts'
import { PendingCount } from '../../../src/transport/pending-count.ts'
import type { HttpRequest, HttpResponse } from '../../../src/transport/uws.ts'
import { silentLogger } from '../../support/silent-logger.ts'

/** A request whose handler keeps it without an answer, and how its client goes. */
function unanswered() {
  const state = { isGone: false, asked: 0, abort: (): void => undefined }
  const res = {
    onAborted: (gone: () => void) => {
      state.abort = () => {
        state.isGone = true
        gone()
      }
    },
    getRemoteAddress: () => {
      // As the native object, which must not be touched any more.
      if (state.isGone) throw new Error('Invalid access of closed uWS.HttpResponse')
      state.asked += 1
      return Uint8Array.from([192, 0, 2, 1]).buffer
    },
  }
  const req = { getCaseSensitiveMethod: () => 'GET', getUrl: () => '/', getQuery: () => '', forEach: () => undefined }
  const requests: RestRequest[] = []
  serveHttp(res as unknown as HttpResponse, req as unknown as HttpRequest, {
    handler: (request) => {
      requests.push(request)
      return new Promise(() => undefined)
    },
    addressOf: (peer) => peer,
    logger: silentLogger,
    answeredUnasked: () => undefined,
    underway: new PendingCount(),
  })
  const [request] = requests
  if (!request) throw new Error('the handler was not called')
  return { request, state }
}

test('the address of a request can be asked for in a later turn, and is found once', async () => {
  const { request, state } = unanswered()
  expect(state.asked).toBe(0)
  await Promise.resolve()
  expect([request.address(), request.address()]).toEqual(['192.0.2.1', '192.0.2.1'])
  expect(state.asked).toBe(1)
  state.abort()
  expect(request.address()).toBe('192.0.2.1')
})

test('the address of a request whose client has gone is empty when nobody asked before', () => {
  const { request, state } = unanswered()
  state.abort()
  expect(request.address()).toBe('')
})
