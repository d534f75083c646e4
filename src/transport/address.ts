import { BlockList, isIP } from 'node:net'

export type AddressOf = (peer: string, forwardedFor: string) => string

/**
 * Finds out who a request comes from: the peer, or, when the peer is a trusted proxy, the last address of X-Forwarded-For
 * that no trusted proxy wrote about another. What an untrusted peer claims is not read.
 * `trusted`: addresses and networks such as `10.0.0.0/8`.
 */
export function clientAddress(trusted: readonly string[]): AddressOf {
  if (trusted.length === 0) return (peer) => plain(peer)
  const proxies = blockListOf(trusted)
  const isTrusted = (address: string): boolean => proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return (peer, forwardedFor) => {
    const hops = [...forwardedFor.split(',').map((hop) => hop.trim()), plain(peer)].filter((hop) => isIP(hop) > 0)
    while (hops.length > 1 && isTrusted(hops.at(-1) ?? '')) hops.pop()
    return hops.at(-1) ?? plain(peer)
  }
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

/** uWebSockets writes IPv6 in full, and an IPv4 peer of a dual-stack socket as IPv6 (uWebSockets#1873). */
function plain(peer: string): string {
  const mapped = /^0000:0000:0000:0000:0000:ffff:([0-9a-f]{2})([0-9a-f]{2}):([0-9a-f]{2})([0-9a-f]{2})$/.exec(peer)
  return mapped
    ? mapped
        .slice(1)
        .map((byte) => Number.parseInt(byte, 16))
        .join('.')
    : peer
}
