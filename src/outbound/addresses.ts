import { BlockList, isIP, isIPv4, SocketAddress } from 'node:net'

/** Networks that are not the public internet. Source: the IANA special-purpose address registries (RFC 6890), and multicast. */
const INNER_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** Of the one block that is given out to the public (2000::/3): protocols, documentation, and IPv4 in other clothes. */
const INNER_IPV6: readonly (readonly [network: string, prefix: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]

const inner = new BlockList()
for (const [network, prefix] of INNER_IPV4) inner.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of INNER_IPV6) inner.addSubnet(network, prefix, 'ipv6')
const publicIPv6 = new BlockList()
publicIPv6.addSubnet('2000::', 3, 'ipv6')

/** Behind NAT64 every IPv4 address is reached by one of these (RFC 6052): what it is, that address says. */
const nat64 = new BlockList()
nat64.addSubnet('64:ff9b::', 96, 'ipv6')

/**
 * Whether an IP address (without brackets) is one of the public internet. Everything else is not: loopback, private and
 * link-local networks, and IPv4 within IPv6, in which any of these could hide, but for that of NAT64, of which the IPv4 address counts.
 */
export function isPublicAddress(address: string): boolean {
  // No zone is public, and not everything takes one.
  if (isIP(address) === 0 || address.includes('%')) return false
  if (isIPv4(address)) return !inner.check(address, 'ipv4')
  if (nat64.check(address, 'ipv6')) return isPublicAddress(lastIPv4(address))
  return publicIPv6.check(address, 'ipv6') && !inner.check(address, 'ipv6')
}

/** The IPv4 address that the last 32 bits of an IPv6 address are. */
function lastIPv4(address: string): string {
  // Node writes an address in one way only.
  const text = new SocketAddress({ address, family: 'ipv6' }).address
  const [low, high] = text.split(':').reverse()
  return Buffer.from([high, low].map((group = '') => group.padStart(4, '0')).join(''), 'hex').join('.')
}
