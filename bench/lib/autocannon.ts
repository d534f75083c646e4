/** What the benches use of autocannon, which brings no types. */
import { createRequire } from 'node:module'

export interface HttpRequest {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface HttpClient {
  setRequests(requests: readonly HttpRequest[]): void
}

export interface AutocannonOptions {
  readonly url: string
  readonly connections: number
  /** Seconds. */
  readonly duration: number
  /** Milliseconds between two of its ticks. */
  readonly sampleInt: number
  readonly setupClient: (client: HttpClient) => void
}

export interface AutocannonResult {
  readonly '2xx': number
  readonly non2xx: number
  readonly errors: number
  readonly timeouts: number
  readonly resets: number
  readonly requests: { readonly sent: number }
  /** Seconds. */
  readonly duration: number
  /** Milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number }
}

export const autocannon: (options: AutocannonOptions) => Promise<AutocannonResult> = createRequire(import.meta.url)(
  'autocannon',
)
