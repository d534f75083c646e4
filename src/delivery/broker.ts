import type { UserId } from '../protocol/message.ts'

/** One event for one user's connections on other instances. */
export interface Envelope {
  /** Of a message: who wrote it to whom, and its place. */
  readonly message?: { readonly seq: number; readonly sender_id: UserId; readonly receiver_id: UserId }
  /** The event as a JSON frame. */
  readonly json: string
}

export interface BrokerListener {
  received(userId: UserId, envelopes: readonly Envelope[]): void
  /** Since this time (milliseconds since the epoch) frames from other instances may have been lost. */
  gap(sinceMs: number): void
}

/**
 * Carries events to the OTHER instances that subscribed to their user: at most once, in order per publisher, never back to
 * the publisher. Whatever may have been lost is reported as a gap, here or, when it was a publish that failed, to the
 * others as soon as they can be reached. No method throws or waits for the network, except `subscribe` and `close`.
 */
export interface Broker {
  listen(listener: BrokerListener): void
  /** False while frames can not arrive: then PostgreSQL has to be polled. */
  readonly isConnected: boolean
  /** Resolves when frames for this user will arrive, or at once when they can not. Subscribing twice is once. */
  subscribe(userId: UserId): Promise<void>
  unsubscribe(userId: UserId): void
  /** Adds an event to the batch under way. */
  add(userId: UserId, envelope: Envelope): void
  /** Publishes the batch, in as few calls as are good for whoever else waits for the broker. */
  flush(): void
  close(): Promise<void>
}
