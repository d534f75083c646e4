import type { MessageItem } from '../../client/index.ts'
import { t } from '../texts/index.ts'

const KNOWN = [
  'payload_too_large',
  'invalid_text',
  'forbidden',
  'not_accepted',
  'not_found',
  'rejected_by_transport',
  'held',
  'id_conflict',
] as const

/** Why a message was not sent, in words. */
export function refusalText(code: MessageItem['code']): string {
  const known = KNOWN.find((one) => one === code)
  return t(known ? `fail.${known}` : 'fail.generic')
}
