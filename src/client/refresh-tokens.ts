import { AuthError, ChatError } from './errors.ts'
import { idMaker } from './ids.ts'
import type { Rest } from './rest.ts'
import type { TokenRequest } from './types.ts'

/** A session of a program that has no cookies. Whoever reads it can act as this user. */
export interface KeptSession {
  /** Missing when nobody is signed in. */
  readonly refresh_token?: string
  /** Of the refresh under way: repeated with it, a refresh whose answer was lost gets the same answer. */
  readonly attempt?: string
  /** Lets this device sign in also while strangers try passwords of the same account. */
  readonly device_token?: string
}

/** Where a session is kept: a file of the user's own, say. A promise that it returns is waited for. */
export interface SessionKeeper {
  get(): KeptSession | undefined | Promise<KeptSession | undefined>
  set(session: KeptSession): void | Promise<void>
}

export interface TokenAnswer {
  readonly token: string
  readonly expires_at: string
  readonly refresh_token?: string
  readonly device_token?: string
}

/** A token that was given so lately is as good as a new one. */
const FRESH_MS = 60_000

/** Access tokens by a refresh token, which is another one after each use. */
export class RefreshTokens {
  readonly #rest: () => Rest
  readonly #keeper: SessionKeeper
  readonly #makeId = idMaker(Date.now)
  #fresh: { readonly token: string; readonly at: number } | undefined
  #asked: Promise<string> | undefined

  constructor(keeper: SessionKeeper, rest: () => Rest) {
    this.#keeper = keeper
    this.#rest = rest
  }

  /** What a login sends along. */
  async device(): Promise<object> {
    const { device_token } = (await this.#keeper.get()) ?? {}
    return { client: 'token', ...(device_token !== undefined && { device_token }) }
  }

  async take({ token, refresh_token, device_token }: TokenAnswer): Promise<void> {
    const known = (await this.#keeper.get())?.device_token
    const device = device_token ?? known
    await this.#keeper.set({
      ...(refresh_token !== undefined && { refresh_token }),
      ...(device !== undefined && { device_token: device }),
    })
    this.#fresh = { token, at: performance.now() }
  }

  async forget(): Promise<void> {
    this.#fresh = undefined
    const { device_token } = (await this.#keeper.get()) ?? {}
    await this.#keeper.set(device_token === undefined ? {} : { device_token })
  }

  /** For `createClient`. One refresh at a time: each is with the token that the one before has brought. */
  readonly getToken = ({ reason }: Pick<TokenRequest, 'reason'>): Promise<string> => {
    if (reason === 'connect' && this.#fresh && performance.now() - this.#fresh.at < FRESH_MS)
      return Promise.resolve(this.#fresh.token)
    this.#asked ??= this.#refresh().finally(() => {
      this.#asked = undefined
    })
    return this.#asked
  }

  async #refresh(): Promise<string> {
    const kept = (await this.#keeper.get()) ?? {}
    const { refresh_token, attempt = this.#makeId() } = kept
    if (refresh_token === undefined) throw new AuthError('Nobody is signed in.')
    // Kept before it is used: a program that ends in between repeats the same attempt.
    if (kept.attempt === undefined) await this.#keeper.set({ ...kept, attempt })
    try {
      const body = { refresh_token, attempt }
      const answer = await this.#rest().call<TokenAnswer>('POST', '/api/auth/refresh', { body, headers: {} })
      await this.take(answer)
      return answer.token
    } catch (error) {
      if (!(error instanceof ChatError) || (error.code !== 'unauthorized' && error.code !== 'account_suspended'))
        throw error
      await this.forget()
      throw new AuthError('The session has ended.')
    }
  }
}
