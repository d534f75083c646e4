import { BlockList, isIP } from 'node:net'
import type { Logger } from '../lib/logger.ts'
import type { RestRequest } from './rest-exchange.ts'

/** Where proxies of one's own stand (RFC 1918, RFC 6598, RFC 4193), and this machine. */
const PRIVATE = new BlockList()
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv4')
}
for (const [network, bits] of [
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
] as const) {
  PRIVATE.addSubnet(network, bits, 'ipv6')
}

/**
 * How attempts to sign in are counted by network. Behind a proxy that is not listed everybody has its address, and one who guesses would
 * soon lock out a whole company: they are counted as many, which is said once. A stranger on the open Internet cannot have that by
 * writing the header, because only a peer with a private address is taken for such a proxy; one in the same private network can, and has
 * a limit still.
 */
export class NetworkCount {
  readonly #logger: Logger
  readonly #told = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** To be asked while the request is open. */
  isShared(request: RestRequest): boolean {
    if (!request.isBehindUnlistedProxy?.()) return false
    const address = request.address().replace(/\/64$/, '')
    const isPrivate = isIP(address) !== 0 && PRIVATE.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
    this.#tell(address, isPrivate)
    return isPrivate
  }

  #tell(address: string, isPrivate: boolean): void {
    if (this.#told.has(address) || this.#told.size >= MAX_TOLD) return
    this.#told.add(address)
    const consequence = isPrivate
      ? 'everybody there is counted together, and may try ten times as often'
      : 'everybody there is counted as one'
    this.#logger.warn({ address }, `a proxy that TRUSTED_PROXIES does not list passes requests on: ${consequence}`)
  }
}

const MAX_TOLD = 100
