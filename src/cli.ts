#!/usr/bin/env node
import './lib/navigator.ts'
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
import { PostgresRevocationStore } from './auth/revocation-store.postgres.ts'
import type { ServiceKeyStore } from './auth/service-key.ts'
import { PostgresServiceKeyStore } from './auth/service-key-store.postgres.ts'
import { TokenIssuer } from './auth/token-issuer.ts'
import type { AccountTools } from './cli/account-commands.ts'
import { type CliServices, createProgram } from './cli/program.ts'
import { traceIn } from './cli/trace.postgres.ts'
import { LONGEST_GOOD_SECONDS } from './config/auth.ts'
import { type Config, ConfigError, loadConfig, WRONG_CONFIGURATION } from './config.ts'
import { PublicAddress } from './gateway/public-address.ts'
import { machineTime } from './lib/clock.ts'
import { reasonOf } from './lib/errors.ts'
import type { Logger } from './lib/logger.ts'
import { PostgresEpochStore } from './messages/epoch-store.postgres.ts'
import type { EpochRecord, EpochStore } from './messages/epoch-store.ts'
import { CONVERSATION_GATE } from './messages/gate.postgres.ts'
import { type Database, type DatabaseOptions, openDatabase } from './postgres/database.ts'
import type { Queries } from './postgres/queries.ts'
import { storageTools } from './storage-tools.ts'
import { openLogOutput } from './telemetry/log-output.ts'
import { createLogger } from './telemetry/logger.ts'
import { PostgresUserDirectory } from './users/user-directory.postgres.ts'
import { VERSION } from './version.ts'

/** How long a link for the first administrator is good. */
const BOOTSTRAP_SECONDS = 3_600

function commandLogger(config: Config): Logger {
  return createLogger({ ...config.log, level: 'warn', output: openLogOutput(2) })
}

type Work<T> = (database: Database) => Promise<T>

/** Whoever comes from another version changes nothing by it. Before the first start a command may begin, as keys are made for it. */
async function withDatabase<T>(config: Config, work: Work<T>, tables: DatabaseOptions['tables'] = 'begin'): Promise<T> {
  const logger = commandLogger(config)
  const database = await openDatabase({ ...config.postgres, tables, logger, isBesideService: true })
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
  // The service may be told of longer lives than this shell: what is revoked here must outlast its tokens too.
  const lifetimeSeconds = LONGEST_GOOD_SECONDS
  const revocations =
    auth.mode === 'accounts'
      ? new AuditedRevocations({ queries, storeIn: (within) => new PostgresRevocationStore(within) })
      : new PostgresRevocationStore(queries)
  const accounts = new PostgresAccountStore(queries, { lifetimeSeconds })
  const isAudited = auth.mode === 'accounts'
  return {
    serviceKeys: isAudited ? auditedKeys(queries) : new PostgresServiceKeyStore(queries),
    revocations: auth.mode === 'none' ? undefined : revocations,
    users: auth.mode === 'accounts' ? new PostgresAccountDirectory(queries) : new PostgresUserDirectory(queries),
    accounts: accountTools(config, queries, lifetimeSeconds),
    checkAudit: () => checkAudit(queries),
    trace: traceIn(database.openQueries(1, { takesItsTime: true })),
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
    add(...[key, lifetimeSeconds]: Parameters<ServiceKeyStore['add']>) {
      const details = { scopes: key.scopes.join(',') }
      const entry = { actor: COMMAND_LINE, action: 'key_create', target: key.keyId, details } as const
      return audited(queries, entry, (transaction) =>
        new PostgresServiceKeyStore(transaction).add(key, lifetimeSeconds),
      )
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
    return signing && new TokenIssuer({ ...auth, signer: () => signing, time: machineTime })
  }
  const { keyId, secret } = await new PostgresSigningKeyStore(queries).current()
  const signing = { keyId, key: createSecretKey(secret) }
  return new TokenIssuer({ ...auth, ...OWN_RULES, signer: () => signing, time: machineTime })
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

const program = createProgram({
  version: VERSION,
  withServices: (command) => {
    const config = loadConfig()
    return withDatabase(config, (database) => command(servicesOf(config, database)))
  },
  checks: async () => {
    // It alone needs clients of Redis and of push services, which take longer to load than all the rest.
    const { doctorChecks } = await import('./doctor.ts')
    return doctorChecks((config, work) => withDatabase(config, work, 'leave'))
  },
  storage: storageTools({
    config: () => loadConfig(),
    logger: commandLogger,
    epochStore,
    // What was restored may be of an earlier version, and what is moved to may be empty; no service runs there.
    withDatabase: (config, work) => withDatabase(config, work, 'migrate'),
  }),
  output: {
    write: (text) => void process.stdout.write(text),
    fail: (exitCode = 1) => {
      process.exitCode = exitCode
    },
  },
})

program.parseAsync().catch((error: unknown) => {
  // Commander has said what was wrong with the words itself.
  if (!(error instanceof CommanderError)) process.stderr.write(`messaging: ${reasonOf(error)}\n`)
  process.exitCode = error instanceof ConfigError ? WRONG_CONFIGURATION : 1
})
