import { addressOf, conversationBetween } from '../messages/conversation.ts'
import type { KnownHeads } from '../messages/known-heads.ts'
import type { QueuedSend } from '../messages/send-queue.ts'
import type { PositionChange } from '../messages/store.ts'
import type { Encoder } from '../protocol/encoding.ts'
import type { UserId } from '../protocol/message.ts'
import type { Broker, Envelope } from './broker.ts'
import type { Continuity } from './continuity.ts'
import { EncodedEvent, messagePush } from './encoded.ts'
import type { Fanout } from './fanout.ts'
import type { LocalUsers } from './local-users.ts'
import { receiptsOf } from './receipts.ts'
import type { MessagePlace } from './recipient.ts'

export interface ClusterFanoutOptions {
  readonly users: LocalUsers
  readonly broker: Broker
  readonly continuity: Continuity
  readonly heads: KnownHeads
  /** Of what the other instances are sent: they pass it on as it is. */
  readonly json: Encoder
  /** By the store's clock, when everybody was last compared with it. */
  comparedMs(): number
  /** A user's first connection to this instance; awaited before anything is read for any connection of this user. */
  arrived(user: UserId, sinceMs: number): Promise<void>
}

/** Fan-out of one instance among several: to its own sockets directly, to the others' through the broker. */
export class ClusterFanout implements Fanout {
  readonly #options: ClusterFanoutOptions
  readonly #arriving = new Map<UserId, Promise<void>>()

  constructor(options: ClusterFanoutOptions) {
    this.#options = options
  }

  async joined(userId: UserId): Promise<void> {
    const { continuity, broker, comparedMs } = this.#options
    const sinceMs = comparedMs()
    if (continuity.joined(userId, sinceMs)) this.#arrive(userId, sinceMs)
    await Promise.all([broker.subscribe(userId), this.#arriving.get(userId)])
  }

  #arrive(userId: UserId, sinceMs: number): void {
    const arrival = this.#options.arrived(userId, sinceMs)
    this.#arriving.set(userId, arrival)
    void arrival.then(() => {
      // The user may have left and come again meanwhile.
      if (this.#arriving.get(userId) === arrival) this.#arriving.delete(userId)
    })
  }

  left(userId: UserId): void {
    const { users, continuity, broker } = this.#options
    if (users.of(userId).length > 0) return
    continuity.left(userId)
    broker.unsubscribe(userId)
  }

  message(send: QueuedSend): void {
    const { broker, json } = this.#options
    const message = messagePush(send)
    const encoded = new EncodedEvent(message)
    const envelope = { message, json: encoded.frame(json) }
    for (const userId of new Set([send.receiver_id, send.sender_id])) {
      this.#offer(userId, message, encoded, send.asker)
      broker.add(userId, envelope)
    }
  }

  position(change: PositionChange): void {
    const { broker, json } = this.#options
    for (const { userId, encoded } of receiptsOf(change)) {
      this.#event(userId, encoded, change.movedBy)
      broker.add(userId, { json: encoded.frame(json) })
    }
  }

  batchDone(): void {
    this.#options.broker.flush()
  }

  typing(receiver: UserId, encoded: EncodedEvent): void {
    const { broker, json } = this.#options
    this.#event(receiver, encoded)
    broker.offer(receiver, { json: encoded.frame(json) })
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

  #offer(userId: UserId, message: MessagePlace, encoded: EncodedEvent, asker?: object): void {
    const { users, continuity } = this.#options
    const address = addressOf(message, userId)
    const push = (mayLackBelow: boolean): void => {
      for (const recipient of users.of(userId)) {
        // Also the one that sent it: no later push will be unsure.
        if (mayLackBelow) recipient.mayLackBelow(address)
        if (recipient !== asker) recipient.message(message, encoded)
      }
    }
    continuity.offer(userId, address, { seq: message.seq, asker, push })
  }

  #event(userId: UserId, encoded: EncodedEvent, exceptFor?: object): void {
    for (const recipient of this.#options.users.of(userId)) if (recipient !== exceptFor) recipient.event(encoded)
  }
}
