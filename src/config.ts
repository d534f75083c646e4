/** Configuration from the environment: read once at start, checked as a whole, frozen. The only reader of process.env. */
import { accessSync, constants, statSync } from 'node:fs'
import { isIP, isIPv4 } from 'node:net'
import { resolve } from 'node:path'
import { z } from 'zod'
import { reasonOf } from './lib/errors.ts'
import { parseDsn } from './postgres/dsn.ts'

type Environment = Readonly<Record<string, string | undefined>>
type TextSchema = z.ZodType<unknown, string>
interface Documentation {
  /** What the value may be, to complete "… is not …". */
  readonly expects: string
  /** Meaning and unit. */
  readonly meaning: string
}

const documentation = new Map<z.ZodType, Documentation & { readonly default: string }>()

function documented<S extends z.ZodType>(schema: S, about: Documentation & { readonly default: string }): S {
  documentation.set(schema, about)
  return schema
}

/** A variable whose default is a text that goes through the same schema as a given value. */
function variable<S extends TextSchema>(schema: S, defaultText: z.input<S>, about: Documentation): z.ZodPrefault<S> {
  return documented(z.prefault(schema, defaultText), { ...about, default: `\`${defaultText}\`` })
}

/** A variable that may stay unset; `whenUnset` says what happens then. */
function optional<S extends TextSchema>(schema: S, whenUnset: string, about: Documentation): z.ZodOptional<S> {
  return documented(z.optional(schema), { ...about, default: whenUnset })
}

function wholeNumber(min: number, max: number, defaultNumber: number, meaning: string) {
  const schema = z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(min).max(max))
  return variable(schema, String(defaultNumber), { expects: `a whole number from ${min} to ${max}`, meaning })
}

function oneOf<const T extends readonly [string, ...string[]]>(values: T, defaultText: T[number], meaning: string) {
  return variable(z.enum(values), defaultText, { expects: `one of ${values.join(', ')}`, meaning })
}

function file(meaning: string) {
  return optional(z.string().refine(isReadableFile), 'none: no TLS', { expects: 'a readable file', meaning })
}

function isReadableFile(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return statSync(path).isFile()
  } catch {
    return false // the caller reports it, by the variable's name
  }
}

/** `host:port` is short for `redis://host:port`. */
const redisUrl = z
  .string()
  .regex(/^(rediss?:\/\/|[^/]+:\d+$)/)
  .transform((text) => (text.includes('://') ? text : `redis://${text}`))
  .refine(isRedisUrl)

/** What the client would take, and fail on only when it connects, is refused here. */
function isRedisUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { hostname, pathname, search, hash, username, password } = new URL(text)
  const isPlain = hostname !== '' && search === '' && hash === ''
  return isPlain && /^(\/\d{0,9})?$/.test(pathname) && isDecodable(username) && isDecodable(password)
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false // the caller reports it, by the variable's name
  }
}

const listed = (text: string): string[] => text.split(',').map((part) => part.trim())

const origins = z
  .string()
  .transform(listed)
  .refine((all) => all.every((one) => one === '*' || (URL.canParse(one) && new URL(one).origin === one)))

const networks = z
  .string()
  .transform(listed)
  .refine((all) => all.every(isNetwork))

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 6 ? 128 : 32))
}

/**
 * A client that escapes everything outside ASCII turns the two bytes of a letter into six (`\u00e9`), three times as many.
 * So a third of a 64 KiB frame, less 1 KiB for the fields around the text, always fits. Only a text made of control
 * characters can take more; it is refused like any frame that is too large.
 */
const largestContentBytes = (64 * 1024 - 1024) / 3

