import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { RedisOptions } from 'ioredis'

/** Where Redis is, and how it is spoken to. */
export interface RedisAddress {
  /** redis:// or rediss://, with user, password and database. With sentinels its host is the name that they give the primary. */
  readonly url: string
  readonly sentinels?: Sentinels | undefined
  readonly tls?: TlsFiles | undefined
}

/** Who is asked which server is the primary. */
export interface Sentinels {
  readonly servers: readonly { readonly host: string; readonly port: number }[]
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
  const { protocol, hostname, port, username, password, pathname } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isSecure = protocol === 'rediss:'
  const both: AddressOptions = {
    ...(username !== '' && { username: decodeURIComponent(username) }),
    ...(password !== '' && { password: decodeURIComponent(password) }),
    ...(isSecure && { tls: tlsOptions(tls) }),
    db: Number(pathname.slice(1)),
  }
  if (!sentinels) return { ...both, host, port: port === '' ? 6379 : Number(port) }
  return { ...both, ...sentinelOptions(sentinels, tls), name: host, enableTLSForSentinelMode: isSecure }
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
    sentinelReconnectStrategy: () => SENTINEL_RETRY_MS,
    // An old primary that was only frozen or cut off would keep us for as long as its sentinels take to find it again.
    failoverDetector: true,
  }
}

/** Read anew for each connection: certificates are renewed while the service runs. */
function tlsOptions(files: TlsFiles | undefined): ConnectionOptions {
  const options = {}
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = files?.[name]
    if (path === undefined) continue
    let pem = readFileSync(path, 'utf8')
    const get = (): string => {
      pem = readOr(pem, path)
      return pem
    }
    Object.defineProperty(options, name, { enumerable: true, get })
  }
  return options
}

/** While a file is being replaced the last one counts. */
function readOr(last: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return last
  }
}
