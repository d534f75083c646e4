import { type Fetch, host } from './environment.ts'
import { ChatError } from './errors.ts'

interface ErrorBody {
  readonly error?: { readonly code?: string; readonly message?: string; readonly field?: string }
  readonly request_id?: string
}
export interface Asked {
  readonly method: string
  readonly url: string
  readonly headers?: Record<string, string>
  /** Sent as JSON; a `Blob` as what it is. */
  readonly body?: object | undefined
  readonly signal?: AbortSignal | undefined
}

/** One request. Rejects with `ChatError`: the server's code, or `network` without an answer. */
export async function request<T>(fetch: Fetch | undefined, { method, url, headers, body, signal }: Asked): Promise<T> {
  const ask = fetch ?? host().fetch
  if (!ask) throw new ChatError({ code: 'network' })
  const isJson = body && !(body instanceof Blob)
  const response = await ask(url, {
    method,
    // Of a Blob `fetch` itself says the type.
    headers: { ...headers, ...(isJson && { 'content-type': 'application/json' }) },
    body: isJson ? JSON.stringify(body) : body,
    signal,
  }).catch((error: unknown) => {
    if (signal?.aborted) throw error
    throw new ChatError({ code: 'network', temporary: true })
  })
  const answer: unknown = response.status === 204 ? undefined : await response.json().catch(() => undefined)
  if (response.ok) return answer as T
  const { error, request_id } = (answer ?? {}) as ErrorBody
  throw new ChatError({
    code: 'internal',
    ...error,
    temporary: response.status === 429 || response.status >= 500,
    retryAfterMs: Number(response.headers.get('retry-after')) * 1000 || undefined,
    requestId: request_id,
  })
}
