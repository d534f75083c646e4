import { openAccounts } from './account-services.ts'
import { authenticationFor } from './authentication.ts'
import type { Config } from './config.ts'
import { Connections } from './gateway/connections.ts'
import { Guard } from './gateway/guard.ts'
import { createHandlers } from './handlers.ts'
import { alone } from './instances.ts'
import { systemClock as clock } from './lib/clock.ts'
import { maxSockets } from './lib/open-files.ts'
import { CLOSES } from './protocol/codes.ts'
import type { Push } from './push.ts'
import { Shutdown } from './shutdown.ts'
import { openStorage } from './storage.ts'
import { openLogOutput } from './telemetry/log-output.ts'
import type { RootLogger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'
import { tracingFor } from './tracing.ts'
import { addressToOpen } from './transport/address.ts'
import { Server } from './transport/server.ts'
import { loadUws } from './transport/uws.ts'
import { VERSION } from './version.ts'

export interface App {
  /** The port it listens on. */
  readonly port: number
  /** What a person on this machine opens. */
  readonly url: string
  /** Reads certificate and key again, and serves them to new connections. */
  reloadCertificate(): void
  /** Drains: nothing acknowledged is lost, everything queued is answered. */
  stop(): Promise<void>
}

export interface StartOptions {
  /** Of several processes on one port, the one that says what has to be said once. */
  readonly isFirst?: boolean
  /** The metrics of all of them, with those of this one. */
  readonly metricsOfAll?: (own: Pick<Metrics, 'snapshot'>) => () => Promise<string>
  /** Shows a text to the person who started the service, past the log, which may be kept and sent anywhere. */
  readonly tell?: (text: string) => void
}

/** Builds every object, starts to listen, and returns how to stop. */
export async function startApp(
  config: Config,
  logger: RootLogger,
  instanceId: string,
  { isFirst = true, metricsOfAll, tell = (text: string) => openLogOutput(2).write(text) }: StartOptions = {},
): Promise<App> {
  // Says that this machine has no binary before a database is made or migrated.
  loadUws()
  const { address } = config.redis
  const join = address ? (await import('./other-instances.ts')).joinAt(address) : alone
  const metrics = new Metrics({ version: VERSION, closeCodes: Object.values(CLOSES).map(({ code }) => code) })
  const connections = new Connections()
  const tracing = await tracingFor(config.tracing, { instanceId, users: connections, logger })
  const storage = await openStorage(config, { logger, metrics, tracing })
  const { database, epoch, feed, writer, messages } = storage
  const maxConnections = Math.min(config.guard.maxConnections, maxSockets())
  const guard = new Guard({ ...config.guard, maxConnections }, clock)
  const authentication = authenticationFor(config.auth, { database, logger, metrics, guard, maxConnections })
  const accounts = await openAccounts(config, { database, authentication, logger, metrics }).catch(
    async (error: unknown) => {
      authentication?.close()
      await storage.close()
      throw error
    },
  )
  const server = new Server({ ...config.http, logger })
  const instances = join({
    ...config.redis,
    timing: config.presence,
    instanceId,
    store: storage.reads,
    users: connections,
    heads: storage.heads,
    epoch,
    topics: server,
    clock,
    logger,
    metrics,
    announced: () => messages.allSettled(),
    revoked: () => authentication?.lookAgain(),
    traces: tracing?.traces,
  })
  let push: Push | undefined
  const release = async (): Promise<void> => {
    await accounts?.close()
    authentication?.close()
    await push?.close()
    await instances.close()
    await storage.close()
    await tracing?.close()
  }
  const releaseAfter = async (error: unknown): Promise<never> => {
    await release()
    throw error
  }
  const pageUrl = config.publicUrl ?? addressToOpen({ ...config.http, tls: config.http.tls !== undefined })
  const audience = instances.audience
  const { push: pushConfig } = config
  if (pushConfig) {
    const options = { database, audience, logger, metrics, pageUrl }
    // Loaded only where it is on: it brings an HTTP client and encryption of its own.
    const opening = import('./push.ts').then(({ openPush }) => openPush(pushConfig, options))
    push = await opening.catch(releaseAfter)
  }
  const shutdown = new Shutdown(config.shutdown)
  feed.subscribe(instances.fanout)
  if (tracing) feed.subscribe(tracing.traces)
  if (push) feed.subscribe(push.pending)
  authentication?.whenRevokedHere(() => instances.tellRevoked())
  epoch.whenRenewed(() => instances.forget())
  epoch.whenRenewed(() => authentication?.historyChanged())
  epoch.whenRenewed(() => push?.historyChanged())
  epoch.whenRenewed(() => shutdown.restart(connections))
  metrics.readFrom({
    connections: () => connections.size,
    queuedRows: () => writer.queuedRows,
    oldestSendMs: () => writer.oldestAgeMs,
    isConnectedToOthers: () => instances.isConnected(),
    droppedLogLines: () => logger.droppedLines(),
  })
  const metricsText = metricsOfAll?.(metrics) ?? (() => metrics.text())
  const told = { logger, metrics, metricsText }
  const parts = { storage, instances, authentication, accounts, push, connections, guard, shutdown, ...told }
  server.mount(createHandlers(config, parts))

  const start = async (): Promise<number> => {
    // The key of the built-in issuer belongs to the epoch.
    await epoch.start()
    await Promise.all([authentication?.start(), push?.start()])
    // So that the first caller hears who is online, and not that it is unknown.
    await instances.joined()
    const port = await server.listen()
    await accounts?.listensOn(port, isFirst ? tell : undefined)
    return port
  }
  const port = await start().catch(releaseAfter)
  return {
    port,
    url: addressToOpen({ host: config.http.host, port, tls: config.http.tls !== undefined }),
    reloadCertificate: () => server.reloadCertificate(),
    async stop() {
      await shutdown.drain({ connections, writer, server, instances, authentication })
      await release()
    },
  }
}
