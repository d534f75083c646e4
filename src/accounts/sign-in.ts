import type { Revocations } from '../auth/revocations.ts'
import type { TokenIssuer } from '../auth/token-issuer.ts'
import type { Logger } from '../lib/logger.ts'
import { type Account, usernameKey } from './account.ts'
import type { AccountStore, Credentials, Door, Opening, OpenSession } from './account-store.ts'
import { type Asker, actorOf } from './asker.ts'
import { type Attempt, codeAttempt, deviceAttempt, strangerAttempt, takeAttempt } from './attempts.ts'
import type { Guesses } from './guesses.ts'
import type { KnownSessions } from './known-sessions.ts'
import { passwordFault } from './password-rules.ts'
import type { PasswordHasher } from './passwords.ts'
import { type HashingLane, placeOfPerson, placeOfStranger, placeToLook } from './places.ts'
import { checkNames } from './profiles.ts'
import { newMacKey, refreshToken } from './refresh-token.ts'
import { AccountRefusal } from './refusal.ts'
import { hashOf, newSecret, newUserId } from './secrets.ts'
import type { Throttle } from './throttle.ts'

export const REGISTRATIONS = ['invite', 'open', 'closed'] as const
export type RegistrationMode = (typeof REGISTRATIONS)[number]

export interface SignInOptions {
  readonly store: AccountStore
  readonly hasher: PasswordHasher
  readonly throttle: Throttle
  readonly guesses: Pick<Guesses, 'attempt'>
  readonly known: Pick<KnownSessions, 'add'>
  readonly tokens: Pick<TokenIssuer, 'issue'>
  readonly revocations: Pick<Revocations, 'added'>
  readonly logger: Logger
  readonly registration: RegistrationMode
  /** Words that a stranger would try first: how the service is called. */
  readonly contextWords: () => readonly string[]
}

/** What somebody who signs in says beside name and password. */
export interface Client {
  /** A page keeps a cookie, a program keeps tokens. */
  readonly kind: 'cookie' | 'token'
  readonly deviceName: string | undefined
  /** What an earlier login left with this device. */
  readonly deviceToken: string | undefined
  /** The session cookie that came along: that session ends. */
  readonly cookie: string | undefined
}

interface NewPerson {
  readonly username: string
  readonly password: string
  readonly displayName: string | undefined
  /** Of an invite or a link. */
  readonly code: string | undefined
}

export interface SignedIn {
  readonly account: Account
  readonly token: string
  readonly expiresAtMs: number
  readonly deviceToken: string
  /** One of the two. */
  readonly cookie: string | undefined
  readonly refreshToken: string | undefined
}

interface Given {
  readonly username: string
  readonly password: string
}

/** Of a login that was admitted. */
interface Visit {
  readonly lane: HashingLane
  readonly known: Credentials | undefined
  readonly attempt: Attempt
  /** What the database says of this name now. */
  readonly look: () => Promise<Credentials | undefined>
}

/** How long an access token lives, seconds. */
export const ACCESS_SECONDS = 600
const MAX_USER_AGENT = 200

/** How people get in: by name and password, or for the first time by an invite. */
export class SignIn {
  readonly #options: SignInOptions

  constructor(options: SignInOptions) {
    this.#options = options
  }

  get registration(): RegistrationMode {
    return this.#options.registration
  }

  /**
   * Rejects with an AccountRefusal: the same for a name that nobody has as for a wrong password, in words and in time. Whoever brings
   * what an earlier login left with the device is looked up before they are admitted, so that no crowd of strangers shuts them out.
   */
  async login(given: Given, client: Client, asker: Asker): Promise<SignedIn> {
    const { store, hasher, guesses } = this.#options
    const { deviceToken } = client
    const nameKey = usernameKey(given.username)
    const look = () => store.credentials(nameKey, deviceToken === undefined ? undefined : hashOf(deviceToken))
    const seen = deviceToken === undefined ? undefined : { known: await hasher.admit(placeToLook(asker), look) }
    const guest = seen?.known?.isKnownDevice ? seen.known : undefined
    const lane = guest ? 'known' : 'stranger'
    const place = guest ? placeOfPerson(guest.account.userId, asker) : placeOfStranger(asker)
    const visit = async (): Promise<SignedIn> => {
      const { known } = seen ?? { known: await look() }
      const attempt = known?.isKnownDevice ? deviceAttempt(nameKey, deviceToken ?? '') : strangerAttempt(nameKey, asker)
      await takeAttempt(this.#options.throttle, attempt)
      return this.#login(given, client, asker, { lane, known, attempt, look })
    }
    return hasher.admit(place, () => guesses.attempt('password', guest ? undefined : asker, visit))
  }

  async #login(given: Given, client: Client, asker: Asker, { lane, known, attempt, look }: Visit): Promise<SignedIn> {
    const { store, hasher, throttle, logger } = this.#options
    const isRight = await hasher.verify(lane, known?.phc, given.password)
    if (!known || !isRight) {
      await throttle.giveBack(attempt.rights)
      // Not waited for: whether there is something to write must not show in the time.
      const failure = { userId: known?.account.userId, network: asker.address, actor: actorOf(asker) }
      store.loginFailed(failure).catch((error: unknown) => logger.warn({ err: error }, 'a failed login was not noted'))
      throw new AccountRefusal('invalid_credentials')
    }
    await throttle.giveBack(attempt.guesses)
    const opening = openingFor(client, asker, known.isKnownDevice ? client.deviceToken : undefined)
    const found = await this.#open(given.password, opening.opening, { lane, known, look })
    return this.#signedIn(found.account, found.open, opening)
  }

