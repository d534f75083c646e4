import type { Credentials } from './credentials.ts'
import type { Fetch } from './environment.ts'
import { ChatError } from './errors.ts'
import { type Asked, request } from './http.ts'

/** With `headers` of its own it is asked as nobody: the body, or a cookie, says who it is. */
export type RequestOptions = Pick<Asked, 'body' | 'signal' | 'headers'>

/** Requests over HTTP as the present user. */
export class Rest {
  readonly #base: string
  readonly #credentials: Credentials
  readonly #fetch: Fetch | undefined

  constructor(base: string, credentials: Credentials, fetch: Fetch | undefined) {
    this.#base = base
    this.#credentials = credentials
    this.#fetch = fetch
  }

  /** Rejects with `ChatError`: the server's code, or `network` without an answer. A token that has ended is replaced, once. */
  async call<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const credentials = this.#credentials
    const { signal } = options
    if (options.headers || !credentials.usesTokens) return this.#ask(method, path, options)
    if (!credentials.token) await credentials.next('connect', signal)
    const { token } = credentials
    try {
      return await this.#ask<T>(method, path, options)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== 'unauthorized') throw error
      // Another request may have had a new one in the meantime.
      if (credentials.token === token) await credentials.next('refused', signal)
      return this.#ask(method, path, options)
    }
  }

  #ask<T>(method: string, path: string, options: RequestOptions): Promise<T> {
    const headers = this.#credentials.headers()
    return request(this.#fetch, { headers, ...options, method, url: this.#base + path })
  }
}
