import type { TimeOfDay } from '../lib/clock.ts'
import type { Logger } from '../lib/logger.ts'
import type { Authenticator, AuthFault, Verification } from './authenticator.ts'
import type { TokenIdentity } from './claims.ts'
import type { Revocations } from './revocations.ts'
import type { ServiceKey } from './service-key.ts'
import type { ServiceKeys } from './service-keys.ts'
import { redeemTicket, type TicketStore } from './tickets.ts'
import type { TokenVerifier } from './token-verifier.ts'

export interface JwtAuthenticatorOptions {
  readonly verifier: TokenVerifier
  readonly revocations: Revocations
  readonly serviceKeys: ServiceKeys
  readonly tickets: TicketStore
  readonly leewaySeconds: number
  readonly time: TimeOfDay
  readonly logger: Logger
  /** Counts refusals; who is refused hears no reason. */
  readonly observer: { credentialRefused(fault: AuthFault): void }
}

/** `AUTH=jwt`: tokens of an issuer, tickets and service keys, each against what was revoked. Fails closed. */
export class JwtAuthenticator implements Authenticator {
  readonly #options: JwtAuthenticatorOptions

  constructor(options: JwtAuthenticatorOptions) {
    this.#options = options
  }

  verify(token: string): Verification {
    const { verifier, revocations } = this.#options
    if (revocations.isStale) return this.#refused('unavailable')
    const verdict = verifier.verify(token)
    if ('identity' in verdict) return this.#unlessRevoked(verdict.identity)
    // Not refused yet: whoever asked verifies it again once the key has been looked for.
    return verdict.later === undefined ? this.#refused(verdict.fault) : verdict
  }

  isRevoked(identity: Omit<TokenIdentity, 'expiresAtMs'>): boolean {
    return this.#options.revocations.isRevoked(identity)
  }

  isSuspended(identity: Omit<TokenIdentity, 'expiresAtMs'>): boolean {
    return this.#options.revocations.isSuspended(identity)
  }

  async redeem(ticket: string): Promise<Verification> {
    const { tickets, revocations, time, leewaySeconds, logger } = this.#options
    if (revocations.isStale) return this.#refused('unavailable')
    try {
      const identity = await redeemTicket(tickets, ticket)
      if (!identity) return this.#refused('ticket')
      if (identity.expiresAtMs + leewaySeconds * 1000 <= time.epochMs()) return this.#refused('expired')
      return this.#unlessRevoked(identity)
    } catch (error) {
      logger.debug({ err: error }, 'a ticket could not be looked up')
      return this.#refused('unavailable')
    }
  }

  async verifyKey(text: string): Promise<{ readonly key: ServiceKey } | { readonly fault: AuthFault }> {
    const { serviceKeys, revocations, logger } = this.#options
    if (revocations.isStale) return this.#refused('unavailable')
    try {
      const key = await serviceKeys.verify(text)
      return key ? { key } : this.#refused('key')
    } catch (error) {
      logger.debug({ err: error }, 'a service key could not be looked up')
      return this.#refused('unavailable')
    }
  }

  #unlessRevoked(identity: TokenIdentity): Verification {
    return this.#options.revocations.isRevoked(identity) ? this.#refused('revoked') : { identity }
  }

  #refused(fault: AuthFault): { readonly fault: AuthFault } {
    const { observer, logger } = this.#options
    observer.credentialRefused(fault)
    logger.debug({ fault }, 'a credential was refused')
    return { fault }
  }
}
