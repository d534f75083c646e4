import type { Encoding } from '../protocol/encoding.ts'
import type { UserId } from '../protocol/message.ts'
import type { EncodedEvent } from './encoded.ts'

/**
 * Fan-out to the sockets of this instance that subscribed to a topic: at most once, and without a sign when a slow reader
 * drops it. Only for presence: durable messages go to each socket with its result checked,
 * and a topic for each user, for typing, would cost every idle connection its memory.
 */
export interface Topics {
  publish(topic: string, encoded: EncodedEvent): void
}

/** Sockets of either encoding subscribe to a topic of their own: one frame cannot serve both. */
export const encodedTopic = (topic: string, encoding: Encoding): string => `${topic}/${encoding}`

export const presenceTopic = (userId: UserId): string => `presence/${userId}`
