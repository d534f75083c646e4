import type { Accounts } from './account-services.ts'
import type { Authentication } from './authentication.ts'
import { builtFiles } from './built-files.ts'
import type { Config } from './config.ts'
import { StoredPages } from './delivery/stored-pages.ts'
import { createUpgradeHandler, type UpgradeOptions } from './gateway/admission.ts'
import { connectionServices } from './gateway/connection-services.ts'
import type { Connections } from './gateway/connections.ts'
import type { Guard } from './gateway/guard.ts'
import { createHostRule } from './gateway/host.ts'
import { createHttpHandler } from './gateway/http-handler.ts'
import { observed } from './gateway/observed-handlers.ts'
import { ReadTurns } from './gateway/read-turns.ts'
import { ServerTime } from './gateway/server-time.ts'
import { userChangedEvent } from './gateway/user-routes.ts'
import type { Instances } from './instances.ts'
import { systemClock as clock } from './lib/clock.ts'
import type { Logger } from './lib/logger.ts'
import type { Push } from './push.ts'
import type { Shutdown } from './shutdown.ts'
import type { Storage } from './storage.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { ReadinessProbe } from './telemetry/readiness.ts'
import type { ServerHandlers } from './transport/server.ts'
import { withStaticFiles } from './transport/static-files.ts'
import { VERSION } from './version.ts'

/** What answers are made of. */
export interface HandlerParts {
  readonly storage: Storage
  readonly instances: Instances
  readonly authentication: Authentication | undefined
  readonly accounts: Accounts | undefined
  readonly push: Push | undefined
  readonly connections: Connections
  readonly guard: Guard
  readonly shutdown: Shutdown
  readonly logger: Logger
  readonly metrics: Metrics
  /** Prometheus text, of all processes on the port. */
  readonly metricsText: () => Promise<string>
}

/** From which pages, and under which names, the service may be asked. */
type Door = Pick<UpgradeOptions, 'origins' | 'hostRule'>

/** The part of the composition root that answers: REST, sockets and files. */
export function createHandlers(config: Config, parts: HandlerParts): ServerHandlers {
  const door = { origins: config.origins, hostRule: createHostRule(config.hostNames) }
  const upgrade = upgradeHandler(config, parts, door)
  const http = httpHandler(config, parts, door)
  const { traffic } = parts.metrics
  const handlers = { upgrade, http: withStaticFiles(builtFiles(config), http, door.hostRule) }
  return {
    ...observed(handlers, traffic, config.log.tellsRequests ? parts.logger : undefined),
    closed: (code) => traffic.socketClosed(code),
  }
}

function upgradeHandler(config: Config, parts: HandlerParts, door: Door): ServerHandlers['upgrade'] {
  const { storage, instances, authentication, connections, guard, shutdown, logger, metrics } = parts
  const services = connectionServices({
    messages: storage.messages,
    epoch: storage.epoch,
    presence: instances.presence,
    watches: instances.watches,
    fanout: instances.fanout,
    audience: instances.audience,
    pages: new StoredPages(storage.reads, clock, config.delivery.catchupConcurrency),
    clock,
    serverTime: new ServerTime(clock),
    logger,
    observer: metrics.traffic,
    connections,
    tokenLives: authentication?.tokenLives,
    answersUnderWay: shutdown.answersUnderWay,
    guard,
    limits: {
      ...config.limits,
      maxBackpressureBytes: config.http.maxBackpressureBytes,
      laggingTimeoutMs: config.delivery.laggingTimeoutMs,
      heartbeatSeconds: config.http.idleTimeoutSeconds,
    },
  })
  const isDraining = (): boolean => shutdown.hasBegun
  return createUpgradeHandler({ services, tokens: authentication, guard, ...door, isDraining })
}

function httpHandler(config: Config, parts: HandlerParts, door: Door): ServerHandlers['http'] {
  const { storage, instances, authentication, accounts, push, guard, logger, metrics, metricsText } = parts
  const readiness = readinessOf(parts)
  metrics.readReadiness(() => readiness.isReady())
  return createHttpHandler({
    messages: storage.messages,
    presence: instances.presence,
    logger,
    guard,
    readTurns: new ReadTurns(clock),
    ...door,
    maxContentBytes: config.limits.maxContentBytes,
    people: {
      users: storage.people,
      avatars: storage.avatars,
      hasUserSearch: config.auth.hasUserSearch,
      userChanged: (user) => instances.tellUserChanged(userChangedEvent(user)),
    },
    auth: authentication && { ...authentication.services, ...(accounts && { issuedAt: accounts.issuedAt }) },
    accounts: accounts?.services,
    push: push?.service,
    metricsToken: config.metricsToken,
    loginUrl: config.web.loginUrl,
    version: VERSION,
    metrics: metricsText,
    readiness: () => readiness.look(),
  })
}

function readinessOf({ storage, instances, authentication, shutdown }: HandlerParts): ReadinessProbe {
  return new ReadinessProbe({
    isDraining: () => shutdown.hasBegun,
    check: () => storage.log.check(),
    failedCommit: () => storage.log.failure,
    tryCommit: () => storage.database.tryCommit(),
    authReasons: () => authentication?.unreadyReasons() ?? [],
    degradations: () => instances.degradations(),
    clock,
  })
}
