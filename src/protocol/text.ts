import type { ErrorCode } from './codes.ts'

const utf8 = new TextEncoder()

/** A UTF-16 unit is at most three bytes of UTF-8, so short text needs no encoding to be measured. */
export const isLonger = (text: string, maxBytes: number): boolean =>
  text.length * 3 > maxBytes && utf8.encode(text).length > maxBytes

/** Why `content` cannot be a message's text, or undefined when it can. */
export function contentFault(content: string, maxBytes: number): ErrorCode | undefined {
  if (content.length === 0) return 'invalid_request'
  if (isLonger(content, maxBytes)) return 'payload_too_large'
  if (content.includes('\0') || !content.isWellFormed()) return 'invalid_text'
  return undefined
}
