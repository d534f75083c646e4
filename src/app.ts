import type { Config } from './config.ts'
import { LocalUsers } from './delivery/local-users.ts'
import { StoredPages } from './delivery/stored-pages.ts'
import { createUpgradeHandler } from './gateway/admission.ts'
import type { Client, ConnectionServices } from './gateway/client.ts'
import { drainConnections } from './gateway/drain.ts'
import { Guard } from './gateway/guard.ts'
import { createHttpHandler } from './gateway/route-table.ts'
import { joinInstances } from './instances.ts'
import { aheadOf, sleep, systemClock } from './lib/clock.ts'
import { reasonOf } from './lib/errors.ts'
import { openFileLimit } from './lib/open-files.ts'
import { KnownHeads } from './messages/known-heads.ts'
import { MessageService } from './messages/service.ts'
import { PostgresMessageStore } from './messages/store.postgres.ts'
import { MessageWriter } from './messages/writer.ts'
import { openDatabase } from './postgres/database.ts'
import type { RootLogger } from './telemetry/logger.ts'
import { Metrics } from './telemetry/metrics.ts'
import { Server } from './transport/server.ts'

export interface App {
  /** The port it listens on. */
  readonly port: number
  /** Drains: nothing acknowledged is lost, everything queued is answered. */
  stop(): Promise<void>
}

/** Of the time for a shutdown; what is left is for closing sockets and for whatever is slow to let go. */
const DRAINING_PART = 0.8
/** Kept for the database, Redis, the log and requests. */
const RESERVED_FILES = 128

/** Builds every object, starts to listen, and returns how to stop. */
export async function startApp(config: Config, logger: RootLogger): Promise<App> {
  const database = await openDatabase({ ...config.postgres, logger })
  // All instances tell the database's time: "what changed since" is compared with it, and may be asked of another instance.
  const clock = aheadOf(systemClock, database.aheadMs)
  const store = new PostgresMessageStore({ session: database.session, reader: database.reader, logger })
  const users = new LocalUsers()
  const heads = new KnownHeads()
  const connections = new Set<Client>()
  const metrics: Metrics = new Metrics({
    connections: () => connections.size,
    queuedRows: () => writer.queuedRows,
    oldestSendMs: () => writer.oldestAgeMs,
    isConnectedToOthers: () => instances.isConnected(),
  })
  const server = new Server({ ...config.http, logger })
  const instances = joinInstances({
    ...config.redis,
    store,
    users,
    heads,
    topics: server,
    clock,
    logger,
    metrics,
    announced: () => messages.flushed(),
  })
  const writer: MessageWriter = new MessageWriter({
    store,
    clock,
    logger,
    limits: config.writer,
    observer: metrics,
    settled: (sends, positions) => messages.settled(sends, positions),
  })
  const messages: MessageService = new MessageService({
    store,
    writer,
    clock,
    announcer: instances.fanout,
    heads,
    observer: metrics,
  })
  // Beyond the limit of open files a server can not even refuse: it spins on connections that it can not accept.
  const maxSockets = Math.max(1, (openFileLimit() ?? Number.POSITIVE_INFINITY) - RESERVED_FILES)
  const maxConnections = Math.min(config.guard.maxConnections, maxSockets)
  const guard = new Guard({ ...config.guard, maxConnections }, clock)
  const services: ConnectionServices = {
    messages,
    users,
    presence: instances.presence,
    watches: instances.watches,
    fanout: instances.fanout,
    pages: new StoredPages(store, clock, config.delivery.catchupConcurrency),
    clock,
    logger,
    connections,
    readsUnderWay: new Set(),
    guard,
    limits: {
      ...config.limits,
      maxBackpressureBytes: config.http.maxBackpressureBytes,
      laggingTimeoutMs: config.delivery.laggingTimeoutMs,
      heartbeatSeconds: config.http.idleTimeoutSeconds,
    },
  }
  let isDraining = false
  server.mount({
    upgrade: createUpgradeHandler(services, config.origins, () => isDraining),
    http: createHttpHandler({
      messages,
      presence: instances.presence,
      logger,
      guard,
      origins: config.origins,
      maxContentBytes: config.limits.maxContentBytes,
      metrics: () => metrics.text(),
      unreadyReasons: async () => {
        if (isDraining) return ['draining']
        const failure = await store.check().then(() => undefined, reasonOf)
        return failure === undefined ? [] : [`database: ${failure}`]
      },
    }),
  })

  const release = async (): Promise<void> => {
    await instances.close()
    await store.close()
    await database.close()
  }
  // So that the first who ask hear who is online, and not that nobody knows.
  await instances.joined()
  const port = await server.listen().catch(async (error: unknown) => {
    await release()
    throw error
  })

  return {
    port,
    // Announce · answer what is queued and being read · close with "come back" · then what the answers needed, the database last.
    // Until then it listens: who asks whether it is ready hears that it is not, and who wants to connect when to come back.
    async stop() {
      isDraining = true
      instances.presence.drain()
      const close = drainConnections(connections, config.shutdown.drainReconnectSpreadMs)
      const drainingMs = config.shutdown.timeoutMs * DRAINING_PART
      const endMs = clock.now() + drainingMs
      await writer.close(drainingMs)
      const answered = Promise.all([server.answered(), ...services.readsUnderWay])
      await Promise.race([answered, sleep(clock, Math.max(0, endMs - clock.now()))])
      await close()
      server.close()
      await release()
    },
  }
}
