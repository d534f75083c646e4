import { type Aggregator, Gauge, type Registry } from 'prom-client'

export interface GaugeOptions {
  readonly name: string
  readonly help: string
  /** What several processes on one port say together; their sum unless said. */
  readonly together?: Aggregator
  /** Asked whenever somebody asks for the metrics. */
  read(): number | Promise<number>
}

/** A gauge whose value is read whenever somebody asks for the metrics. */
export function addGauge(registry: Registry, { name, help, together = 'sum', read }: GaugeOptions): void {
  new Gauge({
    name,
    help,
    aggregator: together,
    registers: [registry],
    async collect() {
      this.set(await read())
    },
  })
}