const schema = z.object({
  HOST: variable(z.string().regex(/^[\w.:-]+$/), '127.0.0.1', {
    expects: 'a host name or an IP address',
    meaning: 'address to listen on',
  }),
  PORT: wholeNumber(0, 65_535, 8080, 'port to listen on; 0 takes any free one'),
  TLS_CERT_FILE: file('certificate chain (PEM); needs `TLS_KEY_FILE`'),
  TLS_KEY_FILE: file('private key (PEM); needs `TLS_CERT_FILE`'),
  POSTGRES_DSN: optional(z.string(), 'none: own PostgreSQL under `DATA_DIR`', {
    expects: 'a postgres:// or postgresql:// URL',
    meaning: 'database to use; `sslmode` is honoured',
  }),
  MIGRATION_DSN: optional(z.string(), 'none: `POSTGRES_DSN`', {
    expects: 'a postgres:// or postgresql:// URL',
    meaning: 'the same database by a role that may create tables; the one of `POSTGRES_DSN` then needs no DDL',
  }),
  POSTGRES_POOL_MAX: wholeNumber(1, 1000, 8, 'most connections for reading; the writer has its own'),
  DATA_DIR: variable(z.string().transform(toAbsolute), './data', {
    expects: 'a directory',
    meaning: 'where the own PostgreSQL keeps its data',
  }),
  REDIS_ADDR: optional(redisUrl, 'none: single instance', {
    expects: 'host:port or a redis:// or rediss:// URL such as redis://user:password@host:6379/1',
    meaning: 'Redis (6.2 or newer) or Valkey that connects several instances',
  }),
  REDIS_PREFIX: variable(z.string(), 'msg:', {
    expects: 'text',
    meaning: 'put before every Redis key and channel, with the number of the database if that is not 0',
  }),
  WORKERS: wholeNumber(1, 256, 1, 'processes that share the port; more than one needs `REDIS_ADDR`'),
  AUTH: oneOf(
    ['none', 'jwt'],
    'none',
    'who is asking; `none` on a `HOST` that is not loopback must be set explicitly; `jwt` is not built yet',
  ),
  LOG_LEVEL: oneOf(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'least severe log lines to write',
  ),
  ALLOWED_ORIGINS: optional(origins, 'none: pages of the own origin', {
    expects: 'a comma-separated list of origins such as https://app.example.com, or *',
    meaning: 'web pages that may open a socket and read answers; programs send no Origin',
  }),
  TRUSTED_PROXIES: optional(networks, 'none', {
    expects: 'a comma-separated list of IP addresses and networks such as 10.0.0.0/8',
    meaning: 'proxies whose `X-Forwarded-For` is believed',
  }),
  USER_COMMANDS_PER_SECOND: wholeNumber(0, 1e6, 10_000, 'commands of one user, twice as many at once; 0: no limit'),
  ADDRESS_REQUESTS_PER_SECOND: wholeNumber(
    0,
    1e6,
    50_000,
    'requests of one address or IPv6 /64, twice as many at once; 0: no limit',
  ),
  UPGRADES_PER_SECOND: wholeNumber(0, 1e6, 5000, 'new sockets, twice as many at once; more get 503; 0: no limit'),
  MAX_CONNECTIONS: wholeNumber(
    1,
    1e6,
    100_000,
    'open sockets of this process, less if `ulimit -n` is lower; more get 503',
  ),
  MAX_CONNECTIONS_PER_ADDRESS: wholeNumber(1, 1e6, 20_000, 'open sockets of one address or IPv6 /64; more get 429'),
  MAX_CONTENT_BYTES: wholeNumber(1, largestContentBytes, 16_384, 'largest message text, in bytes of UTF-8'),
  MAX_CONNECTIONS_PER_USER: wholeNumber(
    1,
    1000,
    10,
    'open sockets of one user on this process; one more replaces the oldest',
  ),
  MAX_BACKPRESSURE_BYTES: wholeNumber(
    65_536,
    2 ** 30,
    1_048_576,
    'bytes a slow socket may have waiting before it lags',
  ),
  IDLE_TIMEOUT_SECONDS: wholeNumber(8, 960, 32, 'a socket silent for so long, also to pings, is closed'),
  CATCHUP_CONCURRENCY: wholeNumber(1, 1000, 64, 'sockets that replay stored messages at the same time'),
  LAGGING_TIMEOUT_MS: wholeNumber(1, 600_000, 30_000, 'a socket lagging for so long is closed (4413)'),
  WRITER_MAX_QUEUE_ROWS: wholeNumber(
    1,
    1_000_000,
    50_000,
    'sends waiting for the database; more are `overloaded`, some already beyond 55 %',
  ),
  WRITER_MAX_QUEUE_BYTES: wholeNumber(
    65_536,
    2 ** 30,
    33_554_432,
    'bytes of text waiting; more are `overloaded`, some already beyond 55 %',
  ),
  WRITER_MAX_QUEUE_AGE_MS: wholeNumber(1, 2000, 1800, 'a send not stored after so long gets a definite error'),
  WRITER_MAX_BATCH_ROWS: wholeNumber(1, 100_000, 2000, 'messages in one transaction'),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(1, 600_000, 25_000, 'longest drain after SIGTERM'),
  DRAIN_RECONNECT_SPREAD_MS: wholeNumber(
    0,
    600_000,
    10_000,
    'clients of a draining instance come back spread over this',
  ),
})

