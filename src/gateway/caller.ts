import type { Identity } from '../auth/authenticator.ts'
import type { Semaphore } from '../lib/semaphore.ts'
import type { OutcomeListener } from '../messages/send-queue.ts'
import type { Mover } from '../messages/service.ts'
import type { CloseName } from '../protocol/codes.ts'
import type { CommandOf, Ref } from '../protocol/commands.ts'
import type { ServerEvent } from '../protocol/events.ts'
import type { UserId } from '../protocol/message.ts'
import type { Codec } from './wire/codec.ts'
import type { Refusal } from './wire/commands.ts'

/** The user of a connection, known before it exists, and what it speaks. */
export interface CallerIdentity extends Identity {
  readonly connectionId: string
  /** Where the client connected from. */
  readonly address: string
  readonly codec: Codec
  /** A client without a subprotocol: bare frames are sends, and what left this process counts as acknowledged. */
  readonly implicit: boolean
}

/** Positions that a client has moved since they were known to be stored; another object whenever one moves. */
export interface Advancing {
  /** Settles when those that had to be looked up are queued, too. */
  readonly looks: Promise<void> | undefined
}

/** A connected client, as commands see it. */
export interface Caller extends OutcomeListener, Mover {
  readonly identity: CallerIdentity
  /** Sends that wait for their outcome. */
  sendsInFlight: number
  /** Undefined once nothing moved since all was stored. */
  advancing: Advancing | undefined
  /** The turns in which this client looks at the store or at presence: one client must not keep the others waiting. */
  readonly turns: Semaphore
  readonly isOpen: boolean
  /** Whether a person looks at this client, as it says; one that says nothing is looked at. */
  isLooking: boolean
  /** Starts to watch these users: every change follows as a push. False when that was refused; `ref`: of the command. */
  watch(userIds: readonly UserId[], ref?: Ref): boolean
  /** What those of these users are now whom it watches. */
  tellStates(userIds: readonly UserId[]): Promise<void>
  unwatch(userIds: readonly UserId[]): void
  /** A send with this id to that person is on its way; its outcome comes as a reply, so no push must repeat it. */
  sending(peer: UserId, id: string): void
  /** Refuses a send because too many are in flight; a client that goes on regardless is closed. */
  overshot(command: CommandOf<'send'>): void
  reply(event: ServerEvent): void
  refuse(refusal: Refusal): void
  /** `reason`: what the client reads beside the code, in place of the usual words. */
  close(name: CloseName, reason?: string): void
}
