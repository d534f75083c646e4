import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { decodeBase64url } from '../lib/base64url.ts'

/** `mrt_<session>.<counter>.<mac>`: no row is kept of a token, only the key of its session and the counter that is next. */
export interface RefreshToken {
  readonly sessionId: string
  readonly counter: number
  readonly mac: Buffer
}

const PATTERN = /^mrt_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})$/

export function newMacKey(): Buffer {
  return randomBytes(32)
}

export function refreshToken(sessionId: string, counter: number, key: Buffer): string {
  return `mrt_${sessionId}.${counter}.${macOf(sessionId, counter, key).toString('base64url')}`
}

/** Undefined for what is no refresh token, also for a second spelling of one; whether it is a good one is asked of the key of its session. */
export function parseRefreshToken(text: string): RefreshToken | undefined {
  const [, sessionId, counter, macText] = PATTERN.exec(text) ?? []
  const mac = macText === undefined ? undefined : decodeBase64url(macText)
  if (sessionId === undefined || counter === undefined || mac === undefined) return undefined
  return { sessionId, counter: Number(counter), mac }
}

export function isGenuine({ sessionId, counter, mac }: RefreshToken, key: Buffer): boolean {
  return timingSafeEqual(mac, macOf(sessionId, counter, key))
}

function macOf(sessionId: string, counter: number, key: Buffer): Buffer {
  return createHmac('sha256', key).update(`${sessionId}.${counter}`).digest()
}
