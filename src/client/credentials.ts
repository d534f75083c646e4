import type { Clock } from './clock.ts'
import type { Fetch } from './environment.ts'
import { AuthError, ChatError } from './errors.ts'
import { request } from './http.ts'
import type { Tabs } from './tabs.ts'
import type { Auth, GetToken, TokenReason } from './types.ts'

/** A token that another tab has just been given serves this one as well. */
const SHARED_FOR_MS = 5000
/** A question that takes longer is given up: the other tabs wait for it. */
const ASK_LIMIT_MS = 30_000

/** The addresses of one server. */
export interface Addresses {
  readonly socket: string
  /** Without a slash at the end. */
  readonly http: string
}

export function addressesOf(url: string): Addresses {
  const http = url.replace(/^ws/, 'http').replace(/\/(ws\/?)?(\?.*)?$/, '')
  return { socket: url, http }
}

interface Tools {
  readonly clock: Pick<Clock, 'now' | 'after'>
  readonly fetch: Fetch | undefined
}

/** Where tokens come from. */
export class Credentials {
  readonly #auth: Auth
  readonly #clock: Pick<Clock, 'now' | 'after'>
  readonly #getToken: GetToken | undefined
  /** Under way; whoever wants the same meanwhile waits for it. */
  #asking: { readonly reason: TokenReason; readonly token: Promise<string> } | undefined
  #shared: { readonly token: string; readonly at: number } | undefined
  /** The tabs of the same user, once it is known who that is. */
  declare tabs: Tabs | undefined
  /** The last token that was used. */
  declare token: string | undefined

  constructor(auth: Auth, { http }: Addresses, tools: Tools) {
    this.#auth = auth
    this.#clock = tools.clock
    if ('getToken' in auth) this.#getToken = auth.getToken
    else if ('session' in auth) this.#getToken = sessionToken(http, tools.fetch)
  }

  /** With `AUTH=none` the user is a claim in the address. */
  get userId(): string | undefined {
    return 'userId' in this.#auth ? this.#auth.userId : undefined
  }

  get usesTokens(): boolean {
    return this.#getToken !== undefined
  }

  /** Rejects with `AuthError` when there will be no token. Tabs ask one after the other, and share what they get. */
  async next(reason: TokenReason, signal = new AbortController().signal): Promise<string | undefined> {
    const getToken = this.#getToken
    if (!getToken) return undefined
    if (this.#asking?.reason !== reason) {
      const asking = { reason, token: this.#ask(getToken, reason, signal) }
      this.#asking = asking
      const done = (): void => {
        if (this.#asking === asking) this.#asking = undefined
        signal.removeEventListener('abort', done)
      }
      signal.addEventListener('abort', done)
      asking.token.then(done, done)
    }
    this.token = await this.#asking.token
    return this.token
  }

  /** Gives up after a while, even if `getToken` does not: the lock must not stay with this tab. */
  async #ask(getToken: GetToken, reason: TokenReason, outer: AbortSignal): Promise<string> {
    const since = this.#clock.now()
    const ends = new AbortController()
    const { signal } = ends
    const late = new Promise<never>((_, reject) => {
      const end = (): void => {
        ends.abort()
        reject(new ChatError({ code: 'network', message: 'No token in time.', temporary: true }))
      }
      signal.addEventListener('abort', this.#clock.after(ASK_LIMIT_MS, end), { once: true })
      outer.addEventListener('abort', end, { signal })
    })
    const ask = async (): Promise<string> => {
      const shared = this.#shared
      if (shared && (shared.at >= since || (reason !== 'refused' && since - shared.at < SHARED_FOR_MS)))
        return shared.token
      const token = await Promise.race([getToken({ reason, signal }), late])
      this.tabs?.say({ type: 'token', token })
      return token
    }
    const asked = this.tabs?.alone('token', ask, signal) ?? ask()
    return Promise.race([asked, late]).finally(() => ends.abort())
  }

  share(token: string): void {
    this.#shared = { token, at: this.#clock.now() }
  }

  headers(): Record<string, string> {
    if (this.token) return { authorization: `Bearer ${this.token}` }
    return this.userId ? { 'x-user-id': this.userId } : {}
  }
}

/** What there is for the cookie: too many questions, or no answer, are no end of the session; a server without accounts is. */
function sessionToken(http: string, fetch: Fetch | undefined): GetToken {
  return async ({ signal }) => {
    const asked = { method: 'POST', url: `${http}/api/auth/token`, body: {}, signal }
    const { token } = await request<{ token: string }>(fetch, asked).catch((error: unknown) => {
      throw error instanceof ChatError && !error.temporary ? new AuthError() : error
    })
    return token
  }
}
