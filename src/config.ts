/** Configuration from the environment: read once at start, checked as a whole, frozen. The only reader of process.env. */
import type * as z from 'zod'
import { authMistakes, authSecrets, toAuthConfig, unusedAuthVariables } from './config/auth.ts'
import { toPushConfig } from './config/push.ts'
import { redisMistakes, toRedisConfig } from './config/redis.ts'
import { toTracingConfig } from './config/tracing.ts'
import { CONFIG_VARIABLES, schema } from './config/variables.ts'
import { type HostNames, hostNameOf } from './gateway/host.ts'
import type { OriginPolicy } from './gateway/origin.ts'
import { reasonOf } from './lib/errors.ts'
import { isLoopback } from './lib/loopback.ts'
import { urlHost } from './lib/url-host.ts'
import { parseDsn } from './postgres/dsn.ts'

export { CONFIG_VARIABLES }

type Environment = Readonly<Record<string, string | undefined>>
type Given = z.infer<typeof schema>

/** The checked configuration; which variable a field comes from, and so its meaning and unit, stands in `toConfig`. */
export type Config = ReturnType<typeof toConfig>

/** Exit code of a process whose configuration is wrong: `EX_CONFIG` of sysexits.h. */
export const WRONG_CONFIGURATION = 78

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
    ...redisMistakes(given),
    ...authMistakes(given),
  ]
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(mistakes)
  return toConfig(parsed.data, unusedAuthVariables(given))
}

/** Whether `npm start` started this process; another script may well leave a service running behind it. */
export function isStartedByNpm(env: Environment = process.env): boolean {
  return env.npm_lifecycle_event === 'start'
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

const mayHoldPassword = new Set([
  'POSTGRES_DSN',
  'MIGRATION_DSN',
  'REDIS_ADDR',
  'REDIS_SENTINELS',
  'JWT_SECRET',
  'JWT_SECRET_PREVIOUS',
  'JWT_JWKS_URL',
  'METRICS_TOKEN',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
])

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
  for (const name of ['MIGRATION_DSN', 'POSTGRES_SCHEMA']) {
    if (given[name] && !given.POSTGRES_DSN) mistakes.push(`POSTGRES_DSN: is missing beside ${name}`)
  }
  if (given.HOST && !isLoopback(given.HOST) && !given.AUTH) {
    mistakes.push(
      `AUTH: is not set and HOST is ${given.HOST}, so anybody who reaches it could write as everybody; set AUTH=none ` +
        'if that is wanted, or HOST=127.0.0.1',
    )
  }
  if (Number(given.WORKERS) > 1 && !given.REDIS_ADDR) {
    mistakes.push('REDIS_ADDR: is missing beside WORKERS; it connects the processes')
  }
  if (Number(given.WORKERS) > 1 && given.PORT === '0') {
    mistakes.push('PORT: 0 would give each of several WORKERS a port of its own')
  }
  return mistakes
}

function toGuardLimits(given: Given) {
  return Object.freeze({
    userCommandsPerSecond: given.USER_COMMANDS_PER_SECOND,
    addressRequestsPerSecond: given.ADDRESS_REQUESTS_PER_SECOND,
    upgradesPerSecond: given.UPGRADES_PER_SECOND,
    addressRefusalsPerSecond: given.ADDRESS_REFUSALS_PER_SECOND,
    maxConnections: given.MAX_CONNECTIONS,
    maxConnectionsPerAddress: given.MAX_CONNECTIONS_PER_ADDRESS,
  })
}

/** Pages of the public address may always use the service, also when others are listed. */
function toOriginPolicy({ ALLOWED_ORIGINS: listed, PUBLIC_URL: own }: Given): OriginPolicy {
  const exact = [...(listed?.exact ?? []), ...(own === undefined ? [] : [own])]
  const wildcards = (listed?.wildcards ?? []).map((one) => Object.freeze(one))
  return Object.freeze({ any: listed?.any ?? false, exact: Object.freeze(exact), wildcards: Object.freeze(wildcards) })
}

/** Without authentication, and where only this machine is meant to ask, no other name may lead here. */
function toHostNames({ AUTH, HOST, PUBLIC_URL }: Given): HostNames {
  if (AUTH !== 'none' || !isLoopback(HOST)) return undefined
  const names = [urlHost(HOST), ...(PUBLIC_URL === undefined ? [] : [new URL(PUBLIC_URL).host])].map(hostNameOf)
  return Object.freeze(names.filter((name) => name !== undefined))
}

/** As they stand in the URLs, and decoded. What is no URL gives none. */
function passwordsIn(...urls: readonly (string | undefined)[]): string[] {
  return urls.flatMap((text) => {
    const written = /^[a-z]+:\/\/[^/?#@]*?:([^@]*)@/i.exec(text ?? '')?.[1]
    const asParameter = URL.canParse(text ?? '') ? new URL(text ?? '').searchParams.get('password') : undefined
    const decoded = written === undefined ? [] : [written, decodeURIComponent(written)]
    return [...decoded, ...(asParameter ? [asParameter] : [])]
  })
}

/** With the texts that must not stand in it. */
function toLog(given: Given) {
  const passwords = passwordsIn(given.POSTGRES_DSN, given.MIGRATION_DSN, given.REDIS_ADDR)
  const ofSentinels = given.REDIS_SENTINELS?.password
  if (ofSentinels) passwords.push(ofSentinels, encodeURIComponent(ofSentinels))
  return Object.freeze({
    level: given.LOG_LEVEL,
    format: given.LOG_FORMAT,
    tellsRequests: given.LOG_LEVEL === 'debug' || given.LOG_LEVEL === 'trace',
    secrets: Object.freeze([...passwords, ...authSecrets(given)]),
  })
}

/** What browsers are shown, and told while no page is open. */
function toPages(given: Given) {
  return {
    /** The chat page. An app that makes its own tokens mostly has its own pages. */
    web: Object.freeze({
      isOn: (given.WEB ?? (given.AUTH === 'jwt' ? 'off' : 'on')) === 'on',
      loginUrl: given.WEB_LOGIN_URL,
    }),
    push: toPushConfig(given),
  }
}

function toPostgres(given: Given) {
  return Object.freeze({
    dsn: given.POSTGRES_DSN,
    migrationDsn: given.MIGRATION_DSN,
    schema: given.POSTGRES_SCHEMA,
    dataDir: given.DATA_DIR,
    poolMax: given.POSTGRES_POOL_MAX,
  })
}

function toConfig(given: Given, unused: readonly string[]) {
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
    origins: toOriginPolicy(given),
    /** How browsers reach the service, as an origin; undefined where it is what the service listens on. */
    publicUrl: given.PUBLIC_URL,
    hostNames: toHostNames(given),
    auth: toAuthConfig(given),
    /** Variables that are set and not used. */
    unused: Object.freeze([...unused]),
    metricsToken: given.METRICS_TOKEN,
    guard: toGuardLimits(given),
    postgres: toPostgres(given),
    redis: toRedisConfig(given),
    presence: Object.freeze({ leaseMs: given.INSTANCE_LEASE_MS, offlineGraceMs: given.OFFLINE_GRACE_MS }),
    workers: given.WORKERS,
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
    ...toPages(given),
    log: toLog(given),
    tracing: toTracingConfig(given),
    shutdown: Object.freeze({
      timeoutMs: given.SHUTDOWN_TIMEOUT_MS,
      drainReconnectSpreadMs: given.DRAIN_RECONNECT_SPREAD_MS,
    }),
  })
}
