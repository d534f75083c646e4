import { AuditedRevocations } from './accounts/audited-revocations.postgres.ts'
import { PostgresSigningKeyStore } from './accounts/signing-key-store.postgres.ts'
import { OWN_RULES, SigningKeys } from './accounts/signing-keys.ts'
import { JwtAuthenticator } from './auth/authenticator.jwt.ts'
import type { Authenticator } from './auth/authenticator.ts'
import { fetchKeySet } from './auth/fetch-key-set.ts'
import { KeySet } from './auth/key-set.ts'
import { fixedKeys, type KeySource } from './auth/key-source.ts'
import { PostgresRevocationStore } from './auth/revocation-store.postgres.ts'
import type { RevocationStore } from './auth/revocation-store.ts'
import { Revocations } from './auth/revocations.ts'
import { PostgresServiceKeyStore } from './auth/service-key-store.postgres.ts'
import { ServiceKeys } from './auth/service-keys.ts'
import { PostgresTicketStore } from './auth/ticket-store.postgres.ts'
import { TokenIssuer, type TokenIssuerOptions } from './auth/token-issuer.ts'
import { TokenVerifier } from './auth/token-verifier.ts'
import type { AuthConfig, TokenConfig } from './config/auth.ts'
import type { AuthServices } from './gateway/auth-routes.ts'
import type { Guard } from './gateway/guard.ts'
import { Lobby } from './gateway/lobby.ts'
import { TokenLives } from './gateway/token-lives.ts'
import { systemClock as clock, type TimeOfDay } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import { TimerWheel } from './lib/timer-wheel.ts'
import type { Database } from './postgres/database.ts'
import type { Queries } from './postgres/queries.ts'
import type { Metrics } from './telemetry/metrics.ts'

type JwtConfig = Extract<AuthConfig, { mode: 'jwt' }>
type AccountsConfig = Extract<AuthConfig, { mode: 'accounts' }>

export interface AuthenticationOptions {
  readonly database: Database
  readonly logger: Logger
  readonly metrics: Metrics
  readonly guard: Pick<Guard, 'credentialRefused'>
  /** Sockets that may be open; a quarter of them may wait for their user to be known. */
  readonly maxConnections: number
}

/** What an instance needs to know who is asking. */
export interface Authentication {
  readonly services: AuthServices
  readonly authenticator: Authenticator
  readonly tokenLives: TokenLives
  readonly lobby: Lobby
  /** Why nobody can be believed right now; empty when revocations are known. */
  readonly unreadyReasons: () => readonly string[]
  /** `listener` is called once somebody was revoked on this instance, so that the others look at once. */
  whenRevokedHere(listener: () => void): void
  /** Another instance revoked somebody. */
  readonly lookAgain: () => void
  /** The database's history is another one: what was revoked in it is read anew. */
  readonly historyChanged: () => void
  /** Resolves after the first look at revocations and keys; the service starts whatever comes of it. */
  start(): Promise<void>
  close(): void
}

/** Looks for revocations wait for nothing else; what people and backends ask shares a few connections. */
const QUERY_CONNECTIONS = 3

/** The part of the composition root about who is asking. Under `AUTH=none` there is nothing to verify. */
export function authenticationFor(config: AuthConfig, options: AuthenticationOptions): Authentication | undefined {
  if (config.mode === 'none') return undefined
  const source = config.mode === 'jwt' ? issuerElsewhere(config, options) : builtInIssuer(config, options)
  return byTokens(source, options)
}

/** The issuer whose tokens are believed, and what makes them, where this service does. */
interface TokenSource {
  readonly rules: Omit<TokenConfig, 'keys' | 'keySetUrl'>
  readonly keys: KeySource
  readonly signer: TokenIssuerOptions['signer'] | undefined
  revocationsOver(queries: Queries): RevocationStore
  start(): Promise<void> | undefined
  historyChanged(): void
  close(): void
}

function issuerElsewhere(config: JwtConfig, { logger, metrics }: AuthenticationOptions): TokenSource {
  const keySet = keySetOf(config, logger)
  const signer = config.keys.find(({ algorithm }) => algorithm === 'HS256')
  if (keySet) metrics.readKeySetAge(() => keySet.ageSeconds)
  return {
    rules: config,
    keys: keySet ?? fixedKeys(config.keys),
    signer: signer && (() => signer),
    revocationsOver: (queries) => new PostgresRevocationStore(queries),
    start: () => keySet?.start(),
    historyChanged: () => undefined,
    close: () => keySet?.close(),
  }
}

