/** Why a command or request failed: its HTTP status, what it says, and whether the same request may succeed later. */
interface ErrorDefinition {
  readonly status: number
  readonly message: string
  readonly temporary: boolean
}

/** Every error code of REST and WebSocket. Names are part of the wire contract. */
export const ERRORS = {
  invalid_json: { status: 400, message: 'The body is not valid JSON.', temporary: false },
  invalid_request: { status: 400, message: 'A field is missing, unknown or wrong.', temporary: false },
  invalid_text: {
    status: 400,
    message: 'The text holds U+0000 or a lone surrogate, which cannot be stored.',
    temporary: false,
  },
  invalid_ack: {
    status: 400,
    message: 'The position is above the last message of the conversation.',
    temporary: false,
  },
  invite_invalid: {
    status: 400,
    message: 'The invite or link is unknown, used up, revoked or expired.',
    temporary: false,
  },
  weak_password: { status: 400, message: 'The password is too easy to guess.', temporary: false },
  unauthorized: { status: 401, message: 'Credentials are missing, expired or wrong.', temporary: false },
  invalid_credentials: { status: 401, message: 'The name or the password is wrong.', temporary: false },
  forbidden: { status: 403, message: 'You may not do this as that user.', temporary: false },
  reauthentication_required: {
    status: 403,
    message: 'Sign in again first: this needs a login of the last five minutes.',
    temporary: false,
  },
  account_suspended: { status: 403, message: 'The account is suspended.', temporary: false },
  not_accepted: { status: 403, message: 'This person cannot be written to.', temporary: false },
  not_found: { status: 404, message: 'There is nothing here.', temporary: false },
  method_not_allowed: { status: 405, message: 'This address does not answer that method.', temporary: false },
  id_conflict: {
    status: 409,
    message: 'Another message of this conversation has this id and other content.',
    temporary: false,
  },
  username_taken: { status: 409, message: 'Somebody has this username.', temporary: false },
  refresh_in_progress: {
    status: 409,
    message: 'Another process has just used this refresh token; use the one that it was given.',
    temporary: false,
  },
  payload_too_large: { status: 413, message: 'The body or the text is too large.', temporary: false },
  unsupported_media_type: { status: 415, message: 'The body must be application/json.', temporary: false },
  upgrade_required: { status: 426, message: 'This address speaks WebSocket, version 13.', temporary: false },
  rate_limited: { status: 429, message: 'Too many requests; slow down.', temporary: true },
  too_many_in_flight: {
    status: 429,
    message: 'Too many sends wait for their commit; wait for replies.',
    temporary: true,
  },
  internal: { status: 500, message: 'Something went wrong on our side.', temporary: true },
  overloaded: { status: 503, message: 'The service is at its limit; nothing was stored.', temporary: true },
  unavailable: { status: 503, message: 'The service cannot store or read right now.', temporary: true },
  presence_unknown: { status: 503, message: 'Who is online is not known right now.', temporary: true },
} as const satisfies Record<string, ErrorDefinition>

export type ErrorCode = keyof typeof ERRORS

/** What a client should wait before it tries a temporary failure again, where nothing better is known. */
export const DEFAULT_RETRY_AFTER_MS = 1000

interface CloseDefinition {
  readonly code: number
  readonly reason: string
  /** Whether the client should connect again and resume. */
  readonly reconnect: boolean
}

/** Every code with which this service closes a WebSocket. Numbers are part of the wire contract. */
export const CLOSES = {
  wrong_frame_kind: { code: 1003, reason: 'wrong frame kind', reconnect: false },
  undecodable: { code: 1007, reason: 'undecodable frame', reconnect: false },
  policy: { code: 1008, reason: 'policy', reconnect: false },
  too_large: { code: 1009, reason: 'frame too large', reconnect: false },
  internal: { code: 1011, reason: 'internal error', reconnect: true },
  restart: { code: 1012, reason: 'restart', reconnect: true },
  overloaded: { code: 1013, reason: 'overloaded', reconnect: true },
  unauthorized: { code: 4401, reason: 'credentials missing, expired or revoked', reconnect: true },
  forbidden: { code: 4403, reason: 'forbidden', reconnect: false },
  no_auth_in_time: { code: 4408, reason: 'no auth in time', reconnect: true },
  replaced: { code: 4409, reason: 'replaced by a newer connection', reconnect: false },
  slow_consumer: { code: 4413, reason: 'slow consumer', reconnect: true },
  rate_limited: { code: 4429, reason: 'rate limited', reconnect: true },
} as const satisfies Record<string, CloseDefinition>

export type CloseName = keyof typeof CLOSES
