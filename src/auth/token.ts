import { decodeBase64url } from '../lib/base64url.ts'
import { ownText } from '../lib/own-text.ts'

/** Why a token is refused. The log and a counter have it; whoever sent the token hears one answer for all. */
export type TokenFault =
  | 'too_long'
  | 'malformed'
  | 'header'
  | 'algorithm'
  | 'unknown_key'
  | 'signature'
  | 'claims'
  | 'expired'
  | 'not_yet_valid'
  | 'lifetime'
  | 'issuer'
  | 'audience'
  | 'subject'
  | 'revoked'

export class TokenError extends Error {
  readonly fault: TokenFault

  constructor(fault: TokenFault) {
    super(`the token is refused: ${fault}`)
    this.name = 'TokenError'
    this.fault = fault
  }
}

export const ALGORITHMS = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

/** A JSON Web Signature in its compact form (RFC 7515 §7.1), split and decoded; nothing of it is verified yet. */
export interface ParsedToken {
  readonly algorithm: Algorithm
  /** Only ever the key of a map: never a path, an address or part of a statement. */
  readonly keyId: string | undefined
  /** The second part, as it was sent. */
  readonly payload: string
  /** The third part, as it was sent. */
  readonly signature: string
  /** What was signed: the first two parts as they were sent. */
  readonly signed: string
}

/** Bytes of a token through any door (`protocol/README.md`). */
export const MAX_TOKEN_BYTES = 4096
const MAX_HEADER_BYTES = 512
const MAX_KEY_ID_LENGTH = 128
/** `typ` of an access token, RFC 9068 §2.1 and RFC 7519 §5.1; compared without case, as media types are. */
const TYPES = ['jwt', 'at+jwt']

/** Splits a token and reads its header, and decodes nothing else. Throws a TokenError for what no honest issuer writes there. */
export function parseToken(token: string): ParsedToken {
  if (token.length > MAX_TOKEN_BYTES) throw new TokenError('too_long')
  const first = token.indexOf('.')
  const second = token.indexOf('.', first + 1)
  if (first < 1 || second < 0 || token.indexOf('.', second + 1) >= 0) throw new TokenError('malformed')
  const header = headerOf(token.slice(0, first))
  return {
    algorithm: header.algorithm,
    keyId: header.keyId,
    payload: token.slice(first + 1, second),
    signature: token.slice(second + 1),
    signed: token.slice(0, second),
  }
}

type Header = Pick<ParsedToken, 'algorithm' | 'keyId'>

/** The header that was accepted last: an issuer writes the same one into each of its tokens. */
let last: { readonly text: string; readonly header: Header } | undefined

function headerOf(text: string): Header {
  if (last?.text === text) return last.header
  const head = decodeBase64url(text)
  if (!head) throw new TokenError('malformed')
  if (head.byteLength > MAX_HEADER_BYTES) throw new TokenError('header')
  const header = parseHeader(head)
  last = { text: ownText(text), header }
  return header
}

/**
 * `alg`, `kid` and `typ` are all that a header may hold. `crit`, `b64` and `zip` change what is verified; `jku`, `jwk`, `x5u`
 * and `x5c` let the token bring its own key (RFC 8725 §3.10).
 */
function parseHeader(head: Buffer): Header {
  const fields = parseObject(head)
  if (!fields || Object.keys(fields).some((name) => !['alg', 'kid', 'typ'].includes(name)))
    throw new TokenError('header')
  const { alg, kid, typ } = fields
  if (typ !== undefined && !(typeof typ === 'string' && TYPES.includes(typ.toLowerCase())))
    throw new TokenError('header')
  if (kid !== undefined && !(typeof kid === 'string' && kid.length <= MAX_KEY_ID_LENGTH)) throw new TokenError('header')
  const algorithm = ALGORITHMS.find((one) => one === alg)
  if (!algorithm) throw new TokenError('algorithm')
  return { algorithm, keyId: kid }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The JSON object in these bytes, or undefined. Its own properties alone are to be read: `__proto__` is a name as any other. */
export function parseObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes))
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return Object.assign(Object.create(null), value)
  } catch {
    return undefined
  }
}
