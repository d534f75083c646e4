import { conversationBetween } from '../messages/conversation.ts'
import type { KnownHeads } from '../messages/known-heads.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { UserId } from '../protocol/message.ts'
import type { Broker, Envelope } from './broker.ts'
import type { Continuity } from './continuity.ts'
import { EncodedEvent } from './encoded.ts'
import type { Fanout } from './fanout.ts'
import type { LocalUsers } from './local-users.ts'
import { receiptsOf, toMessage } from './pushes.ts'
import { type MessagePlace, otherOf, type Recipient } from './recipient.ts'

export interface ClusterFanoutOptions {
  readonly users: LocalUsers
  readonly broker: Broker
  readonly continuity: Continuity
  readonly heads: KnownHeads
  /** Somebody came of whom nobody was here; awaited before anything is read for them. */
  arrived(user: UserId): Promise<void>
}

/** Fan-out of one instance among several: to its own sockets directly, to the others' through the broker. */
export class ClusterFanout implements Fanout {
  readonly #options: ClusterFanoutOptions

  constructor(options: ClusterFanoutOptions) {
    this.#options = options
  }

  async joined(recipient: Recipient): Promise<void> {
    const { users, continuity, broker, arrived } = this.#options
    const { userId } = recipient
    users.add(recipient)
    const isFirst = continuity.joined(userId)
    await Promise.all([broker.subscribe(userId), isFirst && arrived(userId)])
  }

  left(recipient: Recipient): void {
    const { users, continuity, broker } = this.#options
    if (!users.remove(recipient)) return
    continuity.left(recipient.userId)
    broker.unsubscribe(recipient.userId)
  }

  message(send: QueuedSend): void {
    const { broker } = this.#options
    const message = toMessage(send)
    const encoded = new EncodedEvent({ type: 'message', ...message })
    const envelope = { message, json: encoded.json }
    for (const userId of new Set([send.receiver_id, send.sender_id])) {
      this.#offer(userId, message, encoded, send.origin)
      broker.add(userId, envelope)
    }
  }

  position(change: PositionChange): void {
    for (const { userId, encoded } of receiptsOf(change)) {
      this.#event(userId, encoded, change.origin)
      this.#options.broker.add(userId, { json: encoded.json })
    }
  }

  batchDone(): void {
    this.#options.broker.flush()
  }

  typing(receiver: UserId, encoded: EncodedEvent): void {
    const { broker } = this.#options
    this.#event(receiver, encoded)
    broker.add(receiver, { json: encoded.json })
    broker.flush()
  }

  /** From another instance. */
  received(userId: UserId, envelopes: readonly Envelope[]): void {
    for (const { message, json } of envelopes) {
      const encoded = new EncodedEvent(json)
      if (message) this.#remote(userId, message, encoded)
      else this.#event(userId, encoded)
    }
  }

  #remote(userId: UserId, message: MessagePlace, encoded: EncodedEvent): void {
    this.#options.heads.saw(conversationBetween(message.sender_id, message.receiver_id), message.seq)
    this.#offer(userId, message, encoded)
  }

  #offer(userId: UserId, message: MessagePlace, encoded: EncodedEvent, origin?: object): void {
    const { users, continuity } = this.#options
    const other = otherOf(message, userId)
    continuity.offer(userId, other, message.seq, (isUnsure) => {
      for (const recipient of users.of(userId)) {
        // Also the one that sent it: no later push will be unsure.
        if (isUnsure) recipient.unsure(other)
        if (recipient !== origin) recipient.message(message, encoded)
      }
    })
  }

  #event(userId: UserId, encoded: EncodedEvent, origin?: object): void {
    for (const recipient of this.#options.users.of(userId)) if (recipient !== origin) recipient.event(encoded)
  }
}
