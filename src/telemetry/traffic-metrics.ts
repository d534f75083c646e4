import { Counter, Gauge, type Registry } from 'prom-client'
import { LabelledHistogram } from './bucket-histogram.ts'

const SECONDS_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const MS_TO_SECONDS = 0.001
/** What a client may close with that says something (RFC 6455 §7.4.1); the rest is the client's own invention. */
const CLIENT_CLOSES = [1000, 1001, 1005, 1006]

export interface CountedRequest {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly code: string | undefined
}

/** Requests, refusals and ends of sockets. Labels are rows of the route table and codes of the contract. */
export class TrafficMetrics {
  readonly #requests: Counts
  readonly #refusals: Counts
  readonly #closes: Counts
  readonly #seconds: LabelledHistogram
  readonly #closeCodes: ReadonlySet<number>

  /** `closeCodes`: those with which the service closes. */
  constructor(registry: Registry, closeCodes: readonly number[]) {
    this.#closeCodes = new Set([...CLIENT_CLOSES, ...closeCodes])
    this.#requests = new Counts(registry, 'messaging_requests_total', 'Requests and upgrades by route and status', [
      'method',
      'route',
      'status',
    ])
    this.#refusals = new Counts(
      registry,
      'messaging_refusals_total',
      'Requests and commands refused, by route and code',
      ['route', 'code'],
    )
    this.#closes = new Counts(registry, 'messaging_closes_total', 'WebSockets that ended, by close code', ['code'])
    this.#seconds = new LabelledHistogram(registry, {
      name: 'messaging_request_seconds',
      help: 'From a request to its answer, by route',
      bounds: SECONDS_BOUNDS,
      label: 'route',
    })
  }

  requestAnswered({ method, route, status, code }: CountedRequest, ms: number): void {
    this.#requests.add(method, route, String(status))
    if (code !== undefined) this.#refusals.add(route, code)
    this.#seconds.observe(route, ms * MS_TO_SECONDS)
  }

  /** A command on a socket was answered with an error. */
  commandRefused(code: string): void {
    this.#refusals.add('/ws', code)
  }

  socketClosed(code: number): void {
    this.#closes.add(this.#closeCodes.has(code) ? String(code) : 'other')
  }
}

/** Plain numbers where requests pass, copied into a counter when it is read. */
class Counts {
  readonly #counts = new Map<string, { readonly values: readonly string[]; count: number }>()

  constructor(registry: Registry, name: string, help: string, labelNames: readonly string[]) {
    const counts = this.#counts
    new Counter({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset()
        for (const { values, count } of counts.values()) {
          this.inc(Object.fromEntries(labelNames.map((label, index) => [label, values[index] ?? ''])), count)
        }
      },
    })
  }

  add(...values: readonly string[]): void {
    const key = values.join(' ')
    const known = this.#counts.get(key)
    if (known) known.count += 1
    else this.#counts.set(key, { values, count: 1 })
  }
}

/** 1, with what runs here as labels. */
export function addBuildInfo(registry: Registry, info: { readonly version: string; readonly node: string }): void {
  const gauge = new Gauge({
    name: 'messaging_build_info',
    help: '1, by version of the service and of Node.js',
    labelNames: ['version', 'node'],
    aggregator: 'max',
    registers: [registry],
  })
  gauge.set(info, 1)
}
