import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { userInfo } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import type pg from 'pg'
import { reasonOf } from '../lib/errors.ts'
import type { ClientConfig } from './client.ts'
import { PreferredTls } from './preferred-tls.ts'

/**
 * `sslmode` with the meaning of libpq, which pg's own parser does not keep (it takes `require` for `verify-full`):
 * - `disable`, `allow`: no TLS. (libpq's `allow` would turn to TLS where a server demands it; say `require` there.)
 * - `prefer`, and no sslmode at all: TLS if the server offers it, unverified. Only `resolveDsn` can find that out.
 * - `require`: TLS without verifying the certificate, unless `sslrootcert` is given: then as `verify-ca`.
 * - `verify-ca`, `verify-full`: the certificate, and with `full` the host name too, against `sslrootcert`; without that
 *   file, or with `system`, against the certificate authorities that Node.js trusts.
 * A unix socket never uses TLS.
 */
type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full'

const SSL_MODES: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']
const PARAMETERS = [
  ...['host', 'port', 'user', 'password', 'dbname', 'options', 'application_name', 'fallback_application_name'],
  ...['connect_timeout', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'channel_binding', 'target_session_attrs'],
]
const MALFORMED = 'is not a valid URL; characters such as @ : / ? # % in its parts must be percent-encoded'
const PROBE_TIMEOUT_MS = 10_000
// https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest; the reply is one byte, S or N.
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

interface Parsed {
  readonly config: pg.ClientConfig
  readonly host: string
  readonly port: number
  readonly sslMode: SslMode
}

/** Understands a `postgres://` URL; throws an Error that never holds the password. `prefer` gives no TLS here. */
export function parseDsn(dsn: string): pg.ClientConfig {
  return parse(dsn).config
}

/** As `parseDsn`, and asks the server whether it offers TLS where the DSN leaves that open: `Client` asks again. */
export async function resolveDsn(dsn: string): Promise<ClientConfig> {
  const { config, host, port, sslMode } = parse(dsn)
  if (sslMode !== 'prefer' || isSocket(host)) return config
  const ask = (): Promise<boolean> => probeTls(host, port, config.connectionTimeoutMillis)
  const preferredTls = new PreferredTls(await ask(), ask)
  return { ...config, ssl: preferredTls.ssl, preferredTls }
}

function parse(dsn: string): Parsed {
  const url = parseUrl(dsn)
  const query = parseQuery(url)
  const setting = (name: string, fromUrl: string): string | undefined => query.get(name) ?? (fromUrl || undefined)
  const host = setting('host', decode(url.hostname.replace(/^\[(.*)\]$/, '$1'))) ?? 'localhost'
  const port = integer('port', setting('port', url.port) ?? '5432', 65535)
  const user = setting('user', decode(url.username)) ?? userInfo().username
  const password = setting('password', decode(url.password))
  const database = setting('dbname', decode(url.pathname.slice(1))) ?? user
  if (/,/.test(host)) throw invalid('names several hosts; this service takes one')
  const sslMode = parseSslMode(query.get('sslmode'))
  const config = {
    ...{ host, port, user, database },
    ...(password !== undefined && { password }),
    ...parseSession(query),
    ssl: isSocket(host) ? false : parseTls(sslMode, query),
  }
  return { config, host, port, sslMode }
}

