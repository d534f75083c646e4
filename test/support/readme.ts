import { readFileSync } from 'node:fs'
import { CONFIG_VARIABLES } from '../../src/config.ts'
import { CLOSES, ERRORS } from '../../src/protocol/codes.ts'

export function document(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

/** The lines of a document between `<!-- name:start -->` and `<!-- name:end -->`. */
export function documentSection(path: string, name: string): string {
  const readme = document(path)
  const section = readme.split(`<!-- ${name}:start -->`)[1]?.split(`<!-- ${name}:end -->`)[0]
  if (section === undefined) throw new Error(`${path} has no section ${name}`)
  return section.trim()
}

/** Variables by what a person looks for; each is in one group. */
export const CONFIG_GROUPS: Readonly<Record<string, readonly string[]>> = {
  Network: [
    'HOST',
    'PORT',
    'PUBLIC_URL',
    'ALLOWED_ORIGINS',
    'TRUSTED_PROXIES',
    'TLS_CERT_FILE',
    'TLS_KEY_FILE',
    'WEB',
    'WEB_LOGIN_URL',
  ],
  'Who is asking': [
    'AUTH',
    'REGISTRATION',
    'JWT_SECRET',
    'JWT_SECRET_PREVIOUS',
    'JWT_PUBLIC_KEY',
    'JWT_JWKS_URL',
    'JWT_ALGORITHMS',
    'JWT_ISSUER',
    'JWT_AUDIENCE',
    'JWT_USER_CLAIM',
    'JWT_USER_ESCAPE',
    'JWT_LEEWAY_SECONDS',
    'JWT_MAX_LIFETIME_SECONDS',
    'USER_SEARCH',
    'METRICS_TOKEN',
  ],
  Storage: ['POSTGRES_DSN', 'MIGRATION_DSN', 'POSTGRES_SCHEMA', 'POSTGRES_POOL_MAX', 'DATA_DIR'],
  'Several instances': [
    'REDIS_ADDR',
    'REDIS_SENTINELS',
    'REDIS_CLUSTER',
    'REDIS_CA_FILE',
    'REDIS_CERT_FILE',
    'REDIS_KEY_FILE',
    'REDIS_PREFIX',
    'WORKERS',
    'INSTANCE_LEASE_MS',
    'OFFLINE_GRACE_MS',
  ],
  Limits: [
    'MAX_CONTENT_BYTES',
    'MAX_CONNECTIONS',
    'MAX_CONNECTIONS_PER_USER',
    'MAX_CONNECTIONS_PER_ADDRESS',
    'USER_COMMANDS_PER_SECOND',
    'ADDRESS_REQUESTS_PER_SECOND',
    'ADDRESS_REFUSALS_PER_SECOND',
    'UPGRADES_PER_SECOND',
  ],
  Push: ['PUSH_SUBJECT', 'PUSH_AFTER_SECONDS', 'PUSH_TTL_SECONDS', 'PUSH_HOSTS'],
  'Log, traces and shutdown': [
    'LOG_LEVEL',
    'LOG_FORMAT',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'OTEL_TRACES_SAMPLER_ARG',
    'SHUTDOWN_TIMEOUT_MS',
    'DRAIN_RECONNECT_SPREAD_MS',
  ],
  Advanced: [
    'IDLE_TIMEOUT_SECONDS',
    'MAX_BACKPRESSURE_BYTES',
    'LAGGING_TIMEOUT_MS',
    'CATCHUP_CONCURRENCY',
    'WRITER_MAX_QUEUE_ROWS',
    'WRITER_MAX_QUEUE_BYTES',
    'WRITER_MAX_QUEUE_AGE_MS',
    'WRITER_MAX_BATCH_ROWS',
  ],
}

/** What a first production set-up looks at; the README shows these. */
const ESSENTIAL = [
  'HOST',
  'PORT',
  'AUTH',
  'PUBLIC_URL',
  'POSTGRES_DSN',
  'REDIS_ADDR',
  'DATA_DIR',
  'TRUSTED_PROXIES',
  'MAX_CONTENT_BYTES',
  'LOG_LEVEL',
]

/** The tables of all variables as `src/config/README.md` must show them. */
export function configTables(): string {
  return Object.entries(CONFIG_GROUPS)
    .map(([group, names]) => `## ${group}\n\n${configTable(names)}`)
    .join('\n\n')
}

/** The table of variables that the README must show. */
export function essentialTable(): string {
  return configTable(ESSENTIAL)
}

function configTable(names: readonly string[]): string {
  const rows = names.map((name) => {
    const one = CONFIG_VARIABLES.find((variable) => variable.name === name)
    if (!one) throw new Error(`there is no variable ${name}`)
    return [`\`${one.name}\``, one.default, one.expects, one.meaning]
  })
  return markdownTable(['variable', 'default', 'may be', 'meaning'], rows)
}

/** The tables of error codes and close codes as the README must show them. */
export function codesTables(): string {
  const errors = Object.entries(ERRORS).map(([code, { status, message, temporary }]) => [
    `\`${code}\``,
    String(status),
    temporary ? 'yes' : 'no',
    message,
  ])
  const closes = Object.values(CLOSES).map(({ code, reason, reconnect }) => [
    String(code),
    reason,
    reconnect ? 'yes' : 'no',
  ])
  return [
    markdownTable(['error', 'status', 'try again', 'meaning'], errors),
    markdownTable(['close', 'reason', 'reconnect'], closes),
  ].join('\n\n')
}

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), `|${'---|'.repeat(header.length)}`, ...rows.map(line)].join('\n')
}
