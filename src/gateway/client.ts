import type { Fanout } from '../delivery/fanout.ts'
import type { LocalUsers } from '../delivery/local-users.ts'
import type { StoredPages } from '../delivery/stored-pages.ts'
import type { Clock } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Semaphore } from '../lib/semaphore.ts'
import type { SendOrigin } from '../messages/send-queue.ts'
import type { MessageService } from '../messages/service.ts'
import type { Presence } from '../presence/presence.ts'
import type { PresenceWatches } from '../presence/watches.ts'
import type { Codec } from '../protocol/codec.ts'
import type { CloseName } from '../protocol/codes.ts'
import type { CommandOf, Ref, Refusal } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'
import type { UserId } from '../protocol/message.ts'
import type { Guard } from './guard.ts'

export interface ConnectionLimits {
  readonly maxContentBytes: number
  readonly maxConnectionsPerUser: number
  /** Bytes waiting for a slow reader beyond which it lags. */
  readonly maxBackpressureBytes: number
  /** How long a reader may lag without reading before it is closed. */
  readonly laggingTimeoutMs: number
  readonly heartbeatSeconds: number
}

export interface ConnectionServices {
  readonly messages: MessageService
  readonly users: LocalUsers
  readonly presence: Presence
  readonly watches: PresenceWatches
  readonly fanout: Fanout
  readonly pages: StoredPages
  readonly guard: Guard
  readonly clock: Clock
  readonly logger: Logger
  readonly limits: ConnectionLimits
  /** Every open connection of this instance. */
  readonly connections: Set<Client>
  /** What they are reading from the store; each settles, and never rejects, when its answer is written. */
  readonly readsUnderWay: Set<Promise<void>>
}

export interface ClientIdentity {
  readonly userId: UserId
  readonly connectionId: string
  /** Where the client connected from. */
  readonly address: string
  readonly codec: Codec
  /** A client without a subprotocol: bare frames are sends, and what left this process counts as acknowledged. */
  readonly implicit: boolean
}

/** A connected client, as commands see it. */
export interface Client extends SendOrigin {
  readonly identity: ClientIdentity
  readonly services: ConnectionServices
  /** Sends that wait for their outcome. */
  sendsInFlight: number
  /** Settles when the positions moved so far have been queued; undefined once nothing moved since they were stored. */
  moving: Promise<unknown> | undefined
  /** Whose turn it is to read the store: one client must not keep the others waiting. */
  readonly reads: Semaphore
  readonly isOpen: boolean
  /** Starts to watch these users; their states now follow as pushes, and so does every change. `ref`: of the command. */
  watch(userIds: readonly UserId[], ref?: Ref): Promise<void>
  unwatch(userIds: readonly UserId[]): void
  /** A send with this id to that person is on its way; its outcome comes as a reply, so no push must repeat it. */
  sending(other: UserId, id: string): void
  /** Refuses a send because too many are in flight; a client that goes on regardless is closed. */
  overshot(command: CommandOf<'send'>): void
  reply(event: ServerEvent): void
  refuse(refusal: Refusal): void
  close(name: CloseName): void
}
