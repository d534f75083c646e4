import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base'
import type { LocalUsers } from '../delivery/local-users.ts'
import type { Clock } from '../lib/clock.ts'
import type { DependencyLog } from '../lib/dependency-log.ts'
import type { MessageLog } from '../messages/store.ts'
import { MessageTraces } from './message-traces.ts'
import { ToldExporter } from './told-exporter.ts'
import { isAmong, TraceIds } from './trace-ids.ts'
import { CommitAttempts, TracedLog } from './traced-log.ts'

export interface TracingOptions {
  /** The part of all messages that is traced, from 0 to 1. */
  readonly part: number
  readonly version: string
  readonly instanceId: string
  readonly users: LocalUsers
  readonly clock: Clock
  readonly health: DependencyLog
}

export interface Tracing {
  readonly traces: MessageTraces
  /** The same log, whose transactions are noted. */
  watching(log: MessageLog): MessageLog
  /** Hands over what waits; bounded by the exporter's time limit. Never rejects. */
  close(): Promise<void>
}

/** How long the collector may take, at the end of the service too; milliseconds. */
const EXPORT_LIMIT_MS = 2_000

/**
 * Traces by OpenTelemetry, sent to a collector as OTLP over HTTP in JSON. Where it goes and what it says of itself stands in the
 * environment variables of OpenTelemetry, which its exporter and its resource read themselves.
 */
export function startTracing({ part, version, instanceId, users, clock, health }: TracingOptions): Tracing {
  const ids = new TraceIds()
  const exporter = new ToldExporter(new OTLPTraceExporter({ timeoutMillis: EXPORT_LIMIT_MS }), health)
  const provider = new BasicTracerProvider({
    idGenerator: ids,
    // It was decided before, for every instance alike.
    sampler: new AlwaysOnSampler(),
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'messaging-server', 'service.version': version }))
      .merge(resourceFromAttributes({ 'service.instance.id': instanceId }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter, { exportTimeoutMillis: EXPORT_LIMIT_MS })],
  })
  const attempts = new CommitAttempts()
  const isSampled = (messageId: string): boolean => isAmong(messageId, part)
  const tracer = provider.getTracer('messaging-server', version)
  return {
    traces: new MessageTraces({ tracer, ids, attempts, isSampled, users, clock }),
    watching: (log) => new TracedLog({ log, attempts, isSampled, clock }),
    // What could not be handed over was told by the exporter.
    close: () => provider.shutdown().catch(() => undefined),
  }
}
