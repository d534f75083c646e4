import type { Target } from './service.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The parsed text when it is JSON, else undefined. */
  readonly body: Json | undefined
}

export type Json = Readonly<Record<string, unknown>>

export interface Call {
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent as it is, anything else as JSON. */
  readonly body?: unknown
}

/** One REST call; a body is `application/json` unless a header says otherwise. */
export async function call(target: Target, method: string, path: string, options: Call = {}): Promise<Answer> {
  const { body, headers } = options
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(`http://127.0.0.1:${target.port}${path}`, {
    method,
    headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
    ...(text !== undefined && { body: text }),
  })
  return answerOf(response.status, response.headers, await response.text())
}

export const get = (target: Target, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  call(target, 'GET', path, { headers })

/** `POST /api/send_message`. */
export const post = (target: Target, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  call(target, 'POST', '/api/send_message', { body, headers })

function answerOf(status: number, headers: Headers, text: string): Answer {
  const isJson = /^application\/json/.test(headers.get('content-type') ?? '')
  return { status, headers, text, body: isJson && text !== '' ? JSON.parse(text) : undefined }
}
