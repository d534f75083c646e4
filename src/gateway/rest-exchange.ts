import { DEFAULT_RETRY_AFTER_MS, ERRORS, type ErrorCode } from '../protocol/codes.ts'

/** A complete HTTP request, free of the transport. Header names are in lower case. */
export interface RestRequest {
  readonly method: string
  readonly path: string
  /** Without the question mark. */
  readonly query: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer | string
  readonly requestId: string
  /**
   * Where the request comes from: the client, also behind a trusted proxy. Empty when it is first asked for after the request was
   * answered or its client has gone.
   */
  readonly address: () => string
  /** Whether a proxy passed it on that is not listed as trusted: then `address` is the proxy's, for everybody behind it. */
  readonly isBehindUnlistedProxy?: () => boolean
}

export interface RestAnswer {
  readonly status: number
  /** UTF-8 in place of a text that is given again and again. */
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>
  /** Values of `Set-Cookie`, each of which needs a line of its own. */
  readonly cookies?: readonly string[]
  /** Of a refusal; the body says it too. */
  readonly code?: ErrorCode
  /** Whether the connection is to be closed after the answer. */
  readonly close?: boolean
}

export type HttpHandler = (request: RestRequest) => RestAnswer | Promise<RestAnswer>

const JSON_HEADERS = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' } as const

export function jsonAnswer(status: number, value: unknown, headers?: Readonly<Record<string, string>>): RestAnswer {
  return jsonTextAnswer(status, JSON.stringify(value), headers)
}

/** As `jsonAnswer`, of a value that was written out already. */
export function jsonTextAnswer(status: number, body: string, headers?: Readonly<Record<string, string>>): RestAnswer {
  return { status, body, headers: headers ? { ...JSON_HEADERS, ...headers } : JSON_HEADERS }
}

/** With its body in bytes: an answer that is given again and again is encoded once. */
export function encoded(answer: RestAnswer): RestAnswer {
  return { ...answer, body: Buffer.from(answer.body) }
}

/** A document that never changes: everybody may ask for it, so it is made and written out once, when somebody first does. */
export function documentAnswer(make: () => unknown): () => RestAnswer {
  let answer: RestAnswer | undefined
  return () => {
    answer ??= encoded(jsonAnswer(200, make()))
    return answer
  }
}

export interface ErrorDetail {
  readonly retryAfterMs?: number
  readonly message?: string | undefined
  readonly field?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

export function errorAnswer(code: ErrorCode, requestId: string, detail: ErrorDetail = {}): RestAnswer {
  const { status, message } = ERRORS[code]
  const retry: Record<string, string> =
    status === 429 || status === 503
      ? { 'Retry-After': String(Math.ceil((detail.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1000)) }
      : {}
  // RFC 9110 §15.5.2: whoever is told 401 is told how to do better.
  const challenge: Record<string, string> = status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}
  const { field } = detail
  const error = { code, message: detail.message ?? message, ...(field && { field }) }
  const headers = { ...retry, ...challenge, ...detail.headers }
  return { ...jsonAnswer(status, { error, request_id: requestId }, headers), code }
}

/** An expected refusal; becomes an answer with the code's status in one place, the route table. */
export class RequestError extends Error {
  readonly code: ErrorCode
  readonly detail: ErrorDetail

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    super(detail.message ?? ERRORS[code].message)
    this.name = 'RequestError'
    this.code = code
    this.detail = detail
  }
}
