import { DEFAULT_RETRY_AFTER_MS, ERRORS, type ErrorCode } from '../protocol/codes.ts'

/** A complete HTTP request, free of the transport. Header names are in lower case. */
export interface HttpQuestion {
  readonly method: string
  readonly path: string
  /** Without the question mark. */
  readonly query: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer | string
  readonly requestId: string
  /** Who asks: the client, also behind a trusted proxy. To be called before the handler returns or first awaits. */
  readonly address: () => string
}

export interface HttpAnswer {
  readonly status: number
  /** UTF-8 in place of a text that is given again and again. */
  readonly body: string | Buffer
  readonly headers: Readonly<Record<string, string>>
  /** Whether the connection is to be closed after the answer. */
  readonly close?: boolean
}

export type HttpHandler = (question: HttpQuestion) => HttpAnswer | Promise<HttpAnswer>

const JSON_HEADERS = { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' } as const

export function jsonAnswer(status: number, value: unknown, headers?: Readonly<Record<string, string>>): HttpAnswer {
  return jsonTextAnswer(status, JSON.stringify(value), headers)
}

/** As `jsonAnswer`, of a value that was written out already. */
export function jsonTextAnswer(status: number, body: string, headers?: Readonly<Record<string, string>>): HttpAnswer {
  return { status, body, headers: headers ? { ...JSON_HEADERS, ...headers } : JSON_HEADERS }
}

export interface ErrorDetail {
  readonly retryAfterMs?: number
  readonly message?: string
  readonly field?: string
  readonly headers?: Readonly<Record<string, string>>
}

export function errorAnswer(code: ErrorCode, requestId: string, detail: ErrorDetail = {}): HttpAnswer {
  const { status, message } = ERRORS[code]
  const retry: Record<string, string> =
    status === 429 || status === 503
      ? { 'Retry-After': String(Math.ceil((detail.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1000)) }
      : {}
  const { field } = detail
  return jsonAnswer(
    status,
    { error: { code, message: detail.message ?? message, ...(field && { field }) }, request_id: requestId },
    { ...retry, ...detail.headers },
  )
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
