import { addressIn } from '../messages/conversation.ts'
import type { PositionChange, RecentHead } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import { EncodedEvent } from './encoded.ts'

/**
 * How far a person is, told to the other person; and to the person's own other devices, so that reading on the phone clears
 * the laptop. Receipts carry cumulative positions, so one that is lost is made up for by the next, or by healing.
 */
export function receiptsOf({ conversation, user, delivered, read }: PositionChange): {
  readonly userId: UserId
  readonly encoded: EncodedEvent
}[] {
  const address = addressIn(conversation, user)
  const positions = { delivered_seq: delivered, read_seq: read }
  const own = {
    userId: user,
    encoded: new EncodedEvent({ type: 'receipt', with: address, ...positions, user_id: user }),
  }
  if (address === user) return [own]
  return [own, { userId: address, encoded: new EncodedEvent({ type: 'receipt', with: user, ...positions }) }]
}

/** What the receipts of this conversation would have told its user, had they come. */
export function missedReceipts({ user, with: address, ...head }: RecentHead): EncodedEvent[] {
  const theirs = { delivered_seq: head.peerDeliveredSeq, read_seq: head.peerReadSeq }
  const own = { delivered_seq: head.deliveredSeq, read_seq: head.readSeq }
  return [
    ...(theirs.delivered_seq > 0 ? [new EncodedEvent({ type: 'receipt', with: address, ...theirs })] : []),
    ...(own.delivered_seq > 0 ? [new EncodedEvent({ type: 'receipt', with: address, ...own, user_id: user })] : []),
  ]
}
