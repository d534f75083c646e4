import { type LookupAddress, type LookupOptions, lookup as lookUpName } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, type Dispatcher } from 'undici'
import { errorCode } from '../lib/errors.ts'
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
    const idle = { keepAliveTimeout: IDLE_SOCKET_MS, keepAliveMaxTimeout: IDLE_SOCKET_MS }
    // One limit of time is kept here, for the whole of a request.
    const shared = { ...idle, connections: maxSockets, headersTimeout: 0, bodyTimeout: 0 }
    this.#agents = {
      public: new Agent({ ...shared, connect: { timeout: timeLimitMs, lookup: lookUpPublic } }),
      anywhere: new Agent({ ...shared, connect: { timeout: timeLimitMs } }),
    }
  }

  send({ method, url, reach, headers, body }: OutboundRequest): Promise<OutboundAnswer> {
    if (url.protocol !== 'https:') return Promise.reject(new Error('only https is spoken'))
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    // An address is connected to without a look-up.
    if (reach === 'public' && isIP(literal) !== 0 && !isPublicAddress(literal))
      return Promise.reject(new InnerAddress())
    const { origin, pathname, search } = url
    const request = { origin, path: pathname + search, method, headers, body: body ?? null }
    return new Promise((resolve, reject) => {
      const exchange = new Exchange({ resolve, reject, timeLimitMs: this.#timeLimitMs, maxBytes: this.#maxBytes })
      this.#agents[reach].dispatch(request, exchange)
    })
  }

  /** Ends idle connections; those in use end with their request. */
  close(): void {
    for (const agent of Object.values(this.#agents)) void agent.close()
  }
}

interface ExchangeOptions {
  readonly resolve: (answer: OutboundAnswer) => void
  readonly reject: (error: Error) => void
  readonly timeLimitMs: number
  readonly maxBytes: number
}

/** One request and its answer. The connection of one that is not heard to its end is not used again. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  /** Why it ended before the other side did. */
  #endedBy: Error | undefined
  #status = 0
  #retryAfter: string | undefined
  readonly #chunks: Buffer[] = []
  #bytes = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#timer = setTimeout(() => this.#end(new Error('no answer in time')), options.timeLimitMs)
  }

  /** It waited for a connection until now. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#endedBy) controller.abort(this.#endedBy)
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Headers): void {
    this.#status = status
    const retryAfter = headers['retry-after']
    this.#retryAfter = typeof retryAfter === 'string' ? retryAfter : retryAfter?.[0]
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.byteLength
    if (this.#bytes <= this.#options.maxBytes) return
    this.#options.resolve(this.#answer())
    this.#end(new Error('more is not read'))
  }

  onResponseEnd(): void {
    clearTimeout(this.#timer)
    this.#options.resolve(this.#answer())
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    clearTimeout(this.#timer)
    // It ended before an answer, or was to become a connection of another protocol (101).
    const isCut = errorCode(error) === 'UND_ERR_SOCKET'
    this.#options.reject(isCut ? new Error('the connection ended without an answer') : error)
  }

  #end(reason: Error): void {
    clearTimeout(this.#timer)
    this.#endedBy = reason
    this.#options.reject(reason)
    this.#controller?.abort(reason)
  }

  #answer(): OutboundAnswer {
    return {
      status: this.#status,
      retryAfterSeconds: retryAfterSeconds(this.#retryAfter),
      body: Buffer.concat(this.#chunks).subarray(0, this.#options.maxBytes).toString('utf8'),
    }
  }
}

type Headers = Readonly<Record<string, string | string[] | undefined>>

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
