import { BlockList, isIP, SocketAddress } from 'node:net'
import { ownText } from '../lib/own-text.ts'
import { urlHost } from '../lib/url-host.ts'

export type AddressOf = (peer: string, forwardedFor: string) => string

/**
 * Finds out who a request comes from: the peer, or, when the peer is a trusted proxy, the last address of X-Forwarded-For
 * that no trusted proxy wrote about another. What an untrusted peer claims is not read. A proxy that wrote no address about
 * its client (`unix:`, `unknown`) counts as the client: what stands before that may be the client's own invention.
 * `trusted`: addresses and networks such as `10.0.0.0/8`.
 */
export function clientAddress(trusted: readonly string[]): AddressOf {
  if (trusted.length === 0) return (peer) => peer
  const proxies = blockListOf(trusted)
  const isTrusted = (address: string): boolean => proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (peer, forwardedFor) => {
    const hops = forwardedFor.split(',')
    let client = peer
    while (isTrusted(client)) {
      const hop = withoutPort(hops.pop()?.trim() ?? '')
      if (isIP(hop) === 0) break
      client = hop
    }
    return client === peer ? peer : ownText(client)
  }
}

/** Some proxies write `192.0.2.1:51234`, `[2001:db8::1]` or `[2001:db8::1]:51234`. */
function withoutPort(hop: string): string {
  return hop.replace(/^\[(.*)\](:\d+)?$|^([\d.]+):\d+$/, '$1$3')
}

function blockListOf(entries: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

const IPV4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** An address of 4 or 16 bytes as text; IPv6 in full, but an IPv4 peer of a dual-stack socket as IPv4 (RFC 4291, 2.5.5.2). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (IPV4_MAPPED.every((byte, index) => bytes[index] === byte)) return bytes.subarray(12).join('.')
  return (Buffer.from(bytes).toString('hex').match(/.{4}/g) ?? []).join(':')
}

const IPV6_GROUPS = 8
const NETWORK_GROUPS = 4
/** An IPv4 client as servers of an IPv6-only site see it (RFC 6052, 2.1): all of them are in one /64. */
const NAT64 = '64:ff9b:0:0:0:0'

/** What limits by address count as one: an IPv4 address, or the /64 of an IPv6 address, all of which one client owns. */
export function countedAddress(address: string): string {
  if (isIP(address) !== 6) return address
  // The one way to write it: compressed, in lower case, an IPv4 address in an IPv6 one with dots.
  const text = new SocketAddress({ address, family: 'ipv6' }).address
  if (text.startsWith('::ffff:') && text.includes('.')) return text.slice('::ffff:'.length)
  const [left = [], right = []] = text.split('::').map((half) => half.split(':').filter(Boolean))
  const zeros = new Array<string>(IPV6_GROUPS - left.length - right.length).fill('0')
  const groups = [...left, ...zeros, ...right]
  if (groups.slice(0, -2).join(':') === NAT64) return dotted(groups.slice(-2))
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`
}

/** The IPv4 address that two groups of an IPv6 address hold. */
function dotted(groups: readonly string[]): string {
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex').join('.')
}

/** Hosts that stand for this machine. */
const HERE = ['0.0.0.0', '::', '127.0.0.1', '::1']

/** What a person on this machine opens in a browser. */
export function addressToOpen({ host, port, tls }: { host: string; port: number; tls: boolean }): string {
  const name = HERE.includes(host) ? 'localhost' : urlHost(host)
  return `${tls ? 'https' : 'http'}://${name}:${port}/`
}
