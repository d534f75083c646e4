import type { UserId } from '../protocol/message.ts'
import type { TokenIdentity } from './claims.ts'
import type { ServiceKey } from './service-key.ts'
import type { TokenFault } from './token.ts'

/** A person who is asking. Under `AUTH=none` nothing but the id is known, and that is only claimed. */
export type Identity = { readonly userId: UserId } & Partial<TokenIdentity>

/** Why a credential is not accepted. Whoever sent it hears one answer for every fault, and `unavailable` for the last. */
export type AuthFault = TokenFault | 'ticket' | 'key' | 'unavailable'

export type Verification =
  | { readonly identity: TokenIdentity }
  /** `later`: the key is being looked for; verify again once it resolves. */
  | { readonly fault: AuthFault; readonly later?: Promise<void> }

/** What a person's token proves; a promise only where its key has to be looked for first. */
export function verified(authenticator: Authenticator, token: string): Verification | Promise<Verification> {
  const verification = authenticator.verify(token)
  if ('identity' in verification || verification.later === undefined) return verification
  return verification.later.then(() => authenticator.verify(token))
}

/** Tells whose a credential is. What needs no look at a server is answered in the call. */
export interface Authenticator {
  /** A person's token. */
  verify(token: string): Verification
  /** Whether what was verified before still holds: asked again once a socket is registered. */
  isRevoked(identity: Omit<TokenIdentity, 'expiresAtMs'>): boolean
  /** Whether that is because the account was suspended or deleted. */
  isSuspended(identity: Omit<TokenIdentity, 'expiresAtMs'>): boolean
  /** A single-use ticket. Never rejects. */
  redeem(ticket: string): Promise<Verification>
  /** A service key. Never rejects. */
  verifyKey(key: string): Promise<{ readonly key: ServiceKey } | { readonly fault: AuthFault }>
}
