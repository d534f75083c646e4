import type { Reach } from '../outbound/outbound-http.ts'

/** A host that an operator allows beside the well-known ones. `port`: exactly this one, and it may lead inside. */
export interface NamedHost {
  readonly host: string
  /** Every name below, not the host itself. */
  readonly isSuffix: boolean
  readonly port: string | undefined
}

/** What there is to know of a push service; the label of metrics. */
export type HostClass = 'google' | 'mozilla' | 'apple' | 'microsoft' | 'other'

const WELL_KNOWN: readonly (NamedHost & { readonly class: HostClass })[] = [
  { host: 'fcm.googleapis.com', isSuffix: false, port: undefined, class: 'google' },
  { host: 'push.services.mozilla.com', isSuffix: true, port: undefined, class: 'mozilla' },
  { host: 'push.apple.com', isSuffix: true, port: undefined, class: 'apple' },
  { host: 'notify.windows.com', isSuffix: true, port: undefined, class: 'microsoft' },
]

/** What is asked whether it can be reached: a name below a suffix that the service uses. */
export const WELL_KNOWN_ORIGINS: readonly string[] = [
  'https://fcm.googleapis.com',
  'https://updates.push.services.mozilla.com',
  'https://web.push.apple.com',
]

const MAX_ENDPOINT_LENGTH = 1_000

/** Which push services are spoken to: of the URL's parsed host, so that no text in its path or user can look like one. */
export class PushHosts {
  readonly #named: readonly NamedHost[]

  constructor(named: readonly NamedHost[]) {
    this.#named = named
  }

  /** How far a request to this address may reach; undefined: it may not be made. */
  reachOf(url: URL): Reach | undefined {
    if (url.protocol !== 'https:' || url.username !== '' || url.password !== '') return undefined
    const match = [...WELL_KNOWN, ...this.#named].filter((one) => isMatch(url, one))
    if (match.length === 0) return undefined
    return match.some(({ port }) => port !== undefined) ? 'anywhere' : 'public'
  }

  /** Why an endpoint is not taken, to complete "endpoint …"; undefined when it is. */
  faultOf(endpoint: string): string | undefined {
    if (endpoint.length > MAX_ENDPOINT_LENGTH) return `may have ${MAX_ENDPOINT_LENGTH} characters`
    if (!URL.canParse(endpoint)) return 'must be an address that begins with https://'
    if (this.reachOf(new URL(endpoint))) return undefined
    return 'must be an https address of a push service that this server speaks to (PUSH_HOSTS adds others)'
  }
}

/** URL leaves out the port that belongs to https. */
function isMatch({ hostname, port }: URL, named: NamedHost): boolean {
  if ((named.port ?? '443') !== (port === '' ? '443' : port)) return false
  return named.isSuffix ? hostname.endsWith(`.${named.host}`) : hostname === named.host
}

export function hostClassOf(hostname: string): HostClass {
  const url = new URL(`https://${hostname}`)
  return WELL_KNOWN.find((one) => isMatch(url, { ...one, port: url.port || undefined }))?.class ?? 'other'
}

/**
 * Whether a push without a notification does harm there: iOS takes the permission away after three of them, and Windows
 * shows one of its own.
 */
export function takesSilent(hostClass: HostClass): boolean {
  return hostClass !== 'apple' && hostClass !== 'microsoft'
}
