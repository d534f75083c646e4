import type { QueuedSend } from '../messages/send-queue.ts'
import type { Fault } from './wire/faults.ts'

/** Of what a send names only its receiver can be unknown: whoever sends has an account, or nobody needs one. */
const UNKNOWN_RECEIVER: Fault = {
  code: 'not_found',
  message: 'There is nobody here with this id to begin a conversation with.',
  field: 'receiver_id',
}
const NOT_ACCEPTED: Fault = { code: 'not_accepted', field: 'receiver_id' }
const ID_CONFLICT: Fault = { code: 'id_conflict', field: 'id' }

/** Why a send was not stored, or undefined: it was. */
export function sendFault({ refusal, fate }: Pick<QueuedSend, 'refusal' | 'fate'>): Fault | undefined {
  if (refusal !== undefined) return refusal === 'not_found' ? UNKNOWN_RECEIVER : { code: refusal }
  if (fate === 'closed') return NOT_ACCEPTED
  return fate === 'conflict' ? ID_CONFLICT : undefined
}
