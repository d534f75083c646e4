import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import { EncodedEvent, messagePush } from './encoded.ts'
import type { Fanout } from './fanout.ts'
import type { LocalUsers } from './local-users.ts'
import { receiptsOf } from './receipts.ts'

const JOINED = Promise.resolve()

/** Fan-out of a single instance: every commit is its own. */
export class LocalFanout implements Fanout {
  readonly #users: LocalUsers

  constructor(users: LocalUsers) {
    this.#users = users
  }

  joined(): Promise<void> {
    return JOINED
  }

  left(): void {
    // No other instance was told that the user was here.
  }

  /** To every socket of the receiver and to the sender's other sockets; the sending one gets its reply instead (a replay may repeat it there). */
  message(send: QueuedSend): void {
    const receivers = this.#users.of(send.receiver_id)
    const senders = send.sender_id === send.receiver_id ? [] : this.#users.of(send.sender_id)
    const asker: unknown = send.asker
    if (receivers.length === 0 && (senders.length === 0 || (senders.length === 1 && senders[0] === asker))) return
    const message = messagePush(send)
    const encoded = new EncodedEvent(message)
    for (const recipient of receivers) if (recipient !== asker) recipient.message(message, encoded)
    for (const recipient of senders) if (recipient !== asker) recipient.message(message, encoded)
  }

  position(change: PositionChange): void {
    for (const { userId, encoded } of receiptsOf(change)) {
      for (const recipient of this.#users.of(userId)) if (recipient !== change.movedBy) recipient.event(encoded)
    }
  }

  batchDone(): void {
    // Everything has been pushed already.
  }

  typing(receiver: UserId, encoded: EncodedEvent): void {
    for (const recipient of this.#users.of(receiver)) recipient.event(encoded)
  }
}
