import { type Aggregator, Counter, collectDefaultMetrics, Registry } from 'prom-client'
import { BucketHistogram } from './bucket-histogram.ts'
import { addGauge, type GaugeOptions } from './gauge.ts'
import type { Snapshot } from './metrics-hub.ts'
import { PushMetrics } from './push-metrics.ts'
import { addBuildInfo, TrafficMetrics } from './traffic-metrics.ts'

/** What is read when somebody scrapes; nothing is counted twice. */
export interface MetricSources {
  connections(): number
  queuedRows(): number
  oldestSendMs(): number
  isConnectedToOthers(): boolean
  droppedLogLines(): number
}

export interface MetricsOptions {
  /** Of the service. */
  readonly version: string
  /** With which it closes sockets. */
  readonly closeCodes: readonly number[]
}

const MS_TO_SECONDS = 0.001
const LATENCY_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
/** What processes say together where prom-client has it otherwise: one loop that lags is told, however idle the others are. */
const OF_NODE: readonly (readonly [string, Aggregator])[] = [
  ['nodejs_eventloop_lag', 'max'],
  // A limit of each.
  ['process_max_fds', 'min'],
]
const ROW_BOUNDS = [1, 4, 16, 64, 256, 1024, 2048]

/** The service's Prometheus metrics. Labels have few values: never a user, a conversation or a path. */
export class Metrics {
  readonly #registry = new Registry()
  readonly #sends = new Map<string, number>()
  readonly #batchRows = this.#histogram('messaging_batch_rows', 'Messages of a committed batch', ROW_BOUNDS)
  readonly #batchSeconds = this.#histogram('messaging_batch_seconds', 'Time to commit a batch', LATENCY_BOUNDS)
  readonly #ackSeconds = this.#histogram(
    'messaging_ack_seconds',
    'From receiving a send to its outcome',
    LATENCY_BOUNDS,
  )
  readonly #failures = new Counter({
    name: 'messaging_batch_failures_total',
    help: 'Batches that were not committed at once, by failure',
    labelNames: ['failure'],
    registers: [this.#registry],
  })
  readonly #publishFailures = this.#counter(
    'messaging_publish_failures_total',
    'Publishing calls, each of up to 1,000 users, that Redis did not take',
  )
  readonly #refusedCredentials = new Counter({
    name: 'messaging_credentials_refused_total',
    help: 'Credentials that were not accepted, by fault: of tokens, or what else was wrong',
    labelNames: ['fault'],
    registers: [this.#registry],
  })
  readonly #heals = new Counter({
    name: 'messaging_heals_total',
    help: 'Comparisons of what was pushed with what is stored: regular, after a gap, and again where one failed',
    labelNames: ['reason'],
    registers: [this.#registry],
  })
  readonly #healedConversations = this.#counter('messaging_healed_conversations_total', 'Conversations found behind')
  readonly #healFailures = this.#counter(
    'messaging_heal_failures_total',
    'Comparisons, of all users or of some, that failed',
  )
  readonly #healSeconds = this.#histogram('messaging_heal_seconds', 'Time of one comparison', LATENCY_BOUNDS)

  readonly push = new PushMetrics(this.#registry)
  readonly traffic: TrafficMetrics

  constructor({ version, closeCodes }: MetricsOptions) {
    this.traffic = new TrafficMetrics(this.#registry, closeCodes)
    addBuildInfo(this.#registry, { version, node: process.version })
    collectDefaultMetrics({ register: this.#registry })
    this.#countSends()
  }

  /** Adds what others hold; to be called once. */
  readFrom(sources: MetricSources): void {
    const gauge = (options: GaugeOptions): void => addGauge(this.#registry, options)
    gauge({
      name: 'messaging_connections',
      help: 'Open WebSocket connections',
      read: () => sources.connections(),
    })
    gauge({ name: 'messaging_queue_rows', help: 'Sends that wait for a batch', read: () => sources.queuedRows() })
    gauge({
      name: 'messaging_queue_age_seconds',
      help: 'Age of the oldest send without an outcome',
      together: 'max',
      read: () => sources.oldestSendMs() * MS_TO_SECONDS,
    })
    gauge({
      name: 'messaging_redis_connected',
      help: '1 while pushes from other instances can arrive',
      together: 'min',
      read: () => (sources.isConnectedToOthers() ? 1 : 0),
    })
    this.#countDroppedLogLines(sources)
  }

  /** Adds whether people should be sent here. */
  readReadiness(isReady: () => Promise<boolean>): void {
    addGauge(this.#registry, {
      name: 'messaging_ready',
      help: '1 while messages can be stored and people let in',
      together: 'min',
      read: async () => ((await isReady()) ? 1 : 0),
    })
  }

  /** One send has its outcome: stored, duplicate, conflict or the code of its refusal. */
  sendSettled(outcome: string, ageMs: number): void {
    this.#sends.set(outcome, (this.#sends.get(outcome) ?? 0) + 1)
    this.#ackSeconds.observe(ageMs * MS_TO_SECONDS)
  }

  committed(rows: number, durationMs: number): void {
    this.#batchRows.observe(rows)
    this.#batchSeconds.observe(durationMs * MS_TO_SECONDS)
  }

  failed(failure: string): void {
    this.#failures.inc({ failure })
  }

  credentialRefused(fault: string): void {
    this.#refusedCredentials.inc({ fault })
  }

  /** Adds the age of the issuer's keys, where there is an issuer. */
  readKeySetAge(seconds: () => number | undefined): void {
    addGauge(this.#registry, {
      name: 'messaging_jwks_age_seconds',
      help: "Since the issuer's keys were last confirmed; -1 before",
      together: 'max',
      read: () => seconds() ?? -1,
    })
  }

  publishFailed(): void {
    this.#publishFailures.inc()
  }

  healed(conversations: number, durationMs: number, reason: string): void {
    this.#heals.inc({ reason })
    this.#healedConversations.inc(conversations)
    this.#healSeconds.observe(durationMs * MS_TO_SECONDS)
  }

  healFailed(): void {
    this.#healFailures.inc()
  }

  /** Prometheus text. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  /** The same for a process that adds up those of several. */
  async snapshot(): Promise<Snapshot> {
    const own = await this.#registry.getMetricsAsJSON()
    const aggregatorOf = (name: string) => OF_NODE.find(([beginning]) => name.startsWith(beginning))?.[1]
    return own.map((one) => ({ ...one, aggregator: aggregatorOf(one.name) ?? one.aggregator }))
  }

  /** Plain numbers on the message path, copied into the counter when it is read. */
  #countSends(): void {
    const sends = this.#sends
    new Counter({
      name: 'messaging_sends_total',
      help: 'Sends by outcome',
      labelNames: ['outcome'],
      registers: [this.#registry],
      collect() {
        this.reset()
        for (const [outcome, count] of sends) this.inc({ outcome }, count)
      },
    })
  }

  #countDroppedLogLines(sources: MetricSources): void {
    new Counter({
      name: 'messaging_log_lines_dropped_total',
      help: 'Lines of the log that could not be written',
      registers: [this.#registry],
      collect() {
        this.reset()
        this.inc(sources.droppedLogLines())
      },
    })
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.#registry] })
  }

  #histogram(name: string, help: string, bounds: readonly number[]): BucketHistogram {
    return new BucketHistogram(this.#registry, name, help, bounds)
  }
}
