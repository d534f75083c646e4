import { PostgresAccountStore } from './accounts/account-store.postgres.ts'
import { PostgresAdminStore } from './accounts/admin-store.postgres.ts'
import { Administration } from './accounts/administration.ts'
import type { Actor } from './accounts/audit.ts'
import { CredentialChanges } from './accounts/credential-changes.ts'
import { Guesses, type GuessesOptions } from './accounts/guesses.ts'
import { KnownSessions } from './accounts/known-sessions.ts'
import { OpenSessions } from './accounts/open-sessions.ts'
import { Argon2Hasher } from './accounts/passwords.ts'
import { PostgresProfileStore } from './accounts/profile-store.postgres.ts'
import { Profiles } from './accounts/profiles.ts'
import { newSecret } from './accounts/secrets.ts'
import { PostgresSessionStore } from './accounts/session-store.postgres.ts'
import { SignIn } from './accounts/sign-in.ts'
import { PostgresThrottle } from './accounts/throttle.postgres.ts'
import type { Authentication } from './authentication.ts'
import type { Config } from './config.ts'
import type { AccountServices } from './gateway/account-routes.ts'
import type { AuthServices } from './gateway/auth-routes.ts'
import { NetworkCount } from './gateway/network-count.ts'
import { PublicAddress } from './gateway/public-address.ts'
import { systemClock as clock } from './lib/clock.ts'
import { reasonOf } from './lib/errors.ts'
import type { Logger } from './lib/logger.ts'
import { CONVERSATION_GATE } from './messages/gate.postgres.ts'
import type { Database } from './postgres/database.ts'

export interface AccountsOptions {
  readonly database: Database
  readonly authentication: Authentication | undefined
  readonly logger: Logger
  /** Counts what was not accepted. */
  readonly metrics: GuessesOptions['observer']
}

/** What an instance needs for people who sign in here. */
export interface Accounts {
  readonly services: AccountServices
  /** When a token for this person is issued; undefined where there is nobody who is neither suspended nor deleted. */
  readonly issuedAt: AuthServices['issuedAt']
  /** The service listens: links can be made. `tell` shows the one for the first administrator; none for later processes. */
  listensOn(port: number, tell: ((text: string) => void) | undefined): Promise<void>
  close(): Promise<void>
}

/** So that people wait for no messages. */
const QUERY_CONNECTIONS = 2
/** For those who sign in: however many come at once, nobody else waits for them, and messages wait for one at most. */
const SIGN_IN_CONNECTIONS = 1
const CLEAN_UP_INTERVAL_MS = 60 * 60_000
/** Between looks for suspensions that an instance has left in the middle. */
const GATE_INTERVAL_MS = 60_000
/** Seconds. */
const BOOTSTRAP_SECONDS = 3_600

const SERVICE: Actor = { kind: 'service', id: '', address: '', requestId: '' }
/** After the database could not say which sessions there are. */
const REMEMBER_INTERVAL_MS = 60_000
const NOT_REMEMBERED = 'sessions from before the start are told to wait for those who guess beside them'

