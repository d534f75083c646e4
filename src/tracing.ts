import type { TracingConfig } from './config/tracing.ts'
import type { LocalUsers } from './delivery/local-users.ts'
import { systemClock as clock } from './lib/clock.ts'
import { DependencyLog } from './lib/dependency-log.ts'
import type { Logger } from './lib/logger.ts'
import type { Tracing } from './tracing/tracing.ts'
import { VERSION } from './version.ts'

export type { Tracing }

export interface TracingParts {
  readonly instanceId: string
  readonly users: LocalUsers
  readonly logger: Logger
}

/** The part of the composition root about traces. Undefined: off; then neither it nor OpenTelemetry is loaded. */
export async function tracingFor(
  config: TracingConfig,
  { instanceId, users, logger }: TracingParts,
): Promise<Tracing | undefined> {
  if (config === undefined) return undefined
  const { startTracing } = await import('./tracing/tracing.ts')
  const health = new DependencyLog({ dependency: 'the collector of traces', logger, clock })
  return startTracing({ part: config.part, version: VERSION, instanceId, users, clock, health })
}
