import { isLoopback } from '../lib/loopback.ts'
import { urlHost } from '../lib/url-host.ts'

/** What browsers call this machine when it listens on every address. */
const EVERYWHERE = ['0.0.0.0', '::']

export interface PublicAddressOptions {
  /** `PUBLIC_URL`, as an origin. */
  readonly publicUrl: string | undefined
  readonly host: string
  readonly tls: boolean
}

/** How browsers reach the service: what links begin with, which `Origin` is the own one, and how cookies are named. */
export class PublicAddress {
  readonly #options: PublicAddressOptions
  #port = 0

  constructor(options: PublicAddressOptions) {
    this.#options = options
  }

  /** The port is known once somebody listens on it. */
  listensOn(port: number): void {
    this.#port = port
  }

  /** Without a slash at the end. */
  get origin(): string {
    const { publicUrl, host, tls } = this.#options
    if (publicUrl !== undefined) return publicUrl
    const name = EVERYWHERE.includes(host) ? 'localhost' : urlHost(host)
    return `${tls ? 'https' : 'http'}://${name}:${this.#port}`
  }

  get isSecure(): boolean {
    return this.origin.startsWith('https:')
  }

  /** Whether passwords cross a network in clear text: without https, unless only this machine reaches the service. */
  get isInClear(): boolean {
    const { publicUrl, host } = this.#options
    return !this.isSecure && !isLoopback(publicUrl === undefined ? host : this.hostname.replace(/^\[|\]$/g, ''))
  }

  get hostname(): string {
    return new URL(this.origin).hostname
  }

  /**
   * `__Host-` keeps pages of neighbouring names from setting it (RFC 6265bis §4.1.3.2), but browsers take it with https alone. Cookies
   * do not know ports, so without https the port is in the name.
   */
  cookieName(what: 'session' | 'device'): string {
    if (this.isSecure) return `__Host-${what}`
    const { port } = new URL(this.origin)
    return `${what}_${port === '' ? '80' : port}`
  }

  /** The page reads what follows `#`, and no server is sent it. */
  link(kind: 'invite' | 'reset' | 'bootstrap', secret: string): string {
    return `${this.origin}/#${kind}=${secret}`
  }
}