/** The part of the composition root about built-in accounts; none unless `AUTH=accounts`. */
export async function openAccounts(config: Config, options: AccountsOptions): Promise<Accounts | undefined> {
  const { database, authentication, logger, metrics } = options
  const { auth, http, publicUrl, guard } = config
  const issuer = authentication?.services.issuer
  if (auth.mode !== 'accounts' || !authentication || !issuer) return undefined
  const queries = database.openQueries(QUERY_CONNECTIONS)
  const life = { lifetimeSeconds: auth.maxLifetimeSeconds + auth.leewaySeconds }
  const hasher = await Argon2Hasher.create()
  const signInQueries = database.openQueries(SIGN_IN_CONNECTIONS, { keepsPlans: true })
  const store = new PostgresAccountStore(queries, life, { queries: signInQueries, expected: () => hasher.admitted })
  const sessionStore = new PostgresSessionStore(queries, life)
  const adminStore = new PostgresAdminStore({ queries, life, gate: CONVERSATION_GATE })
  const throttle = new PostgresThrottle(signInQueries)
  const address = new PublicAddress({ publicUrl, host: http.host, tls: http.tls !== undefined })
  const { revocations } = authentication.services
  const contextWords = (): string[] => address.hostname.split('.')
  const guesses = new Guesses({ clock, perSecond: guard.addressRefusalsPerSecond, observer: metrics })
  const credentials = { store, hasher, throttle, guesses, revocations, contextWords }
  const known = new KnownSessions()
  const sessions = new OpenSessions({ store: sessionStore, tokens: issuer, revocations, guesses, known, clock })
  const cancels = [keepUp(store, adminStore, logger), rememberOnce(sessions, logger)]
  return {
    services: {
      signIn: new SignIn({ ...credentials, tokens: issuer, known, logger, registration: auth.registration }),
      sessions,
      changes: new CredentialChanges({ ...credentials, ownThrottle: new PostgresThrottle(queries) }),
      profiles: new Profiles(new PostgresProfileStore(queries)),
      administration: new Administration({ store: adminStore, revoked: () => revocations.added() }),
      address,
      networks: new NetworkCount(logger),
    },
    issuedAt: (userId, by, seconds) => store.issueToken(userId, by, seconds),
    async listensOn(port, tell) {
      address.listensOn(port)
      if (address.isInClear) {
        logger.warn({ url: address.origin }, 'without https passwords and cookies can be read on their way')
      }
      if (tell) await tellFirstLink(store, address, tell)
    },
    async close() {
      for (const cancel of cancels) cancel()
      await hasher.close()
      await store.finish()
    },
  }
}

/** Written past the log: whoever reads this link is the administrator. */
async function tellFirstLink(
  store: PostgresAccountStore,
  address: PublicAddress,
  tell: (text: string) => void,
): Promise<void> {
  const { text, hash } = newSecret()
  if (!(await store.addBootstrapLink(hash, BOOTSTRAP_SECONDS, SERVICE))) return
  tell(
    `\nNobody administers this service yet. Whoever opens this link within an hour does:\n\n  ${address.link('bootstrap', text)}\n\n`,
  )
}

/** What is done again and again; returns what ends that. */
function keepUp(store: PostgresAccountStore, adminStore: PostgresAdminStore, logger: Logger): () => void {
  const cancelCleanUp = repeatedly(CLEAN_UP_INTERVAL_MS, () => store.removeExpired(), {
    failed: (reason) => logger.warn({ reason }, 'what has ended was not forgotten'),
  })
  const cancelGates = repeatedly(GATE_INTERVAL_MS, () => adminStore.finishGates(), {
    delayMs: 0,
    failed: (reason) => logger.warn({ reason }, 'conversations of suspended people were not closed, or opened again'),
  })
  return () => {
    cancelCleanUp()
    cancelGates()
  }
}

/** Not waited for: whoever asks before it is done is looked up as anybody else. Returns what ends the attempts. */
function rememberOnce(sessions: Pick<OpenSessions, 'remember'>, logger: Logger): () => void {
  const remember = async (): Promise<void> => {
    await sessions.remember()
    cancel()
  }
  const failed = (reason: string): void => logger.warn({ reason }, NOT_REMEMBERED)
  const cancel = repeatedly(REMEMBER_INTERVAL_MS, remember, { delayMs: 0, failed })
  return cancel
}

/** Does it after `delayMs`, and then so long after each end, whatever comes of it. Returns what ends that. */
function repeatedly(
  intervalMs: number,
  task: () => Promise<void>,
  { delayMs = intervalMs, failed }: { readonly delayMs?: number; readonly failed: (reason: string) => void },
): () => void {
  let hasEnded = false
  let cancel = (): void => undefined
  const arm = (ms: number): void => {
    cancel = clock.after(ms, () => void run())
  }
  const run = async (): Promise<void> => {
    await task().catch((error: unknown) => hasEnded || failed(reasonOf(error)))
    if (!hasEnded) arm(intervalMs)
  }
  arm(delayMs)
  return () => {
    hasEnded = true
    cancel()
  }
}
