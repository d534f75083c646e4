#!/usr/bin/env node
import { createSecretKey } from 'node:crypto'
import { CommanderError } from 'commander'
import { PostgresAccountDirectory } from './accounts/account-directory.postgres.ts'
import { PostgresAccountStore } from './accounts/account-store.postgres.ts'
import { PostgresAdminStore } from './accounts/admin-store.postgres.ts'
import { Administration } from './accounts/administration.ts'
import { COMMAND_LINE } from './accounts/audit.ts'
import { checkAudit } from './accounts/audit-check.postgres.ts'
import { audited } from './accounts/audit-log.postgres.ts'
import { AuditedRevocations } from './accounts/audited-revocations.postgres.ts'
import { newSecret } from './accounts/secrets.ts'
import { PostgresSigningKeyStore } from './accounts/signing-key-store.postgres.ts'
import { OWN_RULES } from './accounts/signing-keys.ts'
import { fetchKeySet } from './auth/fetch-key-set.ts'
import { usableKeys } from './auth/key-set.ts'
import { PostgresRevocationStore } from './auth/revocation-store.postgres.ts'
import type { ServiceKeyStore } from './auth/service-key.ts'
import { PostgresServiceKeyStore } from './auth/service-key-store.postgres.ts'
import { TokenIssuer } from './auth/token-issuer.ts'
import type { AccountTools } from './cli/account-commands.ts'
import type { Check } from './cli/doctor.ts'
import { type CliServices, createProgram } from './cli/program.ts'
import { checkPush } from './cli/push-check.ts'
import { traceIn } from './cli/trace.postgres.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { PublicAddress } from './gateway/public-address.ts'
import { systemClock } from './lib/clock.ts'
import { DependencyLog } from './lib/dependency-log.ts'
import { reasonOf } from './lib/errors.ts'
import type { Logger } from './lib/logger.ts'
import { openFileLimit } from './lib/open-files.ts'
import { PostgresEpochStore } from './messages/epoch-store.postgres.ts'
import type { EpochRecord, EpochStore } from './messages/epoch-store.ts'
import { CONVERSATION_GATE } from './messages/gate.postgres.ts'
import { type Database, openDatabase } from './postgres/database.ts'
import type { Queries } from './postgres/queries.ts'
import { examine } from './redis/examination.ts'
import { storageTools } from './storage-tools.ts'
import { openLogOutput } from './telemetry/log-output.ts'
import { createLogger } from './telemetry/logger.ts'
import { PostgresUserDirectory } from './users/user-directory.postgres.ts'
import { VERSION } from './version.ts'

/** Beyond this a token may already be refused on one side and be good on the other; milliseconds. */
const CLOCK_DIFFERENCE_LIMIT_MS = 1_000
/** How long a link for the first administrator is good. */
const BOOTSTRAP_SECONDS = 3_600
/** Fewer would bound the number of sockets before MAX_CONNECTIONS does. */
const WANTED_OPEN_FILES = 10_000

function commandLogger(config: Config): Logger {
  return createLogger({ ...config.log, level: 'warn', output: openLogOutput(2) })
}

async function withDatabase<T>(config: Config, work: (database: Database) => Promise<T>): Promise<T> {
  const database = await openDatabase({ ...config.postgres, logger: commandLogger(config), isBesideService: true })
  try {
    return await work(database)
  } finally {
    await database.writerConnection.close()
    await database.close()
  }
}

function servicesOf(config: Config, database: Database): CliServices {
  const { auth } = config
  const queries = database.openQueries(1)
  const lifetimeSeconds = auth.mode === 'none' ? 86_400 : auth.maxLifetimeSeconds + auth.leewaySeconds
  const revocations =
    auth.mode === 'accounts'
      ? new AuditedRevocations({ queries, storeIn: (within) => new PostgresRevocationStore(within) })
      : new PostgresRevocationStore(queries)
  const accounts = new PostgresAccountStore(queries, { lifetimeSeconds })
  const isAudited = auth.mode === 'accounts'
  return {
    serviceKeys: isAudited ? auditedKeys(queries) : new PostgresServiceKeyStore(queries),
    revocations,
    users: auth.mode === 'accounts' ? new PostgresAccountDirectory(queries) : new PostgresUserDirectory(queries),
    accounts: accountTools(config, queries, lifetimeSeconds),
    checkAudit: () => checkAudit(queries),
    trace: traceIn(queries),
    epoch: epochStore(config, queries),
    issuer: () => issuerOf(config, queries),
    issuedAt: (userId, seconds) =>
      auth.mode === 'accounts' ? accounts.issueToken(userId, COMMAND_LINE, seconds) : revocations.issuedAt(userId),
    lifetimeSeconds,
  }
}

/** A key is noted by its id, with what it may do. */
function auditedKeys(queries: Queries): ServiceKeyStore {
  return Object.assign(new PostgresServiceKeyStore(queries), {
    add(key: Parameters<ServiceKeyStore['add']>[0]) {
      const details = { scopes: key.scopes.join(',') }
      const entry = { actor: COMMAND_LINE, action: 'key_create', target: key.keyId, details } as const
      return audited(queries, entry, (transaction) => new PostgresServiceKeyStore(transaction).add(key))
    },
  })
}

function epochStore({ auth }: Config, queries: Queries): EpochStore {
  if (auth.mode !== 'accounts') return new PostgresEpochStore(queries)
  return Object.assign(new PostgresEpochStore(queries), {
    renew(seen: EpochRecord, because: string) {
      const entry = { actor: COMMAND_LINE, action: 'epoch_renew', target: '', details: { because } } as const
      return audited(queries, entry, (transaction) => new PostgresEpochStore(transaction).renew(seen, because))
    },
  })
}

