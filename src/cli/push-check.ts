import { reasonOf } from '../lib/errors.ts'
import { OutboundHttp } from '../outbound/outbound-http.ts'
import { type NamedHost, PushHosts, WELL_KNOWN_ORIGINS } from '../push/hosts.ts'

/**
 * Which push services answer from here; what they answer does not matter. Rejects when none does. The subject was checked with
 * the configuration.
 */
export async function checkPush(subject: string, named: readonly NamedHost[]): Promise<string> {
  const hosts = new PushHosts(named)
  const http = new OutboundHttp()
  const own = named.filter(({ isSuffix }) => !isSuffix).map(({ host, port }) => `https://${host}:${port ?? '443'}`)
  try {
    const origins = [...own, ...WELL_KNOWN_ORIGINS].map((origin) => new URL(origin))
    const found = await Promise.all(origins.map((url) => faultOf(http, hosts, url)))
    const reached = origins.filter((_, index) => found[index] === undefined).map(({ host }) => host)
    const faults = origins.flatMap(({ host }, index) =>
      found[index] === undefined ? [] : [`${host}: ${found[index]}`],
    )
    if (reached.length === 0) throw new Error(`no push service can be reached: ${faults.join('; ')}`)
    const without = faults.length > 0 ? `; not reached: ${faults.join('; ')}` : ''
    return `subject ${subject}; reached: ${reached.join(', ')}${without}`
  } finally {
    http.close()
  }
}

async function faultOf(http: OutboundHttp, hosts: PushHosts, url: URL): Promise<string | undefined> {
  const reach = hosts.reachOf(url)
  if (!reach) return 'it is not spoken to'
  try {
    await http.send({ method: 'GET', url, reach, headers: {} })
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}
