import { type LookupAddress, type LookupOptions, lookup as lookUpName } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { isPublicAddress } from './addresses.ts'
import { HostConnections } from './host-connections.ts'

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
}

export interface OutboundOptions {
  /** For a whole request, from the look-up of the name to the last byte; milliseconds, default 5,000. */
  readonly timeLimitMs?: number
  /** A longer body is not read; default 4,096. */
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
const HTTPS_PORT = 443
const END_OF_HEAD = '\r\n\r\n'

/**
 * Requests to addresses that a stranger chose. The address is looked at when the connection is made, in the look-up whose
 * answer is connected to, so a name cannot lead elsewhere in between. Redirects are not followed. Every request is bounded in
 * time and in what is read of its answer. Rejects when there is no answer; never with a text of the other side.
 */
export class OutboundHttp {
  readonly #hosts = new Map<string, HostConnections>()
  readonly #timeLimitMs: number
  readonly #maxBytes: number
  readonly #maxSockets: number

  constructor({ timeLimitMs = TIME_LIMIT_MS, maxBytes = MAX_BYTES, maxSockets = MAX_SOCKETS }: OutboundOptions = {}) {
    this.#timeLimitMs = timeLimitMs
    this.#maxBytes = maxBytes
    this.#maxSockets = maxSockets
  }

  async send({ method, url, reach, headers, body }: OutboundRequest): Promise<OutboundAnswer> {
    if (url.protocol !== 'https:') throw new Error('only https is spoken')
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    // An address is connected to without a look-up.
    if (reach === 'public' && isIP(literal) !== 0 && !isPublicAddress(literal)) throw new InnerAddress()
    const request = requestBytes(method, url, headers, body)
    const { status, retryAfter } = await this.#hostOf(url, literal, reach).ask(request, this.#timeLimitMs)
    return { status, retryAfterSeconds: retryAfterSeconds(retryAfter) }
  }

  /** Ends idle connections; those in use end with their request. */
  close(): void {
    for (const host of this.#hosts.values()) host.close()
  }

  #hostOf(url: URL, literal: string, reach: Reach): HostConnections {
    // What an operator named and what only a name leads to never share a connection.
    const name = `${reach} ${url.host}`
    const known = this.#hosts.get(name)
    if (known) return known
    const made = new HostConnections({
      tls: {
        host: literal,
        port: Number(url.port || HTTPS_PORT),
        ...(isIP(literal) === 0 && { servername: literal }),
        ...(reach === 'public' && { lookup: lookUpPublic }),
      },
      maxConnections: this.#maxSockets,
      maxBodyBytes: this.#maxBytes,
      idleMs: IDLE_SOCKET_MS,
      unused: () => this.#hosts.delete(name),
    })
    this.#hosts.set(name, made)
    return made
  }
}

function requestBytes(
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const lines = [`${method} ${url.pathname}${url.search} HTTP/1.1`, `Host: ${url.host}`]
  for (const name in headers) lines.push(`${name}: ${headers[name]}`)
  if (method === 'POST') lines.push(`Content-Length: ${body.byteLength}`)
  const head = lines.join('\r\n')
  // Nobody adds a line of their own.
  if (head.split(/[\r\n]+/).length !== lines.length) throw new Error('a header has more than one line')
  const bytes = Buffer.allocUnsafe(head.length + END_OF_HEAD.length + body.byteLength)
  bytes.write(head + END_OF_HEAD, 'latin1')
  body.copy(bytes, head.length + END_OF_HEAD.length)
  return bytes
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
