import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'
import { urlHost } from '../lib/url-host.ts'

/** Where Redis is, and how it is spoken to. */
export interface RedisAddress {
  /** redis:// or rediss://, with user, password and database. With sentinels its host is the name that they give the primary. */
  readonly url: string
  readonly sentinels?: Sentinels | undefined
  readonly tls?: TlsFiles | undefined
  /** It is a Redis Cluster, of which the URL names one node and these others. */
  readonly cluster?: { readonly nodes: readonly Server[] } | undefined
}

interface Server {
  readonly host: string
  readonly port: number
}

/** Who is asked which server is the primary. */
export interface Sentinels {
  readonly servers: readonly Server[]
  readonly username: string
  readonly password: string
  readonly isSecure: boolean
}

/** Paths of PEM files. */
export interface TlsFiles {
  readonly ca: string | undefined
  readonly cert: string | undefined
  readonly key: string | undefined
}

/** A sentinel that does not answer for so long is passed over. */
const SENTINEL_TIMEOUT_MS = 2_000
const SENTINEL_RETRY_MS = 1_000

type AddressOptions = Omit<RedisOptions, 'replyMapping'>

/** As the client takes it. */
export function addressOptions({ url, sentinels, tls }: RedisAddress): AddressOptions {
  const { protocol, username, password, pathname } = new URL(url)
  const { host, port } = serverIn(url, 6379)
  const isSecure = protocol === 'rediss:'
  const both: AddressOptions = {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(isSecure && { tls: tlsOptions(tls) }),
    db: Number(pathname.slice(1)),
  }
  if (!sentinels) return { ...both, host, port }
  return { ...both, ...sentinelOptions(sentinels, tls), name: host, enableTLSForSentinelMode: isSecure }
}

/** Where a cluster is first asked for its nodes. */
export function clusterNodes({ url, cluster }: RedisAddress): Server[] {
  return [serverIn(url, 6379), ...(cluster?.nodes ?? [])]
}

/** The node at host:port of the same cluster. */
export function nodeAddress({ url, tls }: RedisAddress, node: string): RedisAddress {
  const [, host = '', port] = /^(.*):(\d+)$/.exec(node) ?? []
  const whole = new URL(url)
  const credentials = /^[^/]*\/\/([^@]*@)?/.exec(whole.href)?.[1] ?? ''
  return { url: `${whole.protocol}//${credentials}${urlHost(host)}:${port}`, tls }
}

export function serverIn(url: string, defaultPort: number): Server {
  const { hostname, port } = new URL(url)
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? defaultPort : Number(port) }
}

function sentinelOptions(
  { servers, username, password, isSecure }: Sentinels,
  tls: TlsFiles | undefined,
): AddressOptions {
  return {
    sentinels: [...servers],
    ...(username !== '' && { sentinelUsername: username }),
    ...(password !== '' && { sentinelPassword: password }),
    ...(isSecure && { sentinelTLS: tlsOptions(tls) }),
    sentinelCommandTimeout: SENTINEL_TIMEOUT_MS,
    sentinelRetryStrategy: () => SENTINEL_RETRY_MS,
  }
}

/** Read anew for each connection: certificates are renewed while the service runs. */
function tlsOptions(files: TlsFiles | undefined): ConnectionOptions {
  const options = {}
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = files?.[name]
    if (path === undefined) continue
    readPem(path)
    Object.defineProperty(options, name, { enumerable: true, get: () => readPem(path) })
  }
  return options
}

const lastPems = new Map<string, string>()

/** While a file is being replaced what was last in it counts, also for a connection that is opened just then. */
function readPem(path: string): string {
  try {
    const pem = readFileSync(path, 'utf8')
    lastPems.set(path, pem)
    return pem
  } catch (error) {
    const last = lastPems.get(path)
    if (last === undefined) throw error
    return last
  }
}
