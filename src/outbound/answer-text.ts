/** What an answer of HTTP/1.1 says, as far as anybody here wants to know. */
export interface AnswerText {
  readonly status: number
  readonly retryAfter: string | undefined
  /** It ended where the text ends, and another request may follow on the connection. */
  readonly isReusable: boolean
}

/** Of all heads together, where none ends the answer. */
const MAX_TEXT = 16_384
const END_OF_HEAD = '\r\n\r\n'

/**
 * Reads an answer to one request from all that came so far, one byte a character. Undefined: the rest is yet to come. Throws
 * for what is no answer. Of anything unusual only the head is believed: then nothing more is read from the connection.
 */
export function readAnswer(text: string, maxBodyBytes: number): AnswerText | undefined {
  const headEnd = text.indexOf(END_OF_HEAD)
  if (headEnd < 0) return text.length > MAX_TEXT ? tooLong() : undefined
  const [first = '', ...lines] = text.slice(0, headEnd).split('\r\n')
  const [, minor, code] = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(first) ?? []
  if (code === undefined || code === '101') throw new Error('no answer of HTTP/1.1')
  const rest = text.slice(headEnd + END_OF_HEAD.length)
  const status = Number(code)
  // It says that another one follows (RFC 9110, 15.2).
  if (status < 200) return text.length > MAX_TEXT ? tooLong() : readAnswer(rest, maxBodyBytes)
  const headers = headersIn(lines)
  const end = bodyEnd(status, headers, rest, maxBodyBytes)
  if (end === 'later') return undefined
  const isKept = minor === '1' && !/close|upgrade/i.test(headers.get('connection') ?? '')
  return { status, retryAfter: headers.get('retry-after'), isReusable: isKept && end === rest.length }
}

function tooLong(): never {
  throw new Error('the head of the answer is too long')
}

/** By lower case; of one that is there twice both values, which is then no number. */
function headersIn(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const known = headers.get(name)
    headers.set(name, known === undefined ? value : `${known}, ${value}`)
  }
  return headers
}

type Headers = ReadonlyMap<string, string>

/** Where the body ends (RFC 9112, 6.3). Undefined: nobody can say, or it is not worth to be waited for. */
function bodyEnd(status: number, headers: Headers, rest: string, maxBytes: number): number | 'later' | undefined {
  if (status === 204 || status === 304) return 0
  const length = headers.get('content-length')
  const coding = headers.get('transfer-encoding')
  if (coding !== undefined) {
    if (length !== undefined || coding.toLowerCase() !== 'chunked') return undefined
    const end = chunksEnd(rest)
    return end === 'later' && rest.length > maxBytes ? undefined : end
  }
  if (length === undefined || !/^\d{1,9}$/.test(length) || Number(length) > maxBytes) return undefined
  return rest.length >= Number(length) ? Number(length) : 'later'
}

/** RFC 9112, 7.1, without extensions and trailers. */
function chunksEnd(text: string): number | 'later' | undefined {
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return 'later'
    const size = text.slice(at, lineEnd)
    if (!/^[\da-f]{1,6}$/i.test(size)) return undefined
    const end = lineEnd + 2 + Number.parseInt(size, 16) + 2
    if (text.length < end) return 'later'
    if (text.slice(end - 2, end) !== '\r\n') return undefined
    if (/^0+$/.test(size)) return end
    at = end
  }
}
