import type { Account, Profile, ServerInfo, Session, SignIn, SignUp } from './accounts-types.ts'
import { type Administration, administrationOver, type Invites, invitesOver } from './administration.ts'
import type { Clock } from './clock.ts'
import { addressesOf, Credentials } from './credentials.ts'
import type { Fetch } from './environment.ts'
import { AuthError, ChatError } from './errors.ts'
import { type Push, pushOver } from './push-subscription.ts'
import { RefreshTokens, type SessionKeeper, type TokenAnswer } from './refresh-tokens.ts'
import { Rest } from './rest.ts'
import type { Auth, GetToken } from './types.ts'

export interface AccountsOptions {
  /** The same as of `createClient`. */
  readonly url: string
  /** The session's cookie unless said. With another one only what does not need the built-in accounts answers. */
  readonly auth?: Auth
  /** For a program without cookies: where its session is kept. In place of `auth`. */
  readonly keeper?: SessionKeeper
  readonly fetch?: Fetch
}

/** The built-in accounts of a server. Every call rejects with `ChatError`: a code of the protocol, or `network`. */
export interface Accounts {
  /** What kind of server it is. Needs nobody to be signed in. */
  server(): Promise<ServerInfo>
  /** For `createClient({ auth: { getToken } })`; in a page `{ session: true }` does the same. */
  readonly getToken: GetToken
  register(form: SignUp): Promise<Account>
  /** `invalid_credentials`, whichever was wrong; `rate_limited` says when to try again. */
  login(form: SignIn): Promise<Account>
  /** The person signed in here; `undefined` when nobody is. */
  me(): Promise<Profile | undefined>
  logout(): Promise<void>
  /** Ends every session of this user, this one too. */
  logoutAll(): Promise<void>
  sessions(): Promise<readonly Session[]>
  endSession(sessionId: string): Promise<void>
  /** Ends all other sessions. */
  changePassword(form: { readonly current: string; readonly new: string }): Promise<void>
  /** By a code of the list, without the old password. Ends all sessions: sign in afterwards. */
  recover(form: { readonly username: string; readonly recovery_code: string; readonly new: string }): Promise<void>
  /** By the link of an admin. Ends all sessions: sign in afterwards. */
  reset(form: { readonly link_token: string; readonly new: string }): Promise<void>
  /** Ten new codes, shown this once, in place of older ones. Needs a login at most five minutes old. */
  newRecoveryCodes(): Promise<readonly string[]>
  /** For good. Needs a login at most five minutes old. */
  deleteAccount(form: { readonly password: string }): Promise<void>
  updateProfile(change: {
    readonly display_name?: string
    readonly username?: string
    readonly discoverable?: boolean
  }): Promise<Profile>
  /** PNG, JPEG or WebP, at most 256 KiB. */
  setAvatar(image: Blob): Promise<Profile>
  removeAvatar(): Promise<Profile>
  readonly push: Push
  readonly invites: Invites
  readonly admin: Administration
}

type LoginAnswer = TokenAnswer & { readonly user: Account }

/** Connects to nothing, and keeps nothing in the page: the session is in a cookie that no script can read. */
export function createAccounts({ url, auth, keeper, fetch }: AccountsOptions): Accounts {
  const addresses = addressesOf(url)
  const refresh = keeper && new RefreshTokens(keeper, () => rest)
  const from: Auth = refresh ?? auth ?? { session: true }
  const clock: Pick<Clock, 'now' | 'after'> = {
    now: () => performance.now(),
    after(delayMs, task) {
      const timer = setTimeout(task, delayMs)
      return () => clearTimeout(timer)
    },
  }
  const credentials = new Credentials(from, addresses, { clock, fetch })
  const rest = new Rest(addresses.http, credentials, fetch)
  return {
    server: () => rest.call('GET', '/api/server', { headers: {} }),
    getToken: async ({ reason, signal }) => (await credentials.next(reason, signal)) ?? '',
    ...entering(rest, credentials, refresh),
    sessions: async () => (await rest.call<{ sessions: readonly Session[] }>('GET', '/api/auth/sessions')).sessions,
    endSession: (id) => rest.call('DELETE', `/api/auth/sessions/${encodeURIComponent(id)}`),
    changePassword: (form) => rest.call('POST', '/api/auth/password', { body: form }),
    async newRecoveryCodes() {
      const path = '/api/users/me/recovery_codes'
      return (await rest.call<{ recovery_codes: readonly string[] }>('POST', path, { body: {} })).recovery_codes
    },
    updateProfile: (change) => rest.call('PATCH', '/api/users/me', { body: change }),
    setAvatar: (image) => rest.call('PUT', '/api/users/me/avatar', { body: image }),
    removeAvatar: () => rest.call('DELETE', '/api/users/me/avatar'),
    push: pushOver(rest),
    invites: invitesOver(rest),
    admin: administrationOver(rest),
  }
}

type Entering = Pick<
  Accounts,
  'register' | 'login' | 'me' | 'logout' | 'logoutAll' | 'recover' | 'reset' | 'deleteAccount'
>

/** What begins or ends a session. */
function entering(rest: Rest, credentials: Credentials, refresh: RefreshTokens | undefined): Entering {
  const asked = <T = void>(path: string, body: object): Promise<T> => rest.call('POST', path, { body, headers: {} })
  const enter = async (path: string, form: object): Promise<Account> => {
    const device = (await refresh?.device()) ?? { client: 'cookie' }
    const answer = await asked<LoginAnswer>(path, { ...form, ...device })
    await refresh?.take(answer)
    credentials.token = answer.token
    return answer.user
  }
  const forget = async (): Promise<void> => {
    credentials.token = undefined
    await refresh?.forget()
  }
  /** By the cookie where there is one: it outlives the token of this page. */
  const leave = async (path: string): Promise<void> => {
    const ended = refresh ? rest.call<void>('POST', path, { body: {} }) : asked(path, {})
    await ended.catch(unlessEnded)
    await forget()
  }
  return {
    register: (form) => enter('/api/auth/register', form),
    login: (form) => enter('/api/auth/login', form),
    me: () => rest.call<Profile>('GET', '/api/users/me').catch(unlessEnded),
    logout: () => leave('/api/auth/logout'),
    logoutAll: () => leave('/api/auth/logout_all'),
    recover: (form) => asked('/api/auth/recover', form).then(forget),
    reset: (form) => asked('/api/auth/reset', form).then(forget),
    deleteAccount: (form) => rest.call<void>('DELETE', '/api/users/me', { body: form }).then(forget),
  }
}

/** Nobody is signed in, any more or at all. */
function unlessEnded(error: unknown): undefined {
  if (error instanceof AuthError || (error instanceof ChatError && error.code === 'unauthorized')) return undefined
  throw error
}

/** What a link of this server carries in the part behind `#`; `undefined` when it is none. */
export function readLink(
  hash: string,
): { readonly kind: 'invite' | 'reset' | 'bootstrap'; readonly code: string } | undefined {
  const [, kind, code] = /^#?(invite|reset|bootstrap)=([\w.~-]+)$/.exec(hash) ?? []
  return kind && code ? { kind: kind as 'invite', code } : undefined
}

export type * from './accounts-types.ts'
export type { Administration, Invites } from './administration.ts'
export { AuthError, ChatError, type FailureCode } from './errors.ts'
export type { Push, PushRegistration, Subscription } from './push-subscription.ts'
export type { KeptSession, SessionKeeper } from './refresh-tokens.ts'
export type { GetToken, TokenRequest, User } from './types.ts'
