import type { Logger } from '../lib/logger.ts'
import type { MessageService } from '../messages/service.ts'
import type { Presence } from '../presence/presence.ts'
import type { PushService } from '../push/service.ts'
import type { AccountServices } from './account-routes.ts'
import type { AuthServices } from './auth-routes.ts'
import type { Access, Credential } from './credential.ts'
import type { Guard } from './guard.ts'
import type { ReadTurns } from './read-turns.ts'
import type { RestAnswer, RestRequest } from './rest-exchange.ts'
import type { UserServices } from './user-routes.ts'

/** What the routes act on. */
export interface RouteServices {
  readonly messages: MessageService
  readonly presence: Presence
  readonly logger: Logger
  readonly maxContentBytes: number
  readonly guard: Guard
  readonly readTurns: ReadTurns
  readonly people: UserServices
  /** None under `AUTH=none`, where everybody is believed. */
  readonly auth: AuthServices | undefined
  /** None unless people sign in here. */
  readonly accounts: AccountServices | undefined
  /** None: push is off. */
  readonly push: PushService | undefined
  /** Bearer that `/metrics` takes from other machines; none: only this machine may read them. */
  readonly metricsToken: string | undefined
  /** Where people of the chat page get a token of the operator's own issuer. */
  readonly loginUrl: string | undefined
  readonly version: string
  /** Prometheus text. */
  metrics(): Promise<string>
  /** `reasons`: why the service cannot store right now, empty when it can. `degraded`: what works less well meanwhile. */
  readiness(): Promise<{ readonly reasons: readonly string[]; readonly degraded: readonly string[] }>
}

/** One method of one path. A route without a row here cannot be reached, and every row says who may use it. */
export interface Route {
  readonly access: Access
  /**
   * Whether the query holds more than `user_id`, and the route reads it. Elsewhere what a query says beside is refused, but for
   * routes that are open to anyone: those ignore it, as probes and caches add what they like.
   */
  readonly parsesQuery?: true
  handle(request: RestRequest, services: RouteServices, credential: Credential): RestAnswer | Promise<RestAnswer>
}
