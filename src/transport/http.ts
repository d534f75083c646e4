import { randomUUID } from 'node:crypto'
import { bodyLimitOf as largerBody } from '../gateway/profile-routes.ts'
import type { HttpHandler, RestAnswer, RestRequest } from '../gateway/rest-exchange.ts'
import { errorAnswer } from '../gateway/rest-exchange.ts'
import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import { MAX_BODY_BYTES } from '../protocol/limits.ts'
import { type AddressOf, addressText, countedAddress } from './address.ts'
import type { PendingCount } from './pending-count.ts'
import type { HttpRequest, HttpResponse } from './uws.ts'
import { writeAnswer } from './write-answer.ts'

/** uWebSockets sets no limit to how long an answer may take. */
const ANSWER_DEADLINE_MS = 30_000
/** A body that is too large is still read to its end, unkept: closing on unread bytes can destroy the answer on its way. */
const MAX_DISCARDED_BYTES = 16 * 1024 * 1024
/** Repeating one of these lets two readers of a request disagree about where it ends or whom it is for. */
const ONCE_ONLY = ['content-length', 'host', 'authorization', 'content-type']

export interface HttpServing {
  readonly handler: HttpHandler
  readonly addressOf: AddressOf
  readonly logger: Logger
  /** An answer was given that `handler` was not asked for. */
  readonly answeredUnasked: (method: string, answer: RestAnswer) => void
  /** Where requests that are there as a whole are counted from now on, until they are answered or gone. */
  underway: PendingCount
}

/**
 * One HTTP request, from its first byte to its answer. Nothing here throws: an exception in a handler of uWebSockets ends
 * the process. The request object dies when this returns, so everything is copied first.
 */
export function serveHttp(res: HttpResponse, req: HttpRequest, serving: HttpServing): void {
  const { handler, addressOf } = serving
  const method = req.getCaseSensitiveMethod()
  const exchange = new Exchange(res, method, serving)
  try {
    const { headers, repeated } = readHeaders(req)
    const request: RestRequest = {
      method,
      path: req.getUrl(),
      query: req.getQuery(),
      headers,
      body: '',
      requestId: exchange.requestId,
      address: exchange.whileOpen(addressBehind(res, headers, addressOf), ''),
      isBehindUnlistedProxy: exchange.whileOpen(() => isBehindUnlistedProxy(res, headers, addressOf), false),
    }
    const fault = framingFault(request, repeated)
    if (fault) exchange.refuseUnasked(errorAnswer('invalid_request', exchange.requestId, { message: fault }))
    else if (bodyBytes(request) > MAX_DISCARDED_BYTES) exchange.refuse('payload_too_large', true)
    else if (bodyBytes(request) > 0)
      exchange.readBody(bodyLimitOf(request), (body) => exchange.handle(handler, { ...request, body }))
    else exchange.handle(handler, request)
  } catch (error) {
    exchange.failed(error)
  }
  exchange.callIsOver()
}

/** The address that limits count by; found out when it is first needed. */
export function addressBehind(res: HttpResponse, headers: ReadonlyMap<string, string>, addressOf: AddressOf) {
  // As bytes: the text that uWebSockets makes of them costs half as much again.
  return () => {
    const peer = addressText(new Uint8Array(res.getRemoteAddress()))
    return countedAddress(addressOf(peer, headers.get('x-forwarded-for') ?? ''))
  }
}

/** Whether somebody says where the request comes from who is not believed. To be asked while the request is open. */
function isBehindUnlistedProxy(res: HttpResponse, headers: ReadonlyMap<string, string>, addressOf: AddressOf): boolean {
  const forwardedFor = headers.get('x-forwarded-for') ?? ''
  if (forwardedFor === '' && !headers.has('forwarded')) return false
  const peer = addressText(new Uint8Array(res.getRemoteAddress()))
  return addressOf(peer, forwardedFor) === peer
}

/** All headers; what is repeated counts as one list (RFC 9110, 5.2), so no reader may pick the line that it likes. */
export function readHeaders(req: HttpRequest): { headers: Map<string, string>; repeated: string | undefined } {
  const headers = new Map<string, string>()
  let repeated: string | undefined
  req.forEach((name, value) => {
    const before = headers.get(name)
    if (before !== undefined && ONCE_ONLY.includes(name)) repeated = name
    headers.set(name, before === undefined ? value : `${before}, ${value}`)
  })
  return { headers, repeated }
}