/** Names, defaults and meanings of all variables, in the order of the README's table. */
export const CONFIG_VARIABLES = Object.entries(schema.shape).map(([name, one]) => {
  const about = documentation.get(one)
  return { name, default: about?.default ?? '', expects: about?.expects ?? '', meaning: about?.meaning ?? '' }
})

/** The checked configuration; which variable a field comes from, and so its meaning and unit, stands in `toConfig`. */
export type Config = ReturnType<typeof toConfig>

/** Every mistake in the environment, one line each, without the text of a secret. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[]) {
    super(`The configuration is wrong:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`)
    this.name = 'ConfigError'
    this.mistakes = mistakes
  }
}

/** Reads and checks the configuration; throws a `ConfigError` that names all mistakes at once. */
export function loadConfig(env: Environment = process.env): Config {
  const given = withoutEmpty(env)
  const parsed = schema.safeParse(given)
  const wrongNames = new Set(parsed.error?.issues.map((issue) => String(issue.path[0])))
  const mistakes = [
    ...[...wrongNames].map((name) => describeMistake(name, given[name])),
    ...dsnMistakes(given),
    ...contradictions(given),
  ]
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes)
  return toConfig(parsed.data, given.AUTH !== undefined)
}

/** The environment of a child process: ours, with these variables set. */
export function environmentWith(variables: Environment): NodeJS.ProcessEnv {
  return { ...process.env, ...variables }
}

/** Deployment templates often set every name they know, to nothing: an empty value counts as unset. */
function withoutEmpty(env: Environment): Environment {
  const trimmed = CONFIG_VARIABLES.map(({ name }) => [name, env[name]?.trim()] as const)
  return Object.fromEntries(trimmed.filter(([, value]) => value !== undefined && value !== ''))
}

const mayHoldPassword = new Set(['POSTGRES_DSN', 'MIGRATION_DSN', 'REDIS_ADDR'])

function describeMistake(name: string, value: string | undefined): string {
  const expects = CONFIG_VARIABLES.find((one) => one.name === name)?.expects
  return `${name}: ${mayHoldPassword.has(name) ? 'the value' : JSON.stringify(value)} is not ${expects}`
}

/** Files that a DSN names are read too; whether there is a server is not asked. */
function dsnMistakes(given: Environment): string[] {
  return ['POSTGRES_DSN', 'MIGRATION_DSN'].flatMap((name) => {
    const dsn = given[name]
    if (dsn === undefined) return []
    try {
      parseDsn(dsn)
      return []
    } catch (error) {
      return `${name}: ${reasonOf(error)}`
    }
  })
}

