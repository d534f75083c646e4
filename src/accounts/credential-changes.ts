import type { Revocations } from '../auth/revocations.ts'
import type { UserId } from '../protocol/message.ts'
import { usernameKey } from './account.ts'
import type { AccountStore, Credentials } from './account-store.ts'
import { type Asker, actorOf } from './asker.ts'
import { codeAttempt, ownAttempt, strangerAttempt, takeAttempt } from './attempts.ts'
import type { Guessed, Guesses } from './guesses.ts'
import type { PasswordHasher } from './passwords.ts'
import { placeOfPerson, placeOfStranger } from './places.ts'
import { AccountRefusal } from './refusal.ts'
import { hashOf, newRecoveryCode, recoveryCodeHash } from './secrets.ts'
import { checkPassword } from './sign-in.ts'
import type { Throttle } from './throttle.ts'

export interface CredentialChangesOptions {
  readonly store: AccountStore
  readonly hasher: PasswordHasher
  readonly throttle: Throttle
  readonly guesses: Pick<Guesses, 'attempt'>
  /** Of those who are signed in: they wait for nobody who signs in. */
  readonly ownThrottle: Throttle
  readonly revocations: Pick<Revocations, 'added'>
  readonly contextWords: () => readonly string[]
}

const RECOVERY_CODES = 10
/** No user has this id. */
const NOBODY: UserId = ''

/** Other passwords and names, and the ways back in without one. No way back signs in by itself. Rejects with an AccountRefusal. */
export class CredentialChanges {
  readonly #options: CredentialChangesOptions

  constructor(options: CredentialChangesOptions) {
    this.#options = options
  }

  /** The holder of a phone need not be its owner: throws unless this is the password of the account. */
  async prove(userId: UserId, password: string, asker: Asker): Promise<void> {
    await this.#asKnown(userId, asker, () => this.#prove(userId, password))
  }

  async #prove(userId: UserId, password: string): Promise<Credentials> {
    const { store, hasher, ownThrottle: throttle } = this.#options
    const known = await store.credentialsOf(userId)
    const attempt = ownAttempt(userId)
    await takeAttempt(throttle, attempt)
    const isRight = await hasher.verify('known', known?.phc, password)
    await throttle.giveBack(isRight ? attempt.guesses : attempt.rights)
    if (!isRight || !known) throw new AccountRefusal('invalid_credentials')
    return known
  }

  /** The other sessions end; the one that asks goes on. */
  changePassword(
    userId: UserId,
    sessionId: string | undefined,
    given: { current: string; next: string },
    asker: Asker,
  ): Promise<void> {
    return this.#asKnown(userId, asker, () => this.#changePassword(userId, sessionId, given, asker))
  }

  async #changePassword(
    userId: UserId,
    sessionId: string | undefined,
    given: { current: string; next: string },
    asker: Asker,
  ): Promise<void> {
    const { store, hasher, revocations } = this.#options
    const known = await this.#prove(userId, given.current)
    this.#check(given.next, [known.account.username, known.account.displayName])
    const phc = await hasher.hash('known', given.next)
    const isChanged = await store.changePassword(known, phc, sessionId, actorOf(asker, userId))
    if (!isChanged) throw new AccountRefusal('invalid_credentials')
    await revocations.added()
  }

  /** By one of the codes that a person has on paper. Throttled as logins are, and as silent about who exists. */
  recover(given: { username: string; code: string; next: string }, asker: Asker): Promise<void> {
    return this.#asStranger('recovery_code', asker, () => this.#recover(given, asker))
  }

  async #recover(given: { username: string; code: string; next: string }, asker: Asker): Promise<void> {
    const { store, hasher, throttle, revocations } = this.#options
    const nameKey = usernameKey(given.username)
    this.#check(given.next, [given.username])
    const attempt = strangerAttempt(nameKey, asker)
    await takeAttempt(throttle, attempt)
    const phc = await hasher.hash('stranger', given.next)
    const known = await store.credentials(nameKey, undefined)
    // Also for a name that nobody has a code is looked for: else the time would tell who exists.
    const userId = known?.account.userId ?? NOBODY
    const isGood = await store.recover(userId, recoveryCodeHash(given.code), phc, actorOf(asker))
    await throttle.giveBack(isGood ? attempt.guesses : attempt.rights)
    if (!isGood) throw new AccountRefusal('invalid_credentials')
    await revocations.added()
  }

  /** By a link that an administrator made: they never learn or set a password. */
  reset(given: { link: string; next: string }, asker: Asker): Promise<void> {
    return this.#asStranger('link', asker, () => this.#reset(given, asker))
  }

  async #reset(given: { link: string; next: string }, asker: Asker): Promise<void> {
    const { store, hasher, throttle, revocations } = this.#options
    const linkHash = hashOf(given.link)
    const owner = await store.resetLinkOwner(linkHash)
    if (!owner) throw new AccountRefusal('invite_invalid', LINK)
    this.#check(given.next, [owner.username, owner.displayName])
    const attempt = codeAttempt(asker)
    await takeAttempt(throttle, attempt)
    const phc = await hasher.hash('stranger', given.next)
    if (!(await store.reset(linkHash, phc, actorOf(asker)))) throw new AccountRefusal('invite_invalid', LINK)
    await throttle.giveBack(attempt.guesses)
    await revocations.added()
  }

  /** Ten codes, each good once; those before are void. They are shown this one time. */
  async newRecoveryCodes(userId: UserId, asker: Asker): Promise<string[]> {
    const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode)
    const hashes = codes.map(({ hash }) => hash)
    const isSet = await this.#options.store.setRecoveryCodes(userId, hashes, actorOf(asker, userId))
    if (!isSet) throw new AccountRefusal('unauthorized')
    return codes.map(({ text }) => text)
  }

  #asKnown<T>(userId: UserId, asker: Asker, work: () => Promise<T>): Promise<T> {
    const { guesses, hasher } = this.#options
    return hasher.admit(placeOfPerson(userId, asker), () => guesses.attempt('password', undefined, work))
  }

  #asStranger(what: Guessed, asker: Asker, work: () => Promise<void>): Promise<void> {
    const { guesses, hasher } = this.#options
    return hasher.admit(placeOfStranger(asker), () => guesses.attempt(what, asker, work))
  }

  #check(password: string, words: readonly string[]): void {
    checkPassword(password, [...words, ...this.#options.contextWords()], 'new')
  }
}

const LINK = { message: 'The link is unknown, used or expired.', field: 'link_token' } as const