/** What signs tokens that the service of this configuration believes. */
async function issuerOf({ auth }: Config, queries: Queries): Promise<TokenIssuer | undefined> {
  if (auth.mode === 'none') return undefined
  if (auth.mode === 'jwt') {
    const signing = auth.keys.find(({ algorithm }) => algorithm === 'HS256')
    return signing && new TokenIssuer({ ...auth, signer: () => signing, clock: systemClock })
  }
  const { keyId, secret } = await new PostgresSigningKeyStore(queries).current()
  const signing = { keyId, key: createSecretKey(secret) }
  return new TokenIssuer({ ...auth, ...OWN_RULES, signer: () => signing, clock: systemClock })
}

/** Commands about accounts write what they do as the service would; each instance finds within a second whom it shuts out. */
function accountTools(config: Config, queries: Queries, lifetimeSeconds: number): AccountTools | undefined {
  const { auth, http, publicUrl } = config
  if (auth.mode !== 'accounts') return undefined
  const life = { lifetimeSeconds }
  const store = new PostgresAdminStore({ queries, life, gate: CONVERSATION_GATE })
  const address = new PublicAddress({ publicUrl, host: http.host, tls: http.tls !== undefined })
  address.listensOn(http.port)
  return {
    administration: new Administration({ store, revoked: () => Promise.resolve() }),
    store,
    async bootstrap() {
      const { text, hash } = newSecret()
      const isAdded = await new PostgresAccountStore(queries, life).addBootstrapLink(
        hash,
        BOOTSTRAP_SECONDS,
        COMMAND_LINE,
      )
      return isAdded ? text : undefined
    },
    link: (kind, secret) => address.link(kind, secret),
  }
}

/** Each opens what it looks at, so that one dependency that is away does not hide the others. */
function doctorChecks(): Check[] {
  let config: Config | undefined
  const loaded = (): Config => {
    config ??= loadConfig()
    return config
  }
  return [
    {
      name: 'configuration',
      run: async () => `AUTH=${loaded().auth.mode}, ${loaded().http.host}:${loaded().http.port}`,
    },
    {
      name: 'database',
      run: () =>
        withDatabase(loaded(), async (database) => {
          const [row] = await database
            .openQueries(1)
            .query<{ version: string; place: string }>(
              `select current_setting('server_version') as version, current_schema() as place`,
            )
          return `PostgreSQL ${row?.version}, schema ${row?.place}: migrated, with the rights and the durability that the service needs`
        }),
    },
    { name: 'clock', run: () => withDatabase(loaded(), checkClock) },
    { name: 'Redis', run: () => checkRedis(loaded()) },
    { name: 'key set', run: () => checkKeySet(loaded()) },
    { name: 'push services', run: () => checkPushServices(loaded()) },
    { name: 'open files', run: async () => checkOpenFiles() },
  ]
}

async function checkClock(database: Database): Promise<string> {
  const queries = database.openQueries(1)
  // The first query also connects.
  await queries.query('select 1')
  const beforeMs = Date.now()
  const [row] = await queries.query<{ ms: string }>('select (extract(epoch from clock_timestamp()) * 1000)::text as ms')
  const aheadMs = Math.round(Number(row?.ms) - (beforeMs + Date.now()) / 2)
  if (Math.abs(aheadMs) <= CLOCK_DIFFERENCE_LIMIT_MS) return `the database is ${aheadMs} ms ahead of this machine`
  throw new Error(`the database is ${aheadMs} ms ahead of this machine: tokens end and links expire by both; use NTP`)
}

async function checkRedis(config: Config): Promise<string | undefined> {
  const { address, prefix } = config.redis
  if (address === undefined) return undefined
  const failures: string[] = []
  const log = (fields: object) => failures.push('reason' in fields ? String(fields.reason) : JSON.stringify(fields))
  const logger = { debug: log, info: () => undefined, warn: log, error: log }
  const health = new DependencyLog({ dependency: 'Redis', logger, clock: systemClock })
  await examine({ address, prefix, health })
  return 'answers, and its user may call what the service needs'
}

async function checkKeySet({ auth }: Config): Promise<string | undefined> {
  if (auth.mode !== 'jwt' || auth.keySetUrl === undefined) return undefined
  const keys = usableKeys(await fetchKeySet(auth.keySetUrl), auth.algorithms)
  const names = keys.map(({ algorithm, keyId }) => `${algorithm} ${keyId ?? 'without an id'}`)
  // Its query may hold a secret.
  const { origin, pathname } = new URL(auth.keySetUrl)
  return `${origin}${pathname} holds ${keys.length} that can be used: ${names.join(', ')}`
}

async function checkPushServices({ push }: Config): Promise<string | undefined> {
  return push && checkPush(push.subject, push.hosts)
}

function checkOpenFiles(): string {
  const limit = openFileLimit()
  if (limit === undefined) return 'the limit is not known on this system'
  if (limit >= WANTED_OPEN_FILES) return `${limit} files may be open`
  throw new Error(`only ${limit} files may be open, and each socket takes one; raise it (ulimit -n, LimitNOFILE)`)
}

const program = createProgram({
  version: VERSION,
  withServices: (command) => {
    const config = loadConfig()
    return withDatabase(config, (database) => command(servicesOf(config, database)))
  },
  checks: doctorChecks,
  storage: storageTools({ config: () => loadConfig(), logger: commandLogger, epochStore, withDatabase }),
  output: {
    write: (text) => void process.stdout.write(text),
    fail: () => {
      process.exitCode = 1
    },
  },
})

program.parseAsync().catch((error: unknown) => {
  // Commander has said what was wrong with the words itself.
  if (!(error instanceof CommanderError)) process.stderr.write(`messaging: ${reasonOf(error)}\n`)
  process.exitCode = error instanceof ConfigError ? 78 : 1
})