/** What makes the length of the request doubtful; such a request is refused and its connection closed. */
export function framingFault({ method, headers }: RestRequest, repeated: string | undefined): string | undefined {
  if (headers.has('transfer-encoding')) return 'Transfer-Encoding is not accepted; send Content-Length.'
  if (repeated) return `The header ${repeated} is repeated.`
  const length = headers.get('content-length')
  if (length !== undefined && !/^\d{1,15}$/.test(length)) return 'Content-Length is not a number.'
  const bodyless = method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
  return bodyless && Number(length ?? 0) > 0 ? `A ${method} request must not have a body.` : undefined
}

function bodyLimitOf({ method, path }: RestRequest): number {
  return largerBody(method, path) ?? MAX_BODY_BYTES
}

function bodyBytes({ headers }: RestRequest): number {
  return Number(headers.get('content-length') ?? 0)
}

export class Exchange {
  readonly requestId: string
  readonly #res: HttpResponse
  readonly #method: string
  readonly #serving: HttpServing
  #underway: PendingCount | undefined
  /** Answered, or the client has gone: the response object must not be touched any more. */
  #isOver = false
  /** While uWebSockets calls us; in its later calls, and in turns of our own, it may not be. */
  #isCorked = true
  #deadline: NodeJS.Timeout | undefined

  constructor(res: HttpResponse, method: string, serving: HttpServing, requestId: string = randomUUID()) {
    this.requestId = requestId
    this.#res = res
    this.#method = method
    this.#serving = serving
    // Always: a call that returns without an answer and without this ends the process, and endWithoutBody is no answer to it.
    res.onAborted(() => {
      if (!this.#isOver) this.#end()
    })
  }

  callIsOver(): void {
    this.#isCorked = false
  }

  /** What `find` finds of the connection, once; `otherwise` when it is first asked for after the request is over. */
  whileOpen<T>(find: () => T, otherwise: T): () => T {
    let known: T | undefined
    return () => {
      if (known === undefined && !this.#isOver) known = find()
      return known ?? otherwise
    }
  }

  readBody(maxBytes: number, done: (body: Buffer) => void): void {
    const chunks: Buffer[] = []
    let bytes = 0
    this.#res.onData((chunk, isLast) => {
      if (this.#isOver) return
      bytes += chunk.byteLength
      // The chunk's memory is taken back when this callback returns, so it is copied.
      if (bytes <= maxBytes) chunks.push(Buffer.from(Buffer.from(chunk)))
      if (!isLast) return
      if (bytes > maxBytes) this.refuse('payload_too_large')
      else done(Buffer.concat(chunks))
    })
  }

  /** Takes a request that is there as a whole. */
  handle(handler: HttpHandler, request: RestRequest): void {
    this.#begin()
    try {
      const answer = handler(request)
      if (!(answer instanceof Promise)) return this.#answer(answer)
      this.#deadline = setTimeout(() => this.#answerLate(), ANSWER_DEADLINE_MS)
      answer.then(
        (settled) => this.#answer(settled),
        (error: unknown) => this.failed(error),
      )
    } catch (error) {
      this.failed(error)
    }
  }

  /** Refuses without a handler. */
  refuse(code: ErrorCode, close = false): void {
    const answer = errorAnswer(code, this.requestId)
    this.#serving.answeredUnasked(this.#method, answer)
    this.#answer({ ...answer, close })
  }

  /** The same, as `refuseLater` does. */
  refuseUnasked(answer: RestAnswer): void {
    this.#serving.answeredUnasked(this.#method, answer)
    this.refuseLater(answer)
  }

  /**
   * Refuses in a later turn of the event loop, then closes. As long as there is no answer uWebSockets ends a connection on
   * which another request shows up; after one it would serve the doubtful bytes as a request, `close` or not.
   */
  refuseLater(answer: RestAnswer): void {
    this.#begin()
    setImmediate(() => this.#answer({ ...answer, close: true }))
  }

  failed(error: unknown): void {
    this.#serving.logger.error({ err: error, request_id: this.requestId }, 'a request failed')
    this.refuse('internal')
  }

  #answer(answer: RestAnswer): void {
    if (this.#isOver) return
    this.#end()
    const write = () => writeAnswer(this.#res, answer, this.requestId, this.#method)
    if (this.#isCorked) write()
    else this.#res.cork(write)
  }

  /** The handler's own answer, which nobody waits for any more, is the one that is counted. */
  #answerLate(): void {
    this.#answer(errorAnswer('internal', this.requestId, { message: 'No answer in time; the outcome is not known.' }))
  }

  #begin(): void {
    this.#underway = this.#serving.underway
    this.#underway.began()
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#deadline)
    this.#underway?.ended()
  }
}
