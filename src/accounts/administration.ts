import { decodeBase64url } from '../lib/base64url.ts'
import type { UserId } from '../protocol/message.ts'
import { type Account, type Role, USERNAME_PATTERN } from './account.ts'
import type { AdminOutcome, AdminStore, Invite } from './admin-store.ts'
import type { Actor } from './audit.ts'
import { checkNames } from './profiles.ts'
import { AccountRefusal } from './refusal.ts'
import { newSecret, newUserId, randomText } from './secrets.ts'

export interface AdministrationOptions {
  readonly store: AdminStore
  /** Makes what was revoked hold at once; a command beside the service leaves it to the service's next look. */
  readonly revoked: () => Promise<void>
}

export interface InviteWish {
  readonly uses?: number | undefined
  readonly lifetimeSeconds?: number | undefined
  readonly role?: Role | undefined
}

/** Seconds. */
const RESET_SECONDS = 86_400
const INVITE_SECONDS = 7 * 86_400
const CODE_ID_CHARACTERS = 10
const PAGE = 50

/** What administrators do, over REST and on the command line. Rejects with an AccountRefusal. */
export class Administration {
  readonly #options: AdministrationOptions

  constructor(options: AdministrationOptions) {
    this.#options = options
  }

  /**
   * Looked up at each request: whoever is no administrator any more is none at once. A token without a login was made by a backend
   * for what people do: a key that may make such tokens would else be an administrator's.
   */
  async requireAdmin({ userId, sessionId }: { userId: UserId; sessionId: string | undefined }): Promise<void> {
    if (sessionId !== undefined && (await this.#options.store.isAdmin(userId))) return
    throw noAdmin()
  }

  async account(userId: UserId): Promise<Account> {
    const account = await this.#options.store.find(userId)
    if (!account) throw new AccountRefusal('not_found', { field: 'user_id' })
    return account
  }

  /** A page of people in the order of their usernames; `cursor` is what the page before ended with. */
  async list(search: string | undefined, cursor: string | undefined) {
    const after = cursor === undefined ? undefined : usernameIn(cursor)
    const found = await this.#options.store.list({ search, after, limit: PAGE + 1 })
    const accounts = found.slice(0, PAGE)
    const last = found.length > PAGE ? accounts.at(-1) : undefined
    return { accounts, nextCursor: last ? Buffer.from(last.username.toLowerCase()).toString('base64url') : null }
  }

  /** Makes an account, and the secret of a link by which its person sets a password. */
  async create(
    given: { username: string; displayName: string | undefined; role: Role },
    actor: Actor,
  ): Promise<{ userId: UserId; secret: string }> {
    const { username, displayName } = given
    checkNames(username, displayName)
    const userId = newUserId()
    const { text, hash } = newSecret()
    const outcome = await this.#options.store.create(
      { ...given, userId },
      { hash, lifetimeSeconds: RESET_SECONDS },
      actor,
    )
    if (outcome === 'username_taken') throw new AccountRefusal('username_taken', { field: 'username' })
    return { userId, secret: text }
  }

  /** Ends every login and every socket of this person; nobody can write to them. */
  async suspend(userId: UserId, actor: Actor): Promise<Account> {
    await this.#stateChanged(userId, this.#options.store.suspend(userId, actor))
    return this.account(userId)
  }

  async unsuspend(userId: UserId, actor: Actor): Promise<Account> {
    await this.#stateChanged(userId, this.#options.store.unsuspend(userId, actor))
    return this.account(userId)
  }

  /** Tokens of before are refused; logins stay. */
  async setRole(userId: UserId, role: Role, actor: Actor): Promise<Account> {
    succeeded(await this.#options.store.setRole(userId, role, actor))
    await this.#options.revoked()
    return this.account(userId)
  }

  /** For ever. */
  async remove(userId: UserId, actor: Actor): Promise<void> {
    await this.#stateChanged(userId, this.#options.store.remove(userId, actor))
  }

  /** The secret of a link with which this person sets another password, once and within a day. */
  async resetSecret(userId: UserId, actor: Actor): Promise<string> {
    const { text, hash } = newSecret()
    succeeded(await this.#options.store.addResetLink(userId, { hash, lifetimeSeconds: RESET_SECONDS }, actor))
    return text
  }

  /** An invite and its code, which is shown this one time. */
  async invite(wish: InviteWish, actor: Actor): Promise<Invite & { readonly code: string }> {
    const { uses = 1, lifetimeSeconds = INVITE_SECONDS, role = 'member' } = wish
    const { text, hash } = newSecret()
    const codeId = randomText(CODE_ID_CHARACTERS)
    const invite = await this.#options.store.addInvite({ codeId, hash, role, uses, lifetimeSeconds }, actor)
    if (!invite) throw noAdmin()
    return { ...invite, code: text }
  }

  invites(): Promise<readonly Invite[]> {
    return this.#options.store.invites()
  }

  async revokeInvite(codeId: string, actor: Actor): Promise<void> {
    if (!(await this.#options.store.revokeInvite(codeId, actor))) throw new AccountRefusal('not_found')
  }

  /** Sockets end at once, however many conversations are still to follow. */
  async #stateChanged(userId: UserId, outcome: Promise<AdminOutcome>): Promise<void> {
    succeeded(await outcome)
    await this.#options.revoked()
    await this.#options.store.finishGate(userId)
  }
}

function succeeded(outcome: AdminOutcome): void {
  if (outcome === 'unknown') throw new AccountRefusal('not_found', { field: 'user_id' })
  if (outcome === 'no_admin') throw noAdmin()
  if (outcome !== 'last_admin') return
  throw new AccountRefusal('forbidden', {
    message: 'Nobody else could administer; make somebody an administrator first.',
  })
}

function noAdmin(): AccountRefusal {
  return new AccountRefusal('forbidden', { message: 'Only administrators may do this.' })
}

/** The decoder passes over what is not base64url, and any bytes would be a place in the list. */
function usernameIn(cursor: string): string {
  const username = decodeBase64url(cursor)?.toString('latin1') ?? ''
  if (USERNAME_PATTERN.test(username)) return username
  throw new AccountRefusal('invalid_request', {
    field: 'cursor',
    message: 'cursor must be the next_cursor of the page before.',
  })
}
