/** What an answer of a push service means for the push, its subscription and its host. */
export type PushFate =
  /** Taken. */
  | 'sent'
  /** The subscription is no more. */
  | 'gone'
  /** The payload is too large for it. */
  | 'too_large'
  /** The whole host wants to be left alone for a while. */
  | 'busy'
  /** Something is wrong there, or between here and there; later it may work. */
  | 'failed'
  /** It does not accept who is asking. */
  | 'refused'
  /** It does not accept this push, and would not accept it later. */
  | 'bad'

/**
 * Only 404 and 410 say that a subscription has ended (browsers' services flipped between them). A redirect is a failure: it is
 * not followed. Sources: RFC 8030, 5 and 8.4; the services' own documents.
 */
export function fateOf(status: number, retryAfterSeconds: number | undefined): PushFate {
  if (status >= 200 && status < 300) return 'sent'
  if (status === 404 || status === 410) return 'gone'
  if (status === 413) return 'too_large'
  if (status === 429 || (status === 503 && retryAfterSeconds !== undefined)) return 'busy'
  if (status === 401 || status === 403) return 'refused'
  return status >= 400 && status < 500 && status !== 408 ? 'bad' : 'failed'
}

/** Seconds until the next attempt of a push that failed, by how often it has. */
const RETRY_SECONDS = [5, 30, 120, 600, 3_600]

export function retrySeconds(attempts: number, random: number): number {
  const seconds = RETRY_SECONDS[Math.min(attempts, RETRY_SECONDS.length - 1)] ?? 3_600
  // Spread by a fifth, so that those that failed together do not come back together.
  return seconds * (0.9 + random * 0.2)
}