  /** A password that is not what was verified any more is verified once more: another login may have hashed it anew. */
  async #open(
    password: string,
    opening: Opening,
    { lane, known, look }: Pick<Visit, 'lane' | 'look'> & { readonly known: Credentials },
    isAgain = false,
  ): Promise<{ readonly account: Account; readonly open: OpenSession }> {
    const { store, hasher } = this.#options
    if (known.account.state !== 'active') throw new AccountRefusal('account_suspended')
    const phc = hasher.isOutdated(known.phc) ? await hasher.hash(lane, password) : undefined
    const open = await store.login(known, opening, phc)
    if (open) return { account: known.account, open }
    const now = isAgain ? undefined : await look()
    if (!now || !(await hasher.verify(lane, now.phc, password))) throw new AccountRefusal('invalid_credentials')
    return this.#open(password, opening, { lane, known: now, look }, true)
  }

  /** Makes an account and signs its person in. */
  register(given: NewPerson, client: Client, asker: Asker): Promise<SignedIn> {
    const { hasher, guesses } = this.#options
    const visit = (): Promise<SignedIn> => this.#register(given, client, asker)
    return hasher.admit(placeOfStranger(asker), () => guesses.attempt('invite', asker, visit))
  }

  async #register(given: NewPerson, client: Client, asker: Asker): Promise<SignedIn> {
    const { store, hasher, throttle } = this.#options
    const { username, password, displayName } = given
    checkNames(username, displayName)
    const door = this.#doorOf(given.code)
    checkPassword(password, [username, displayName ?? '', ...this.#options.contextWords()])
    const attempt = codeAttempt(asker)
    await takeAttempt(throttle, attempt)
    // Hashing costs more than anything else that a stranger can ask for.
    if (door.kind === 'code' && !(await store.isCodeGood(door))) throw this.#doorIsShut()
    const phc = await hasher.hash('stranger', password)
    const { opening, secrets } = openingFor(client, asker)
    const registration = { userId: newUserId(), username, displayName, phc, door }
    const outcome = await store.register(registration, opening)
    if (outcome === 'username_taken') throw new AccountRefusal('username_taken', { field: 'username' })
    if (outcome === 'invite_invalid') throw this.#doorIsShut()
    await throttle.giveBack(attempt.guesses)
    return this.#signedIn(outcome.account, outcome, { opening, secrets })
  }

  /** A bootstrap link always opens: without it nobody could become the first administrator. */
  #doorOf(code: string | undefined): Door {
    const { registration } = this.#options
    if (code !== undefined) return { kind: 'code', hash: hashOf(code), mayInvite: registration !== 'closed' }
    if (registration === 'open') return { kind: 'open' }
    throw this.#doorIsShut()
  }

  #doorIsShut(): AccountRefusal {
    if (this.#options.registration !== 'closed') return new AccountRefusal('invite_invalid', INVITE)
    return new AccountRefusal('forbidden', { message: 'Nobody can register here.' })
  }

  async #signedIn(
    account: Account,
    open: OpenSession,
    { opening, secrets }: { opening: Opening; secrets: OpeningSecrets },
  ): Promise<SignedIn> {
    const { tokens, revocations, known } = this.#options
    // The session before has ended; one too many is found by the next look.
    if (opening.replaces !== undefined) await revocations.added()
    const { token, expiresAtMs } = tokens.issue(open.userId, ACCESS_SECONDS, open)
    const { secret } = opening.session
    known.add(secret.kind === 'cookie' ? secret.secretHash : open.sessionId)
    return {
      account,
      token,
      expiresAtMs,
      deviceToken: secrets.device,
      cookie: secrets.cookie,
      refreshToken: secret.kind === 'refresh' ? refreshToken(open.sessionId, 0, secret.macKey) : undefined,
    }
  }
}

const INVITE = { message: 'The invite or link is unknown, used up, revoked or expired.', field: 'invite' } as const

/** Throws when the text is no good password. */
export function checkPassword(password: string, context: readonly string[], field = 'password'): void {
  const fault = passwordFault(password, context)
  if (fault !== undefined) throw new AccountRefusal('weak_password', { message: `The password ${fault}.`, field })
}

interface OpeningSecrets {
  readonly device: string
  readonly cookie: string | undefined
}

/** New secrets with every login: what was there before it is of no use after it. A device that is known stays the same. */
function openingFor(
  client: Client,
  asker: Asker,
  knownDevice?: string | undefined,
): { opening: Opening; secrets: OpeningSecrets } {
  const device = knownDevice === undefined ? newSecret() : { text: knownDevice, hash: hashOf(knownDevice) }
  const cookie = client.kind === 'cookie' ? newSecret() : undefined
  const secret = cookie
    ? ({ kind: 'cookie', secretHash: cookie.hash } as const)
    : ({ kind: 'refresh', macKey: newMacKey() } as const)
  const { deviceName } = client
  const userAgent = asker.userAgent?.slice(0, MAX_USER_AGENT)
  const opening: Opening = {
    session: { secret, deviceName, userAgent, address: asker.address },
    deviceHash: device.hash,
    replaces: client.cookie === undefined ? undefined : hashOf(client.cookie),
    actor: actorOf(asker),
  }
  return { opening, secrets: { device: device.text, cookie: cookie?.text } }
}
