import { ChatError } from '../../client/accounts.ts'
import { type TextKey, t } from '../texts/index.ts'

/** What a code means where this happened, if something else than usual. */
export type Meanings = Readonly<Record<string, TextKey>>

const TEXTS: Meanings = {
  network: 'error.network',
  invalid_credentials: 'error.invalid_credentials',
  username_taken: 'error.username_taken',
  weak_password: 'error.weak_password',
  invite_invalid: 'error.invite_invalid',
  forbidden: 'error.forbidden',
  account_suspended: 'auth.suspended',
  unauthorized: 'line.unauthorized',
  overloaded: 'error.unavailable',
  unavailable: 'error.unavailable',
  internal: 'error.unavailable',
  payload_too_large: 'error.picture',
  unsupported_media_type: 'error.picture',
}
const FIELDS: Readonly<Record<string, string>> = { username_taken: 'username', weak_password: 'password' }

/** Why something did not work, in words, and at which field of the form where it is one. */
export interface Failure {
  readonly text: string
  readonly field: string | undefined
}

export function failureOf(error: unknown, meanings: Meanings = {}): Failure {
  if (!(error instanceof ChatError)) return { text: t('error.generic'), field: undefined }
  const { code, retryAfterMs = 1000 } = error
  const field = FIELDS[code] ?? error.field
  if (code === 'rate_limited') {
    return { text: t('error.rate_limited', { count: Math.ceil(retryAfterMs / 1000) }), field: undefined }
  }
  const key = meanings[`${code} ${field}`] ?? meanings[code] ?? TEXTS[code]
  if (key === undefined && code === 'invalid_request' && field === 'username')
    return { text: t('error.username'), field }
  return { text: t((key ?? 'error.generic') as 'error.generic'), field }
}
