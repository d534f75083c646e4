import { otherPerson } from '../messages/conversation.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { Announcer } from '../messages/service.ts'
import type { PositionChange } from '../messages/store.ts'
import type { Message } from '../protocol/message.ts'
import { EncodedEvent } from './encoded.ts'
import type { LocalUsers } from './local-users.ts'

/** Fan-out of what was committed, to every connection of both people on this instance. */
export class Delivery implements Announcer {
  readonly #users: LocalUsers

  constructor(users: LocalUsers) {
    this.#users = users
  }

  /** To every socket of the receiver and to the sender's other sockets; the sending one gets its reply instead. */
  message(send: QueuedSend): void {
    const receivers = this.#users.of(send.receiver_id)
    const senders = send.sender_id === send.receiver_id ? [] : this.#users.of(send.sender_id)
    const origin: unknown = send.origin
    if (receivers.length === 0 && (senders.length === 0 || (senders.length === 1 && senders[0] === origin))) return
    const message = toMessage(send)
    const encoded = new EncodedEvent({ type: 'message', ...message })
    for (const recipient of receivers) if (recipient !== origin) recipient.message(message, encoded)
    for (const recipient of senders) if (recipient !== origin) recipient.message(message, encoded)
  }

  /**
   * Receipts: how far a person is, to the other person; and to the person's own other devices, so that reading on the phone
   * clears the laptop. They carry cumulative positions, so one that is lost is made up for by the next.
   */
  position({ conversation, user, delivered, read, origin }: PositionChange): void {
    const other = otherPerson(conversation, user)
    const positions = { delivered_seq: delivered, read_seq: read }
    const own = new EncodedEvent({ type: 'receipt', with: other, ...positions, user_id: user })
    for (const recipient of this.#users.of(user)) if (recipient !== origin) recipient.event(own)
    if (other === user) return
    const receipt = new EncodedEvent({ type: 'receipt', with: user, ...positions })
    for (const recipient of this.#users.of(other)) recipient.event(receipt)
  }
}

function toMessage({ id, seq, sender_id, receiver_id, content, created_at }: QueuedSend): Message {
  return { id, seq, sender_id, receiver_id, content, created_at }
}
