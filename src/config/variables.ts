import { resolve } from 'node:path'
import { z } from 'zod'
import { authVariables } from './auth.ts'
import { networks, origins, publicUrl, schemaName } from './formats.ts'
import { documentation, file, oneOf, optional, variable, wholeNumber } from './kinds.ts'
import { pushVariables } from './push.ts'
import { redisVariables } from './redis.ts'
import { tracingVariables } from './tracing.ts'

/**
 * A client that escapes everything outside ASCII turns the two bytes of a letter into six (`\u00e9`), three times as many.
 * So a third of a 64 KiB frame, less 1 KiB for the fields around the text, always fits. Only a text made of control
 * characters can take more; it is refused like any frame that is too large.
 */
const largestContentBytes = (64 * 1024 - 1024) / 3

/** Every variable: what it may be, its default and its meaning. */
export const schema = z.object({
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
  POSTGRES_SCHEMA: optional(schemaName, 'none: the search_path of the role', {
    expects: 'up to 63 of a-z, 0-9 and _, not beginning with a digit or pg_',
    meaning: 'schema that holds all tables, made when it is missing; for a database with tables of other programs',
  }),
  POSTGRES_POOL_MAX: wholeNumber(1, 1000, 8, 'most connections for reading; the writer has its own'),
  DATA_DIR: variable(
    z.string().transform((path) => resolve(path)),
    './data',
    {
      expects: 'a directory',
      meaning: 'where the own PostgreSQL keeps its data',
    },
  ),
  ...redisVariables,
  INSTANCE_LEASE_MS: wholeNumber(
    1000,
    60_000,
    11_000,
    'an instance not heard of for so long is taken for dead: its users are offline',
  ),
  OFFLINE_GRACE_MS: wholeNumber(0, 60_000, 5000, 'those who watch somebody are told `offline` after so long'),
  WORKERS: wholeNumber(1, 256, 1, 'processes that share the port; more than one needs `REDIS_ADDR`'),
  ...authVariables,
  ...pushVariables,
  ...tracingVariables,
  WEB: optional(z.enum(['on', 'off']), '`on`; `off` with `AUTH=jwt`', {
    expects: 'one of on, off',
    meaning: 'the chat page at `/`',
  }),
  WEB_LOGIN_URL: optional(z.url({ protocol: /^https?$/ }), 'none: the page says that one is signed out', {
    expects: 'an http:// or https:// address',
    meaning: 'with `AUTH=jwt`: where the page sends whoever has no token; come back to `/#token=TOKEN`',
  }),
  LOG_LEVEL: oneOf(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
    'least severe log lines to write',
  ),
  LOG_FORMAT: oneOf(
    ['auto', 'json', 'pretty'],
    'auto',
    'lines of JSON, or readable ones; `auto`: readable on a terminal, else JSON',
  ),
  PUBLIC_URL: optional(publicUrl, '`http://HOST:PORT`', {
    expects: 'an address without a path such as https://chat.example.com',
    meaning: 'how browsers reach the service; its pages may use it, and its name is accepted as `Host`',
  }),
  ALLOWED_ORIGINS: optional(origins, 'none: pages of the own origin', {
    expects: 'a comma-separated list of origins such as https://app.example.com, https://*.example.com, or *',
    meaning: 'further web pages that may open a socket and read answers; programs send no Origin',
  }),
  TRUSTED_PROXIES: optional(networks, 'none', {
    expects: 'a comma-separated list of IP addresses and networks such as 10.0.0.0/8',
    meaning: 'proxies whose `X-Forwarded-For` is believed',
  }),
  USER_COMMANDS_PER_SECOND: wholeNumber(
    0,
    1e6,
    10_000,
    'commands and reads over REST of one user, twice as many at once; ten users of a watch count as one; 0: no limit',
  ),
  ADDRESS_REQUESTS_PER_SECOND: wholeNumber(
    0,
    1e6,
    50_000,
    'requests of one address or IPv6 /64, twice as many at once; 0: no limit',
  ),
  UPGRADES_PER_SECOND: wholeNumber(0, 1e6, 5000, 'new sockets, twice as many at once; more get 503; 0: no limit'),
  ADDRESS_REFUSALS_PER_SECOND: wholeNumber(
    0,
    1e6,
    10,
    'wrong credentials of one address or IPv6 /64 that are answered as such, of accounts ten times as many at once; more get 429; 0: no limit',
  ),
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
    'open sockets of one user on this process; one more replaces a silent one, or the oldest',
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
