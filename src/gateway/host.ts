import { originOf } from './origin.ts'

/** Host names under which the service may be asked, in lower case, beside IP addresses and `localhost`. None: under any. */
export type HostNames = readonly string[] | undefined

/** Whether a request with this Host header may be served. */
export type HostRule = (host: string | undefined) => boolean

export const FOREIGN_HOST =
  'This Host is not served without authentication. Set PUBLIC_URL to the address under which browsers reach the service.'

/** The name of a Host header, without its port. Undefined when it is none. */
export function hostNameOf(host: string): string | undefined {
  const origin = originOf(`http://${host}`)
  return origin === undefined ? undefined : new URL(origin).hostname
}

/**
 * Any web page can let a name of its own lead to the loopback address,
 * and is of the same origin with what answers there (DNS rebinding). Where anybody may speak for everybody the name has to be
 * one that a stranger cannot give: an IP address, `localhost`, or one that was configured. Only programs send none.
 */
export function createHostRule(names: HostNames): HostRule {
  if (!names) return () => true
  // Nearly all requests name one of a few, and to read it costs as much as all of the rest before the route.
  const allowed = new Set<string>()
  return (host) => {
    if (!host || allowed.has(host)) return true
    const name = hostNameOf(host)
    const isAllowed = name !== undefined && (name === 'localhost' || IP_ADDRESS.test(name) || names.includes(name))
    if (isAllowed && allowed.size < MAX_REMEMBERED) allowed.add(host)
    return isAllowed
  }
}

const MAX_REMEMBERED = 100
/** As the URL standard writes addresses: a name that ends in a number is IPv4, and IPv6 stands in brackets. */
const IP_ADDRESS = /^(\[.*\]|\d+\.\d+\.\d+\.\d+)$/
