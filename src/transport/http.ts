import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { bodyLimitOf as largerBody } from '../gateway/profile-routes.ts'
import type { HttpHandler, RestAnswer, RestRequest } from '../gateway/rest-exchange.ts'
import { errorAnswer } from '../gateway/rest-exchange.ts'
import type { Logger } from '../lib/logger.ts'
import type { ErrorCode } from '../protocol/codes.ts'
import { MAX_BODY_BYTES } from '../protocol/limits.ts'
import { type AddressOf, addressText, countedAddress } from './address.ts'
import type { PendingCount } from './pending-count.ts'
import type { HttpRequest, HttpResponse } from './uws.ts'

const NOT_MODIFIED = 304
/** A larger body is written in parts. */
const MAX_COPIED_BYTES = 64 * 1024
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
    if (fault) exchange.refuseLater(errorAnswer('invalid_request', exchange.requestId, { message: fault }))
    else if (bodyBytes(request) > MAX_DISCARDED_BYTES) exchange.refuse('payload_too_large', undefined, true)
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

/** On every answer that brings no policy of its own, as the page does: nothing may run, be framed or be taken for another type. */
const SECURITY_LINES = headerLines({
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
})

function headerLines(headers: Readonly<Record<string, string>>): string {
  let lines = ''
  for (const [name, value] of Object.entries(headers)) lines += `\r\n${name}: ${value}`
  return lines
}

function cookieLines(cookies: readonly string[]): string {
  return cookies.map((cookie) => `\r\nSet-Cookie: ${cookie}`).join('')
}

let lastHeaders: Readonly<Record<string, string>> = {}
let lastLines = ''

/** Nearly all answers carry the same headers, and the same object. */
function linesOf(headers: Readonly<Record<string, string>>): string {
  if (headers === lastHeaders) return lastLines
  lastHeaders = headers
  lastLines = ('Content-Security-Policy' in headers ? '' : SECURITY_LINES) + headerLines(headers)
  return lastLines
}

/** Writes a whole answer. The response object must still be alive, and corked, as it is while uWebSockets calls us. */
function answerHttp(res: HttpResponse, answer: RestAnswer, requestId: string, method: string): void {
  const { status, body, headers, cookies = [], close = false } = answer
  // 200 is what uWebSockets writes unasked.
  if (status !== 200) res.writeStatus(`${status} ${STATUS_CODES[status] ?? ''}`)
  // One call for all of them: uWebSockets writes a value as it stands, and a call for each costs 0.7 µs more.
  res.writeHeader('X-Request-Id', requestId + linesOf(headers) + cookieLines(cookies))
  if (status === NOT_MODIFIED) endUnchanged(res, close)
  else if (method === 'HEAD') endHead(res, Buffer.byteLength(body), close)
  else if (typeof body !== 'string' && body.length > MAX_COPIED_BYTES && !close) endInParts(res, body)
  else res.end(encoded(body), close)
}

/** Without a length: a 304 has no body, also when it tells one. For this build `undefined` is a length as well, of 2⁶³. */
function endUnchanged(res: HttpResponse, close: boolean): void {
  if (close) res.endWithoutBody(0, true)
  else res.endWithoutBody()
}

/**
 * As the socket takes it. `end` copies what does not leave at once, for every client that reads slowly; this keeps the one
 * body that all of them are sent. The body must not change any more.
 */
function endInParts(res: HttpResponse, body: Buffer): void {
  const start = res.getWriteOffset()
  const [, isDone] = res.tryEnd(body, body.length)
  if (isDone) return
  res.onWritable((offset) => {
    const [isWritten] = res.tryEnd(body.subarray(offset - start), body.length)
    return isWritten
  })
}

/**
 * This build takes an answer for unfinished as long as a length that it was given has not been written, which for HEAD is for
 * ever: it would neither close the connection nor end it when idle. So it is given none, or none but 0 when it has to close.
 */
function endHead(res: HttpResponse, bytes: number, close: boolean): void {
  if (close) return void res.endWithoutBody(0, true)
  res.writeHeader('Content-Length', String(bytes))
  res.endWithoutBody()
}

/** uWebSockets turns a string into UTF-8 some ten times slower than Node does, and copies what it is given. */
const scratch = Buffer.allocUnsafe(256 * 1024)
/** UTF-16 units that fit in any case: one is three bytes at most. */
const MAX_SCRATCH_UNITS = Math.floor(scratch.length / 3)
/** A shorter text costs less than the view that it would need. */
const MIN_SCRATCH_UNITS = 1024

/** The text as UTF-8, in memory that the next call takes again. */
function encoded(text: string | Buffer): Buffer | string {
  if (typeof text !== 'string' || text.length < MIN_SCRATCH_UNITS || text.length > MAX_SCRATCH_UNITS) return text
  return scratch.subarray(0, scratch.write(text, 'utf8'))
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
      this.#deadline = setTimeout(
        () => this.refuse('internal', 'No answer in time; the outcome is not known.'),
        ANSWER_DEADLINE_MS,
      )
      answer.then(
        (settled) => this.#answer(settled),
        (error: unknown) => this.failed(error),
      )
    } catch (error) {
      this.failed(error)
    }
  }

  refuse(code: ErrorCode, message?: string, close = false): void {
    this.#answer({ ...errorAnswer(code, this.requestId, { ...(message && { message }) }), close })
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
    const write = () => answerHttp(this.#res, answer, this.requestId, this.#method)
    if (this.#isCorked) write()
    else this.#res.cork(write)
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
