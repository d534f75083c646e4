import type { Clock } from '../lib/clock.ts'
import { Unavailable } from '../lib/errors.ts'
import type { FromWorker, Snapshot, ToWorker } from './metrics-hub.ts'

/** Longer than the hub waits for a worker that hangs. */
const HUB_LIMIT_MS = 3_000

export interface WorkerMetricsOptions {
  /** Of this process alone. */
  snapshot(): Promise<Snapshot>
  send(message: FromWorker): void
  readonly clock: Pick<Clock, 'after'>
}

/** The side of a worker: tells what it counts, and asks for what all do. */
export class WorkerMetrics {
  readonly #options: WorkerMetricsOptions
  readonly #waiting = new Map<number, (text: string) => void>()
  #asks = 0

  constructor(options: WorkerMetricsOptions) {
    this.#options = options
    options.send({ metrics: 'here' })
  }

  heard(message: ToWorker): void {
    if (message.metrics === 'of all') return this.#waiting.get(message.ask)?.(message.text)
    const { snapshot, send } = this.#options
    void snapshot().then((own) => send({ metrics: 'mine', round: message.round, snapshot: own }))
  }

  /** Of all processes on the port, as Prometheus text; rejects when the one that knows them does not answer. */
  text(): Promise<string> {
    const { send, clock } = this.#options
    this.#asks += 1
    const ask = this.#asks
    return new Promise<string>((resolve, reject) => {
      const cancel = clock.after(HUB_LIMIT_MS, () => {
        this.#waiting.delete(ask)
        reject(new Unavailable('the first process does not say what all count'))
      })
      this.#waiting.set(ask, (text) => {
        cancel()
        this.#waiting.delete(ask)
        resolve(text)
      })
      send({ metrics: 'wanted', ask })
    })
  }
}
