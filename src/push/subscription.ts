import { createPublicKey } from 'node:crypto'
import { decodeBase64url } from '../lib/base64url.ts'
import type { UserId } from '../protocol/message.ts'

/** How much a notification tells whoever sees the screen. */
export const PUSH_CONTENTS = ['none', 'sender', 'full'] as const
export type PushContent = (typeof PUSH_CONTENTS)[number]

/** What a browser makes for one page. Source: W3C Push API, `PushSubscription.toJSON()`. */
export interface BrowserSubscription {
  readonly endpoint: string
  /** base64url: the browser's public key, and the secret that both sides share. */
  readonly p256dh: string
  readonly auth: string
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number | undefined
}

/** The whole state of one browser, as its page declares it. */
export interface Declaration {
  readonly userId: UserId
  /** The login that it ends with; undefined: it is the user's as a whole. */
  readonly sessionId: string | undefined
  readonly subscription: BrowserSubscription
  readonly content: PushContent
  readonly locale: string | undefined
}

/** A browser that is to be told something. */
export interface Subscription {
  readonly id: string
  readonly userId: UserId
  readonly endpoint: string
  readonly host: string
  readonly p256dh: string
  readonly auth: string
  readonly vapidKid: string
  readonly content: PushContent
  readonly locale: string | undefined
}

/** Durable subscriptions. Every call rejects when the database refuses or is away. */
export interface SubscriptionStore {
  /** The last owner of an endpoint has it; of one user's the longest silent one goes when there are more than ten. */
  put(declaration: Declaration, vapidKid: string): Promise<void>
  /** Of one that is another's, or not there, it does nothing. */
  remove(userId: UserId, endpoint: string): Promise<void>
  /**
   * All of a user, for a test; `wait`: the last test is not ten seconds ago. Those that ended with their login are not among
   * them.
   */
  takeForTest(userId: UserId): Promise<readonly Subscription[] | 'wait'>
  /** Everybody who has one, a page at a time in the order of their ids: those after `after`. */
  users(after: UserId, limit: number): Promise<UserId[]>
  /** The users who declared one since then, by the database's time, and that time now; without a time no user. */
  usersSince(sinceMs: number | undefined): Promise<{ readonly users: readonly UserId[]; readonly asOfMs: number }>
  /** What the push services said of them. */
  note(verdicts: readonly Verdict[]): Promise<void>
  /** Takes away what ended with its login, by its browser's word, or by months of silence; returns those to be asked. */
  cleanUp(): Promise<readonly Subscription[]>
}

/** What a push did to its subscription. */
export interface Verdict {
  readonly id: string
  /**
   * `refused`: counts against it; after three in a row it goes if it never worked. `clear`: a push that only took a notification
   * away was sent.
   */
  readonly kind: 'sent' | 'clear' | 'gone' | 'refused'
}

const POINT_BYTES = 65
const AUTH_BYTES = 16

/** Whether these are keys that something can be encrypted for: a point on the curve, and 16 bytes. */
export function areKeys({ p256dh, auth }: Pick<BrowserSubscription, 'p256dh' | 'auth'>): boolean {
  const point = decodeBase64url(p256dh)
  if (decodeBase64url(auth)?.byteLength !== AUTH_BYTES) return false
  if (point?.byteLength !== POINT_BYTES || point[0] !== 4) return false
  const [x, y] = [point.subarray(1, 33).toString('base64url'), point.subarray(33).toString('base64url')]
  try {
    createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x, y } })
    return true
  } catch {
    return false // no point of the curve
  }
}
