import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import { EncodedEvent } from './encoded.ts'
import type { Fanout } from './fanout.ts'
import type { LocalUsers } from './local-users.ts'
import { receiptsOf, toMessage } from './pushes.ts'
import type { Recipient } from './recipient.ts'

const JOINED = Promise.resolve()

/** Fan-out of a single instance: what it did not commit itself, nobody did. */
export class LocalFanout implements Fanout {
  readonly #users: LocalUsers

  constructor(users: LocalUsers) {
    this.#users = users
  }

  joined(recipient: Recipient): Promise<void> {
    this.#users.add(recipient)
    return JOINED
  }

  left(recipient: Recipient): void {
    this.#users.remove(recipient)
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

  position(change: PositionChange): void {
    for (const { userId, encoded } of receiptsOf(change)) {
      for (const recipient of this.#users.of(userId)) if (recipient !== change.origin) recipient.event(encoded)
    }
  }

  batchDone(): void {
    // Everything has been pushed already.
  }

  typing(receiver: UserId, encoded: EncodedEvent): void {
    for (const recipient of this.#users.of(receiver)) recipient.event(encoded)
  }
}
