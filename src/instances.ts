import { LocalAudience } from './delivery/audience.local.ts'
import type { Audience, Watchers } from './delivery/audience.ts'
import type { Envelope } from './delivery/broker.ts'
import { EncodedEvent } from './delivery/encoded.ts'
import { LocalFanout } from './delivery/fanout.local.ts'
import type { Fanout } from './delivery/fanout.ts'
import type { LocalUsers } from './delivery/local-users.ts'
import { presenceTopic, type Topics } from './delivery/topics.ts'
import type { Clock } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import type { Epoch } from './messages/epoch.ts'
import type { KnownHeads } from './messages/known-heads.ts'
import type { MessageReads } from './messages/store.ts'
import { MemoryPresence } from './presence/presence.memory.ts'
import type { Presence, PresenceState } from './presence/presence.ts'
import { presenceEvent } from './presence/presence-event.ts'
import { PresenceWatches } from './presence/watches.ts'
import type { UserChanged } from './protocol/events.ts'
import type { UserId } from './protocol/message.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** All in milliseconds. */
export interface InstanceTiming {
  /** How long an instance counts as living after it was heard of last. */
  readonly leaseMs: number
  /** Long enough for a page to reload or a client to reconnect. */
  readonly offlineGraceMs: number
}

export interface InstancesOptions {
  /** Names this instance to the others. */
  readonly instanceId: string
  readonly prefix: string
  readonly store: MessageReads
  readonly users: LocalUsers & Watchers
  readonly heads: KnownHeads
  readonly epoch: Pick<Epoch, 'current' | 'look'>
  readonly topics: Topics
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly timing: InstanceTiming
  /** Resolves when everything that this instance has committed so far is announced. */
  announced(): Promise<void>
  /** Another instance revoked somebody: a look at the database will find whom. */
  revoked(): void
  /** Told what came from another instance, once it is pushed; and when it came, milliseconds since the epoch. */
  readonly traces?: { received(userId: UserId, envelopes: readonly Envelope[], beganMs: number): void } | undefined
}

/** What an instance needs to act as one with the others, or alone. */
export interface Instances {
  readonly fanout: Fanout
  readonly presence: Presence
  readonly watches: PresenceWatches
  readonly audience: Audience
  /** Resolves when the others are known, or are not to be waited for: an instance starts without Redis, too. */
  joined(): Promise<void>
  /** The numbers of the store are no longer those that were known: it was set back, or is another one. */
  forget(): void
  /** False while pushes from other instances cannot arrive. */
  isConnected(): boolean
  /** Why Redis cannot be used right now; empty while it works, or is not needed. */
  degradations(): readonly string[]
  /** Tells the other instances of a revocation, at most once: they find it by themselves, only later. */
  tellRevoked(): void
  /** Tells the watchers of this user, here and elsewhere, at most once. */
  tellUserChanged(event: UserChanged): void
  close(): Promise<void>
}

/** There are no others. */
export function alone({ users, topics, clock, timing }: InstancesOptions): Instances {
  const presence = new MemoryPresence(clock)
  return {
    fanout: new LocalFanout(users),
    audience: new LocalAudience(users),
    presence,
    watches: watchesOf(presence, topics, clock, timing.offlineGraceMs),
    joined: () => Promise.resolve(),
    // What it commits itself it tells itself, and nothing is known of the rest.
    forget: () => undefined,
    isConnected: () => true,
    degradations: () => [],
    tellRevoked: () => undefined,
    tellUserChanged: (event) => publishUserChanged(topics, event),
    close: () => presence.close(),
  }
}

export function watchesOf(presence: Presence, topics: Topics, clock: Clock, graceMs: number): PresenceWatches {
  return new PresenceWatches({
    presence,
    clock,
    graceMs,
    announce: (state: PresenceState) =>
      topics.publish(presenceTopic(state.userId), new EncodedEvent(presenceEvent(state))),
  })
}

/** To the watchers of this user on this instance. */
export function publishUserChanged(topics: Topics, event: UserChanged): void {
  topics.publish(presenceTopic(event.user_id), new EncodedEvent(event))
}
