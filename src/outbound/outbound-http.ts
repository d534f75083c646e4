import { type LookupAddress, type LookupOptions, lookup as lookUpName } from 'node:dns'
import type { IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { isPublicAddress } from './addresses.ts'

/** `public`: addresses of the public internet alone. `anywhere`: an operator named exactly this host and port. */
export type Reach = 'public' | 'anywhere'

export interface OutboundRequest {
  readonly method: 'GET' | 'POST'
  /** With https. */
  readonly url: URL
  readonly reach: Reach
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Buffer
}

export interface OutboundAnswer {
  readonly status: number
  /** Seconds, as far as the answer says so in a number or a date; undefined otherwise. */
  readonly retryAfterSeconds: number | undefined
  /** At most `maxBytes` of it. */
  readonly body: string
}

export interface OutboundOptions {
  /** For a whole request, from the look-up of the name to the last byte; milliseconds, default 5,000. */
  readonly timeLimitMs?: number
  /** More of an answer is not read; default 4,096. */
  readonly maxBytes?: number
  /** Connections to one host at once; default 64. */
  readonly maxSockets?: number
}

/** The name leads to an address inside, or is one. Nothing was connected. */
class InnerAddress extends Error {
  constructor() {
    super('the address is not one of the public internet')
    this.name = 'InnerAddress'
  }
}

const TIME_LIMIT_MS = 5_000
const MAX_BYTES = 4_096
const MAX_SOCKETS = 64
const IDLE_SOCKET_MS = 30_000

/**
 * Requests to addresses that a stranger chose. The address is looked at when the connection is made, in the look-up whose
 * answer is connected to, so a name cannot lead elsewhere in between. Redirects are not followed. Every request is bounded in
 * time and in what is read of its answer. Rejects when there is no answer; never with a text of the other side.
 */
export class OutboundHttp {
  readonly #agents: Readonly<Record<Reach, Agent>>
  readonly #timeLimitMs: number
  readonly #maxBytes: number

  constructor({ timeLimitMs = TIME_LIMIT_MS, maxBytes = MAX_BYTES, maxSockets = MAX_SOCKETS }: OutboundOptions = {}) {
    this.#timeLimitMs = timeLimitMs
    this.#maxBytes = maxBytes
    const shared = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, timeout: IDLE_SOCKET_MS }
    this.#agents = {
      public: new Agent({ ...shared, lookup: lookUpPublic }),
      anywhere: new Agent(shared),
    }
  }

  send({ method, url, reach, headers, body }: OutboundRequest): Promise<OutboundAnswer> {
    if (url.protocol !== 'https:') return Promise.reject(new Error('only https is spoken'))
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    // An address is connected to without a look-up.
    if (reach === 'public' && isIP(literal) !== 0 && !isPublicAddress(literal))
      return Promise.reject(new InnerAddress())
    return new Promise((resolve, reject) => {
      const request = httpsRequest(url, {
        method,
        agent: this.#agents[reach],
        headers: { ...headers, ...(body && { 'Content-Length': String(body.byteLength) }) },
      })
      // An AbortSignal, which does the same, costs a fifth of what a request does.
      const timer = setTimeout(() => request.destroy(new Error('no answer in time')), this.#timeLimitMs)
      let isAnswered = false
      request.on('close', () => {
        clearTimeout(timer)
        // A switch of protocols (101) ends the connection without an error and without a response.
        if (!isAnswered) reject(new Error('the connection ended without an answer'))
      })
      request.on('error', reject)
      request.on('response', (response) => {
        isAnswered = true
        this.#read(response).then(resolve, reject)
      })
      request.end(body)
    })
  }

  /** Ends idle connections; those in use end with their request. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  async #read(response: IncomingMessage): Promise<OutboundAnswer> {
    const chunks: Buffer[] = []
    let bytes = 0
    // Leaving the loop early destroys the connection, and what more there is with it.
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes > this.#maxBytes) break
    }
    return {
      status: response.statusCode ?? 0,
      retryAfterSeconds: retryAfterSeconds(response.headers['retry-after']),
      body: Buffer.concat(chunks).subarray(0, this.#maxBytes).toString('utf8'),
    }
  }
}

/** RFC 9110, 10.2.3: a number of seconds, or a date. */
function retryAfterSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const atMs = Date.parse(text)
  return Number.isNaN(atMs) ? undefined : Math.max(0, Math.ceil((atMs - Date.now()) / 1000))
}

/** As the resolver of the system, but for names of which any address is inside. */
const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  const all: LookupOptions & { all: true } = { ...options, all: true }
  lookUpName(hostname, all, (error, addresses: LookupAddress[]) => {
    if (error) return callback(error, '', 0)
    const [first] = addresses
    if (!first || addresses.some(({ address }) => !isPublicAddress(address))) {
      return callback(new InnerAddress(), '', 0)
    }
    if (options.all) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}
