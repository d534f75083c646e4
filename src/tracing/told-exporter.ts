import { type ExportResult, ExportResultCode } from '@opentelemetry/core'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base'
import type { DependencyLog } from '../lib/dependency-log.ts'

const PART = 'traces'

/** An exporter whose collector is a dependency as any other: what is wrong with it is said once, and when it is over. */
export class ToldExporter implements SpanExporter {
  readonly #exporter: SpanExporter
  readonly #health: Pick<DependencyLog, 'failed' | 'works'>

  constructor(exporter: SpanExporter, health: Pick<DependencyLog, 'failed' | 'works'>) {
    this.#exporter = exporter
    this.#health = health
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#exporter.export(spans, (result) => {
      if (result.code === ExportResultCode.SUCCESS) this.#health.works(PART)
      else this.#health.failed(PART, result.error ?? new Error('refused'))
      done(result)
    })
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown()
  }
}
