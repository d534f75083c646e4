import { STATUS_CODES } from 'node:http'
import type { RestAnswer } from '../gateway/rest-exchange.ts'
import type { HttpResponse } from './uws.ts'

const NOT_MODIFIED = 304
/** A larger body is written in parts. */
const MAX_COPIED_BYTES = 64 * 1024

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
export function writeAnswer(res: HttpResponse, answer: RestAnswer, requestId: string, method: string): void {
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
