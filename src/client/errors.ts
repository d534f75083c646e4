import type { ErrorCode } from '../protocol/codes.ts'
import type { ErrorReply } from '../protocol/events.ts'

const FOR_NOW: readonly string[] = ['rate_limited', 'too_many_in_flight', 'internal', 'overloaded', 'unavailable']

/**
 * Why something failed: a code of the protocol, or one of this client's own. `rejected_by_transport`: the connection ended
 * each time this message was written to it. `held`: too old to be sent without asking. `overflow`: a reader fell too far behind.
 * `network`: no answer at all.
 */
export type FailureCode = ErrorCode | 'rejected_by_transport' | 'held' | 'overflow' | 'network' | (string & {})

export interface ErrorDetails {
  readonly code: FailureCode
  readonly message?: string | undefined
  readonly field?: string | undefined
  readonly temporary?: boolean
  readonly retryAfterMs?: number | undefined
  readonly requestId?: string | undefined
}

export class ChatError extends Error {
  override readonly name: string = 'ChatError'
  declare readonly code: FailureCode
  declare readonly field: string | undefined
  /** Whether the same request may succeed later. */
  declare readonly temporary: boolean
  declare readonly retryAfterMs: number | undefined
  /** Names the request in the server's log. */
  declare readonly requestId: string | undefined

  constructor({ message, ...details }: ErrorDetails) {
    super(message ?? details.code)
    Object.assign(this, { temporary: false }, details)
  }
}

/** Whether the same command may succeed later: the server says so, or the code does. */
export const isForNow = ({ code, retry_after_ms }: ErrorReply): boolean =>
  retry_after_ms !== undefined || FOR_NOW.includes(code)

/** Thrown by `getToken` when there will be no token: the client stops and asks no more. */
export class AuthError extends ChatError {
  override readonly name = 'AuthError'

  constructor(message = 'No token for this user.') {
    super({ code: 'unauthorized', message })
  }
}