/** WHATWG URLs know no `user@/database` and no empty host with a port, which libpq allows before `?host=`. */
function parseUrl(dsn: string): URL {
  const match = /^postgres(?:ql)?:\/\/((?:[^@/?#]*@)?)([^/?#]*)(.*)$/s.exec(dsn)
  if (!match) throw invalid('must start with postgres:// or postgresql://, with reserved characters percent-encoded')
  const [, credentials = '', address = '', rest = ''] = match
  // Behind the address it stems from a / ? or # in the password, which must not get into a message as a parameter.
  if (rest.includes('@')) throw invalid(MALFORMED)
  const hasHost = address !== '' && !address.startsWith(':')
  if (address.includes(',')) throw invalid('names several hosts; this service takes one')
  try {
    return new URL(`postgres://${credentials}${hasHost ? '' : 'localhost'}${address}${rest}`)
  } catch {
    // The error of URL holds its whole input, password included.
    throw invalid(MALFORMED)
  }
}

function parseQuery(url: URL): ReadonlyMap<string, string> {
  const query = new Map(url.searchParams)
  const unknown = [...query.keys()].find((name) => !PARAMETERS.includes(name))
  if (unknown !== undefined) throw invalid(`has the unknown parameter "${unknown}"; known are ${PARAMETERS.join(', ')}`)
  const session = query.get('target_session_attrs') ?? 'any'
  // The service refuses a standby at start anyway.
  if (!['any', 'read-write', 'primary'].includes(session)) {
    throw invalid(`has target_session_attrs=${session}; it may be any, read-write or primary`)
  }
  return query
}

function parseSession(query: ReadonlyMap<string, string>): pg.ClientConfig & { enableChannelBinding?: boolean } {
  const timeoutSeconds = query.get('connect_timeout')
  const options = query.get('options')
  const applicationName = query.get('application_name')
  const fallbackName = query.get('fallback_application_name')
  return {
    ...(timeoutSeconds && { connectionTimeoutMillis: integer('connect_timeout', timeoutSeconds, 86_400) * 1000 }),
    ...(options && { options }),
    ...(applicationName && { application_name: applicationName }),
    ...(fallbackName && { fallback_application_name: fallbackName }),
    ...(query.get('channel_binding') === 'require' && { enableChannelBinding: true }),
  }
}

function parseSslMode(value = 'prefer'): SslMode {
  const mode = SSL_MODES.find((known) => known === value)
  if (!mode) throw invalid(`has sslmode=${value}; it may be ${SSL_MODES.join(', ')}`)
  return mode
}

function parseTls(mode: SslMode, query: ReadonlyMap<string, string>): false | ConnectionOptions {
  if (mode === 'disable' || mode === 'allow' || mode === 'prefer') return false
  const rootCert = query.get('sslrootcert')
  const options: ConnectionOptions = {
    ...(rootCert && rootCert !== 'system' && { ca: readParameterFile('sslrootcert', rootCert) }),
    ...clientCertificate(query),
  }
  if (mode === 'require' && !rootCert) return { ...options, rejectUnauthorized: false }
  if (mode === 'verify-full') return { ...options, rejectUnauthorized: true }
  return { ...options, rejectUnauthorized: true, checkServerIdentity: () => undefined }
}

function clientCertificate(query: ReadonlyMap<string, string>): ConnectionOptions {
  const cert = query.get('sslcert')
  const key = query.get('sslkey')
  if (!cert !== !key) throw invalid('has only one of sslcert and sslkey; a client certificate needs both')
  if (!cert || !key) return {}
  return { cert: readParameterFile('sslcert', cert), key: readParameterFile('sslkey', key) }
}

function readParameterFile(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw invalid(`has ${parameter}=${path}, which cannot be read (${reasonOf(error)})`)
  }
}

function probeTls(host: string, port: number, timeoutMs = PROBE_TIMEOUT_MS): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string): void => {
      socket.destroy()
      reject(new Error(`PostgreSQL at ${host}:${port} cannot be reached: ${reason}`))
    }
    const socket = connect({ host, port }, () => socket.write(SSL_REQUEST))
    socket.setTimeout(timeoutMs || PROBE_TIMEOUT_MS, () => fail('no answer in time'))
    socket.once('error', (error) => fail(error.message || String(error)))
    socket.once('close', () => fail('it closed the connection'))
    socket.once('data', (reply) => {
      socket.removeAllListeners('close').destroy()
      resolve(reply[0] === 'S'.charCodeAt(0))
    })
  })
}

function integer(name: string, text: string, max: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value <= max) return value
  throw invalid(`has ${name}=${text}; it must be a whole number up to ${max}`)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // The error of decodeURIComponent would do, but what failed may be the password.
    throw invalid('holds a % that does not start a percent-encoded character')
  }
}

function isSocket(host: string): boolean {
  return host.startsWith('/')
}

function invalid(what: string): Error {
  return new Error(`The PostgreSQL DSN ${what}`)
}