/** Mistakes that lie between variables. They are looked for in the given text, so that they show beside all others. */
function contradictions(given: Environment): string[] {
  const mistakes: string[] = []
  if (given.TLS_CERT_FILE && !given.TLS_KEY_FILE) mistakes.push('TLS_KEY_FILE: is missing beside TLS_CERT_FILE')
  if (given.TLS_KEY_FILE && !given.TLS_CERT_FILE) mistakes.push('TLS_CERT_FILE: is missing beside TLS_KEY_FILE')
  if (given.MIGRATION_DSN && !given.POSTGRES_DSN) mistakes.push('POSTGRES_DSN: is missing beside MIGRATION_DSN')
  if (given.HOST && !isLoopback(given.HOST) && !given.AUTH) {
    mistakes.push(
      `AUTH: is not set and HOST is ${given.HOST}, so whoever reaches it could write as anybody; set AUTH=none to allow ` +
        'that, or AUTH=jwt',
    )
  }
  if (Number(given.WORKERS) > 1 && !given.REDIS_ADDR) {
    mistakes.push('REDIS_ADDR: is missing beside WORKERS; it connects the processes')
  }
  if (Number(given.WORKERS) > 1 && given.PORT === '0') {
    mistakes.push('PORT: 0 would give each of several WORKERS a port of its own')
  }
  if (given.AUTH === 'jwt') mistakes.push('AUTH: jwt is not available in this version; it may be none')
  return mistakes
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

function toAbsolute(path: string): string {
  return resolve(path)
}

function toGuardLimits(given: z.infer<typeof schema>) {
  return Object.freeze({
    userCommandsPerSecond: given.USER_COMMANDS_PER_SECOND,
    addressRequestsPerSecond: given.ADDRESS_REQUESTS_PER_SECOND,
    upgradesPerSecond: given.UPGRADES_PER_SECOND,
    maxConnections: given.MAX_CONNECTIONS,
    maxConnectionsPerAddress: given.MAX_CONNECTIONS_PER_ADDRESS,
  })
}

/** Redis keeps the keys of its databases apart, but not their channels. */
function prefixIn(url: string | undefined, prefix: string): string {
  const database = url === undefined ? 0 : Number(new URL(url).pathname.slice(1))
  return database === 0 ? prefix : `${prefix}db${database}:`
}

function toConfig(given: z.infer<typeof schema>, isAuthExplicit: boolean) {
  const { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile } = given
  return Object.freeze({
    http: Object.freeze({
      host: given.HOST,
      port: given.PORT,
      tls: certFile && keyFile ? Object.freeze({ certFile, keyFile }) : undefined,
      /** Several processes of this service listen on the port. */
      isShared: given.WORKERS > 1,
      idleTimeoutSeconds: given.IDLE_TIMEOUT_SECONDS,
      maxBackpressureBytes: given.MAX_BACKPRESSURE_BYTES,
      trustedProxies: Object.freeze(given.TRUSTED_PROXIES ?? []),
    }),
    origins: Object.freeze({
      any: given.ALLOWED_ORIGINS?.includes('*') ?? false,
      allowed: Object.freeze(given.ALLOWED_ORIGINS ?? []),
    }),
    guard: toGuardLimits(given),
    postgres: Object.freeze({
      dsn: given.POSTGRES_DSN,
      migrationDsn: given.MIGRATION_DSN,
      dataDir: given.DATA_DIR,
      poolMax: given.POSTGRES_POOL_MAX,
    }),
    redis: Object.freeze({ url: given.REDIS_ADDR, prefix: prefixIn(given.REDIS_ADDR, given.REDIS_PREFIX) }),
    workers: given.WORKERS,
    auth: Object.freeze({ mode: given.AUTH, explicit: isAuthExplicit }),
    writer: Object.freeze({
      maxQueueRows: given.WRITER_MAX_QUEUE_ROWS,
      maxQueueBytes: given.WRITER_MAX_QUEUE_BYTES,
      maxQueueAgeMs: given.WRITER_MAX_QUEUE_AGE_MS,
      maxBatchRows: given.WRITER_MAX_BATCH_ROWS,
    }),
    delivery: Object.freeze({
      catchupConcurrency: given.CATCHUP_CONCURRENCY,
      laggingTimeoutMs: given.LAGGING_TIMEOUT_MS,
    }),
    limits: Object.freeze({
      maxContentBytes: given.MAX_CONTENT_BYTES,
      maxConnectionsPerUser: given.MAX_CONNECTIONS_PER_USER,
    }),
    log: Object.freeze({ level: given.LOG_LEVEL }),
    shutdown: Object.freeze({
      timeoutMs: given.SHUTDOWN_TIMEOUT_MS,
      drainReconnectSpreadMs: given.DRAIN_RECONNECT_SPREAD_MS,
    }),
  })
}
