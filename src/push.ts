import type { PushConfig } from './config/push.ts'
import type { Audience } from './delivery/audience.ts'
import { systemClock as clock, machineTime } from './lib/clock.ts'
import type { DependencyLog } from './lib/dependency-log.ts'
import type { Logger } from './lib/logger.ts'
import { OutboundHttp } from './outbound/outbound-http.ts'
import type { Database } from './postgres/database.ts'
import { Breaker } from './push/breaker.ts'
import { PushDelivery } from './push/delivery.ts'
import { Dispatcher } from './push/dispatcher.ts'
import type { HostLoad } from './push/host-load.ts'
import { PushHosts } from './push/hosts.ts'
import type { HeldJob, JobStore } from './push/job.ts'
import { brokenJob, type RanJob, runJob } from './push/job-run.ts'
import { PostgresJobStore } from './push/job-store.postgres.ts'
import { PostgresPushKeyStore } from './push/key-store.postgres.ts'
import { type PushKeyStore, SharedKeys } from './push/keys.ts'
import type { PushObserver } from './push/observer.ts'
import { PendingPushes } from './push/pending.ts'
import type { PushDelays } from './push/pending-entry.ts'
import { PushService } from './push/service.ts'
import { Subscribers } from './push/subscribers.ts'
import type { SubscriptionStore } from './push/subscription.ts'
import { PostgresSubscriptionStore } from './push/subscription-store.postgres.ts'
import { PostgresSweepStore } from './push/sweep-store.postgres.ts'
import { Sweeper } from './push/sweeper.ts'
import { VapidHeaders } from './push/vapid.ts'
import type { Metrics } from './telemetry/metrics.ts'

export interface PushOptions {
  readonly database: Database
  readonly audience: Audience
  readonly logger: Logger
  readonly metrics: Metrics
  /** Where the page is. */
  readonly pageUrl: string
}

/** What an instance needs to tell people who have no page open. */
export interface Push {
  readonly pending: PendingPushes
  readonly service: PushService
  /** Numbers of messages are those of another history. */
  historyChanged(): void
  start(): Promise<void>
  /** Ends what is under way, and leaves what is not to the other instances. */
  close(): Promise<void>
}

/** Jobs are taken, made, and reported at once. Subscriptions and the sweeper have one each: a long look holds up nothing that is due. */
const JOB_CONNECTIONS = 2

/** A second at most for a user who is not connected at all; what is not read waits six times as long as what is not received. */
function delaysOf(afterMs: number): PushDelays {
  return { nobodyMs: Math.min(1_000, afterMs), undeliveredMs: afterMs, unreadMs: afterMs * 6 }
}

/** How much older than what the instances look at by themselves a message is before it is looked for. */
const SWEEP_SLACK_MS = 3_000

/** The part of the composition root about notifications. */
export async function openPush(config: NonNullable<PushConfig>, options: PushOptions): Promise<Push> {
  const { database, audience, logger, metrics } = options
  const pageUrl = options.pageUrl.replace(/\/$/, '')
  const queries = database.openQueries(1)
  const { health } = database
  const keys = await startedKeys(new PostgresPushKeyStore(queries), health)
  const store = new PostgresSubscriptionStore(queries)
  const jobs = new PostgresJobStore(database.openQueries(JOB_CONNECTIONS, { keepsPlans: true }))
  const http = new OutboundHttp()
  const shared = { clock, logger, health, keys, observer: metrics.push, store, jobs, pageUrl, http }
  const subscribers = new Subscribers(shared)
  const { delivery, hosts, breaker, dispatcher } = sending(config, shared, (job) => pending.received(job))
  const service = new PushService({ ...shared, subscribers, hosts, delivery, breaker })
  const wake = (): void => dispatcher.wake()
  const delays = delaysOf(config.afterMs)
  const pending = new PendingPushes({ ...shared, store: jobs, subscribers, audience, delays, wake })
  const sweeper = new Sweeper({
    ...shared,
    store: new PostgresSweepStore(database.openQueries(1)),
    ageMs: config.afterMs + SWEEP_SLACK_MS,
    found: wake,
    cleanUp: () => service.cleanUp(),
  })
  metrics.push.readFrom({ subscribers: () => subscribers.size, pending: () => pending.size })
  return {
    pending,
    service,
    historyChanged() {
      pending.clear()
      dispatcher.historyChanged()
      subscribers.historyChanged()
      void keys.read()
    },
    async start() {
      await subscribers.start()
      sweeper.start()
      dispatcher.wake()
    },
    async close() {
      subscribers.close()
      keys.close()
      await Promise.all([pending.close(), sweeper.close()])
      await dispatcher.close()
      http.close()
    },
  }
}

async function startedKeys(store: PushKeyStore, health: DependencyLog): Promise<SharedKeys> {
  const keys = new SharedKeys({ store, clock, health })
  await keys.start()
  return keys
}

interface Shared {
  readonly logger: Logger
  readonly health: DependencyLog
  readonly keys: SharedKeys
  readonly observer: PushObserver
  readonly store: SubscriptionStore
  readonly jobs: JobStore
  readonly http: OutboundHttp
  readonly pageUrl: string
}

/** What hands notifications to the push services. */
function sending(
  { hosts: named, subject, ttlSeconds }: NonNullable<PushConfig>,
  shared: Shared,
  received: (job: HeldJob) => void,
) {
  const { logger, jobs, store, keys, pageUrl } = shared
  const hosts = new PushHosts(named)
  const breaker = new Breaker(clock, (host, seconds) => {
    logger.warn({ host, seconds }, 'a push service is left alone for a while')
    jobs.closeHost(host, seconds).catch((error: unknown) => logger.warn({ err: error }, 'the others could not be told'))
  })
  // A process that was suspended must not sign with the time of before.
  const headers = new VapidHeaders(subject, machineTime)
  const delivery = new PushDelivery({ ...shared, hosts, headers, breaker })
  const running = { delivery, breaker, keys, pageUrl, ttlSeconds, random: Math.random }
  const run = (job: HeldJob, load: HostLoad): Promise<RanJob> => runJob(job, { ...running, load })
  const broken = (job: HeldJob): RanJob => brokenJob(job, running)
  const dispatcher = new Dispatcher({ ...shared, clock, subscriptions: store, run, broken, received })
  return { hosts, delivery, breaker, dispatcher }
}
