import { z } from 'zod'
import { optional, variable } from './kinds.ts'

/**
 * Names and meaning are OpenTelemetry's (its specification, "OpenTelemetry Protocol Exporter" and "General SDK Configuration"), whose
 * library reads the rest of them itself.
 */
export const tracingVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(z.url({ protocol: /^https?$/ }), 'none: no traces', {
    expects: 'an http: or https: URL such as http://127.0.0.1:4318',
    meaning: 'collector that gets the traces of messages, as OTLP over HTTP in JSON',
  }),
  OTEL_TRACES_SAMPLER_ARG: variable(
    z
      .string()
      .regex(/^(\d+|\d*\.\d+)$/)
      .transform(Number)
      .pipe(z.number().max(1)),
    '0.01',
    { expects: 'a number from 0 to 1', meaning: 'the part of all messages that is traced' },
  ),
}

const tracingShape = z.object(tracingVariables)

/** None: traces are off. */
export type TracingConfig = { readonly part: number } | undefined

export function toTracingConfig(given: z.infer<typeof tracingShape>): TracingConfig {
  if (given.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return undefined
  return Object.freeze({ part: given.OTEL_TRACES_SAMPLER_ARG })
}
