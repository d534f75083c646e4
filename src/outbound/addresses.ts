import { BlockList, isIP, isIPv4 } from 'node:net'

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

/**
 * Whether an IP address (without brackets) is one of the public internet. Everything else is not: loopback, private and
 * link-local networks, and IPv4 within IPv6, in which any of these could hide.
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false
  if (isIPv4(address)) return !inner.check(address, 'ipv4')
  return publicIPv6.check(address, 'ipv6') && !inner.check(address, 'ipv6')
}