function builtInIssuer(config: AccountsConfig, { database, logger }: AuthenticationOptions): TokenSource {
  const store = new PostgresSigningKeyStore(database.openQueries(1))
  const keys = new SigningKeys({ store, clock, logger })
  const { leewaySeconds, maxLifetimeSeconds } = config
  return {
    rules: { algorithms: ['HS256'], ...OWN_RULES, leewaySeconds, maxLifetimeSeconds },
    keys,
    signer: () => keys.current,
    revocationsOver: (queries) =>
      new AuditedRevocations({ queries, storeIn: (within) => new PostgresRevocationStore(within) }),
    start: () => keys.start(),
    historyChanged: () => void keys.read(),
    close: () => keys.close(),
  }
}

function byTokens(source: TokenSource, options: AuthenticationOptions): Authentication {
  const { database, logger, metrics, guard } = options
  const queries = database.openQueries(QUERY_CONNECTIONS)
  const { leewaySeconds, maxLifetimeSeconds } = source.rules
  const asked = source.revocationsOver(queries)
  const store = lookingApart(source.revocationsOver(database.openQueries(1)), asked)
  const lifetimeSeconds = maxLifetimeSeconds + leewaySeconds
  const revocations = new Revocations({ store, clock, logger, lifetimeSeconds })
  // One for all instances, and for whatever the database dates: the times of tokens made here, of keys, and of revocations.
  const time = revocations
  const verifier = verifierOf(source, time)
  const serviceKeyStore = new PostgresServiceKeyStore(queries)
  const serviceKeys = new ServiceKeys({ store: serviceKeyStore, revocations, clock, time, logger })
  const tickets = new PostgresTicketStore(queries)
  const known = { verifier, revocations, serviceKeys, tickets }
  const authenticator = new JwtAuthenticator({ ...known, leewaySeconds, time, logger, observer: metrics })
  const tokenLives = new TokenLives({ authenticator, wheel: new TimerWheel(clock, time), clock, time, leewaySeconds })
  revocations.whenRevoked((targets) => tokenLives.revoked(targets))
  const maxVisitors = Math.ceil(options.maxConnections / 4)
  return {
    authenticator,
    tokenLives,
    lobby: new Lobby({ authenticator, clock, guard, observer: metrics.traffic, maxVisitors }),
    services: {
      authenticator,
      revocations,
      tickets,
      serviceKeys: serviceKeyStore,
      issuer: issuerOf(source, time),
      issuedAt: (userId) => asked.issuedAt(userId),
    },
    unreadyReasons: () => (revocations.isStale ? ['revocations_stale'] : []),
    whenRevokedHere: (listener) => revocations.whenRevokedHere(listener),
    lookAgain: () => void revocations.look(),
    historyChanged() {
      void revocations.readAll()
      serviceKeys.historyChanged()
      source.historyChanged()
    },
    start: async () => {
      await Promise.all([revocations.start(), source.start()])
    },
    close() {
      revocations.close()
      source.close()
    },
  }
}

/** What changes revocations may wait for locks; looks, behind it on one connection, would wait too, and the doors be shut. */
function lookingApart(looks: RevocationStore, others: RevocationStore): RevocationStore {
  return {
    since: (sinceMs) => looks.since(sinceMs),
    add: (target, options) => others.add(target, options),
    issuedAt: (userId) => others.issuedAt(userId),
    removeExpired: () => others.removeExpired(),
  }
}

function verifierOf({ rules: { audience, algorithms, ...rules }, keys }: TokenSource, time: TimeOfDay): TokenVerifier {
  const audiences = audience === undefined ? [] : [audience]
  return new TokenVerifier({ keys, algorithms, rules: { ...rules, audiences }, time })
}

function issuerOf({ rules, signer }: TokenSource, time: TimeOfDay): TokenIssuer | undefined {
  return signer && new TokenIssuer({ ...rules, signer, time })
}

function keySetOf(config: JwtConfig, logger: Logger): KeySet | undefined {
  const { keySetUrl: url, algorithms } = config
  if (url === undefined) return undefined
  return new KeySet({ fetch: () => fetchKeySet(url), algorithms, clock, logger, random: Math.random })
}
