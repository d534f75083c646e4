import type { UserId } from '../protocol/message.ts'
import type { ControlMessage } from './control-codec.ts'

/** One event for one user's connections on other instances. */
export interface Envelope {
  /** Of a message: its sender, its receiver and its place. */
  readonly message?: { readonly seq: number; readonly sender_id: UserId; readonly receiver_id: UserId }
  /** The event as a JSON frame. */
  readonly json: string
}

export interface BrokerListener {
  received(userId: UserId, envelopes: readonly Envelope[]): void
  /** Frames from other instances may have been lost; how long ago is not known. */
  gap(): void
  /** Another instance told something other than a gap. */
  told(message: Exclude<ControlMessage, { kind: 'gap' }>): void
}

/**
 * Carries events to the OTHER instances that subscribed to their user: at most once, in order per publisher, never back to
 * the publisher. Every possible loss of a batch is reported as a gap, here or, when it was a publish that failed, to the
 * others as soon as they can be reached. No method throws or waits for the network, except `subscribe` and `close`.
 */
export interface Broker {
  listen(listener: BrokerListener): void
  /** False while frames cannot arrive, or what is published here is refused: then PostgreSQL has to be polled. */
  readonly isConnected: boolean
  /** Resolves when frames for this user will arrive, or at once when they cannot. Subscribing twice is once. */
  subscribe(userId: UserId): Promise<void>
  unsubscribe(userId: UserId): void
  /** Adds an event to the batch under way. */
  add(userId: UserId, envelope: Envelope): void
  /** Publishes the batch, in as few calls as are good for other calls that wait for the broker. */
  flush(): void
  /** Publishes at once what may be lost: dropped where messages would have to wait for it, and then no gap. */
  offer(userId: UserId, envelope: Envelope): void
  /** Tells all other instances, at most once. */
  tell(message: ControlMessage): void
  close(): Promise<void>
}
