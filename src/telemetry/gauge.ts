import { Gauge, type Registry } from 'prom-client'

/** A gauge whose value is read whenever somebody asks for the metrics. */
export function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read())
    },
  })
}
