import type { UserId } from '../protocol/message.ts'
import type { Account } from './account.ts'
import type { Actor } from './audit.ts'
import type { NewSession } from './session.ts'

/** Of somebody who signs in. */
export interface Credentials {
  readonly account: Account
  readonly phc: string
  /** Whether this person signed in from this device before. */
  readonly isKnownDevice: boolean
}

/** What somebody may register by: nothing where everybody may, or the hash of an invite or of a bootstrap link. */
export type Door =
  | { readonly kind: 'open' }
  | { readonly kind: 'code'; readonly hash: Buffer; readonly mayInvite: boolean }

export interface Registration {
  readonly userId: UserId
  readonly username: string
  readonly displayName: string | undefined
  readonly phc: string
  readonly door: Door
}

/** What a login opens beside its session. */
export interface Opening {
  readonly session: Omit<NewSession, 'userId' | 'deviceHash'>
  readonly deviceHash: Buffer
  /** Hash of the cookie that the browser had before: that session ends with the new one. */
  readonly replaces: Buffer | undefined
  readonly actor: Actor
}

/** A session that tokens can be issued for. */
export interface OpenSession {
  readonly userId: UserId
  readonly sessionId: string
  /** The earliest `iat` by the database's clock that no revocation of this user refuses, seconds. */
  readonly issuedAtSeconds: number
}

/** Accounts and how people prove that one is theirs. Each method is one transaction, audit included; all reject without it. */
export interface AccountStore {
  find(userId: UserId): Promise<Account | undefined>
  /** By username without case; not of deleted accounts. */
  credentials(nameKey: string, deviceHash: Buffer | undefined): Promise<Credentials | undefined>
  /** Of somebody who is signed in, and waits for nobody who signs in. */
  credentialsOf(userId: UserId): Promise<Credentials | undefined>
  /** Whether a code would be taken right now; it is taken by `register` alone. */
  isCodeGood(door: Extract<Door, { kind: 'code' }>): Promise<boolean>
  register(
    registration: Registration,
    opening: Opening,
  ): Promise<(OpenSession & { readonly account: Account }) | 'username_taken' | 'invite_invalid'>
  /** Undefined when the account or its password is no longer what was verified. `rehashed`: where the parameters have risen. */
  login(verified: Credentials, opening: Opening, rehashed: string | undefined): Promise<OpenSession | undefined>
  /**
   * Notes that somebody makes a token of this person. From which second on it is not refused, by the database's clock; undefined unless
   * the account is active. `seconds`: for how long, where that was asked for.
   */
  issueToken(userId: UserId, by: Actor, seconds: number | undefined): Promise<number | undefined>
  /** One entry for each account, network and quarter of an hour; of names that nobody has one for all together. */
  loginFailed(failure: { userId: UserId | undefined; network: string; actor: Actor }): Promise<void>
  /** Every other session ends, links that would set another one are void, and of the known devices that of the kept session stays. False when the verified one is the password no more. */
  changePassword(verified: Credentials, phc: string, keptSession: string | undefined, actor: Actor): Promise<boolean>
  /** False unless the code was good; then it is used up, every session has ended, and no device is known any more. */
  recover(userId: UserId, codeHash: Buffer, phc: string, actor: Actor): Promise<boolean>
  /** For whom a link to set a password is good right now. */
  resetLinkOwner(linkHash: Buffer): Promise<Account | undefined>
  /** As `recover`, by a link. */
  reset(linkHash: Buffer, phc: string, actor: Actor): Promise<boolean>
  /** False when the account is gone. */
  setRecoveryCodes(userId: UserId, hashes: readonly Buffer[], actor: Actor): Promise<boolean>
  /** Adds a link that makes the first administrator; false while there is one. */
  addBootstrapLink(linkHash: Buffer, lifetimeSeconds: number, actor: Actor): Promise<boolean>
  /** Nobody signs in any more: does at once what waits for more. */
  finish(): Promise<void>
  /** Forgets what has ended: attempts, devices, links and sessions. */
  removeExpired(): Promise<void>
}
